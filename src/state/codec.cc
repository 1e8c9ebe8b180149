// A State as bytes: a magic word, records with their lengths, and a hash of everything. Records are
// written in order of key, so equal states have equal bytes.
#include <set>

#include "base/check.h"
#include "base/gzip.h"
#include "model/nouns_codec.h"
#include "model/proto/state.pb.h"
#include "state/apply.h"
#include "state/backup.h"

namespace databridge {
namespace {

using codec::Check;
using codec::get;
using codec::put;

constexpr BytesView kSnapshotMagic = "DataBridge state 1\n";
// Programs from before feature gates must not read a state that has them.
constexpr uint32_t kFormatWithFeatures = 2;
constexpr BytesView kBackupMagic = "DataBridge backup 1\n";

// `fill(record)` fills the record in.
template <typename Fill>
void append_record(Bytes& to, proto::StateRecord& scratch, Fill&& fill) {
  scratch.Clear();
  fill(scratch);
  append_little32(to, static_cast<uint32_t>(scratch.ByteSizeLong()));
  CHECK(scratch.AppendToString(&to));
}

class Writer {
 public:
  explicit Writer(BytesView magic) : bytes_(magic) {}

  // `fill(record)` writes one record.
  template <typename Fill>
  void record(Fill&& fill) {
    append_record(bytes_, record_, fill);
    ++count_;
  }
  // Writes one record for each item, in separate pieces: `fill(record, position, item)`.
  template <typename Item, typename Fill>
  void log(const AppendLog<Item>& items, Fill&& fill) {
    cut();
    items.encode(pieces_, [&](Bytes& to, uint64_t position, const Item& item) {
      append_record(to, record_, [&](auto& record) { fill(record, position, item); });
    });
    count_ += items.size();
  }
  Pieces finish() {
    end();
    Bytes last = bytes_;
    cut();
    append_little64(last, Pieces(pieces_).hash());
    pieces_.back() = Payload(std::move(last));
    return Pieces(std::move(pieces_));
  }
  // The same in one piece; there must be no logs.
  Bytes finish_whole() {
    CHECK(pieces_.empty());
    end();
    append_little64(bytes_, hash64(bytes_));
    return std::move(bytes_);
  }

 private:
  void cut() { pieces_.emplace_back(std::exchange(bytes_, {})); }
  void end() {
    const uint64_t count = count_;
    record([&](auto& record) { record.set_end(count); });
  }

  std::vector<Payload> pieces_;
  Bytes bytes_;  // The bytes of the piece that is being written.
  uint64_t count_ = 0;
  proto::StateRecord record_;
};

// Calls `read(record)` for each record. Fails if the bytes are damaged.
template <typename Read>
std::optional<Error> read_records(BytesView bytes, BytesView magic, const char* what, Read&& read) {
  const auto corrupt = [&](const char* why) {
    return Error{Code::corrupt, std::string(what) + " is damaged: " + why};
  };
  if (bytes.size() < magic.size() + 8 || bytes.substr(0, magic.size()) != magic) {
    return Error{Code::corrupt, std::string("this is not ") + what};
  }
  const BytesView body = bytes.substr(0, bytes.size() - 8);
  if (hash64(body) != read_little64(bytes.substr(body.size()))) return corrupt("its hash differs");
  proto::StateRecord record;
  uint64_t count = 0;
  for (size_t at = magic.size(); at < body.size(); ++count) {
    if (body.size() - at < 4) return corrupt("it ends within a record");
    const size_t size = read_little32(body.substr(at));
    at += 4;
    if (size > body.size() - at || size > size_t{1} << 30) return corrupt("a record is too long");
    if (!record.ParseFromArray(body.data() + at, static_cast<int>(size))) {
      return corrupt("a record cannot be parsed");
    }
    at += size;
    if (record.has_end()) {
      if (record.end() != count || at != body.size()) return corrupt("records are missing");
      return std::nullopt;
    }
    Check check;
    read(record, check);
    if (!check.ok()) return corrupt(check.wrong().c_str());
  }
  return corrupt("its end is missing");
}

// The bytes of the whole flow, without a copy of it.
void put(const FlowRow& flow, const State& state, proto::FlowSpec* to) {
  to->set_id(flow.id.value);
  to->set_name(flow.name);
  for (const ProcessorId& id : flow.processors) {
    codec::put(*state.processors().find(id), to->add_processors());
  }
  for (const Uuid& id : flow.connections) {
    codec::put(*state.connection(id), to->add_connections());
  }
}

void put(const Remembered& from, proto::Remembered* to) {
  to->set_at(from.applied.index);
  to->set_index(from.applied.index);
  if (const auto& rejected = from.applied.rejected) {
    to->mutable_rejected()->set_code(codec::enum_out<proto::Code>(rejected->code));
    to->mutable_rejected()->set_message(rejected->message);
  }
  put(from.applied.processor, to->mutable_processor());
  to->set_ignored(from.applied.ignored);
  to->set_key(from.key);
  if (from.request != RequestId{}) put(from.request, to->mutable_request());
  to->set_age_ms(from.age_ms);
  to->set_fingerprint(from.fingerprint);
}
void get(const proto::Remembered& from, Remembered& to, Check& check) {
  to.applied.index = from.index();
  if (from.has_rejected()) {
    Error& error = to.applied.rejected.emplace(Error{Code::internal, from.rejected().message()});
    codec::enum_in(from.rejected().code(), Code::io, error.code, check, "code");
  }
  get(from.processor(), to.applied.processor, check);
  to.applied.ignored = from.ignored();
  to.key = from.key();
  get(from.request(), to.request, check);
  to.age_ms = from.age_ms();
  to.fingerprint = from.fingerprint();
}

}  // namespace

// A friend of State: only this struct reads and writes the private members.
struct StateCodec {
  static void write_head(const State& state, Writer& writer);

  // ---- Reads into `state`: record by record, then complete().
  explicit StateCodec(State& into) : state(into), changes(into) {}
  void read(const proto::StateRecord& record, Check& check);
  void read_head(const proto::StateHead& head, Check& check);
  void read_event(const proto::NumberedEvent& record, Check& check);
  std::optional<Error> complete();

  State& state;
  Changes changes;
  uint64_t events_made = 0;
};

void StateCodec::write_head(const State& state, Writer& writer) {
  writer.record([&](auto& record) {
    auto* head = record.mutable_head();
    head->set_format(state.features_.empty() ? codec::kFormat : kFormatWithFeatures);
    head->set_features(state.features_.bits());
    head->set_version(state.version_);
    head->set_now_ms(state.now_ms_);
    head->set_age_ms(state.age_ms_);
    head->set_hash(state.hash_);
    head->set_generation(state.generation_);
    head->set_generation_at(state.generation_at_);
    head->set_strategy(codec::enum_out<proto::Strategy>(state.strategy_));
    head->set_rebalanced_at_ms(state.rebalanced_at_ms_);
    head->set_leader(state.leader_.value);
    head->set_events_made(state.events_.end());
    head->set_trimmed_index(state.events_trimmed_.index);
    head->set_trimmed_k(state.events_trimmed_.k);
  });
}

void StateCodec::read_head(const proto::StateHead& head, Check& check) {
  check.that(head.format() >= codec::kFormat && head.format() <= kFormatWithFeatures,
             "written by a newer program");
  state.features_ = FeatureSet(head.features());
  state.version_ = head.version();
  state.now_ms_ = head.now_ms();
  state.age_ms_ = head.age_ms();
  state.hash_ = head.hash();
  state.generation_ = head.generation();
  state.generation_at_ = head.generation_at();
  codec::enum_in(head.strategy(), Strategy::consistent_hash, state.strategy_, check, "strategy");
  state.rebalanced_at_ms_ = head.rebalanced_at_ms();
  state.leader_.value = head.leader();
  events_made = head.events_made();
  check.that(events_made < uint64_t{1} << 62, "more events than there can be");
  state.events_trimmed_ = {head.trimmed_index(), head.trimmed_k()};
}

Pieces State::snapshot() const {
  Writer writer(kSnapshotMagic);
  StateCodec::write_head(*this, writer);
  members().each([&](Incarnation, const Member& member) {
    writer.record([&](auto& record) { put(member, record.mutable_member()); });
  });
  labels_.each([&](const NodeId& node, Incarnation incarnation) {
    writer.record([&](auto& record) {
      record.mutable_label()->set_node(node.value);
      record.mutable_label()->set_incarnation(incarnation.value);
    });
  });
  removed_.each([&](Incarnation incarnation, const Removed& removed) {
    writer.record([&](auto& record) {
      record.mutable_removed()->set_incarnation(incarnation.value);
      record.mutable_removed()->set_node(removed.node.value);
      record.mutable_removed()->set_index(removed.index);
      record.mutable_removed()->set_reason(removed.reason);
    });
  });
  flows().each([&](const FlowId&, const FlowRow& flow) {
    writer.record([&](auto& record) { put(flow, *this, record.mutable_flow()); });
  });
  processors().each([&](const ProcessorId& id, const ProcessorSpec& spec) {
    // It is written with its flow.
    if (!spec.flow.empty() && !loose_.contains({spec.flow, id})) return;
    writer.record([&](auto& record) { put(spec, record.mutable_processor()); });
  });
  assignments().each([&](const ProcessorId&, const Assignment& assignment) {
    writer.record([&](auto& record) { put(assignment, record.mutable_assignment()); });
  });
  config_.each([&](const std::string& key, const ConfigItem& item) {
    writer.record([&](auto& record) {
      record.mutable_config()->set_key(key);
      record.mutable_config()->set_json(item.json);
      record.mutable_config()->set_version(item.version);
    });
  });
  tokens_.each([&](const std::string&, const Token& token) {
    writer.record([&](auto& record) { put(token, record.mutable_token()); });
  });
  forgotten_.each([&](Incarnation from, uint64_t counter) {
    writer.record([&](auto& record) {
      record.mutable_forgotten()->set_from(from.value);
      record.mutable_forgotten()->set_counter(counter);
    });
  });
  writer.log(events_, [](auto& record, uint64_t counter, const KeptEvent& event) {
    record.mutable_event()->set_counter(counter);
    put(event.event(), record.mutable_event()->mutable_event());
  });
  const auto result = [](auto& record, uint64_t, const Remembered& remembered) {
    put(remembered, record.mutable_remembered());
  };
  writer.log(results_.with_key(), result);
  writer.log(results_.without_key(), result);
  return writer.finish();
}

// Events have no gap, up to the newest one that was made.
void StateCodec::read_event(const proto::NumberedEvent& record, Check& check) {
  AppendLog<KeptEvent>& events = state.events_;
  check.that(record.counter() < events_made, "there are more events than were made");
  if (!check.ok()) return;
  if (events.end() == 0) events.start_at(record.counter());
  check.that(record.counter() == events.end(), "an event is missing");
  Event event;
  get(record.event(), event, check);
  events.append(KeptEvent(event));
}

void StateCodec::read(const proto::StateRecord& record, Check& check) {
  using Case = proto::StateRecord;
  switch (record.record_case()) {
    case Case::kHead:
      return read_head(record.head(), check);
    case Case::kMember: {
      Member member;
      get(record.member(), member, check);
      return changes.put(std::move(member));
    }
    case Case::kLabel:
      return state.labels_.set(NodeId(record.label().node()),
                               Incarnation{record.label().incarnation()});
    case Case::kRemoved:
      return state.removed_.set(Incarnation{record.removed().incarnation()},
                                Removed{NodeId(record.removed().node()), record.removed().index(),
                                        record.removed().reason()});
    case Case::kFlow: {
      FlowSpec flow;
      get(record.flow(), flow, check);
      for (const auto& spec : flow.processors) changes.put(spec);
      for (const auto& one : flow.connections) changes.put(one);
      return changes.put(row_of(flow));
    }
    case Case::kProcessor: {
      ProcessorSpec spec;
      get(record.processor(), spec, check);
      return changes.put(std::move(spec));
    }
    case Case::kAssignment: {
      Assignment assignment;
      get(record.assignment(), assignment, check);
      return changes.put(std::move(assignment));
    }
    case Case::kConfig: {
      const auto& item = record.config();
      return state.config_.set(item.key(), ConfigItem{item.json(), item.version()});
    }
    case Case::kToken: {
      Token token;
      get(record.token(), token, check);
      check.that(is_token_id(token.id) && token.hash.size() == kTokenHashSize, "a bad token");
      const std::string id = token.id;
      return state.tokens_.set(id, std::move(token));
    }
    case Case::kEvent:
      return read_event(record.event(), check);
    case Case::kRemembered: {
      Remembered remembered;
      get(record.remembered(), remembered, check);
      return check.that(state.results_.add(std::move(remembered)), "a result is there twice");
    }
    case Case::kForgotten:
      return state.forgotten_.set(Incarnation{record.forgotten().from()},
                                  record.forgotten().counter());
    default:
      check.bad("a record of no known kind");
  }
}

// Checks what `apply` relies on, since the bytes may come from anywhere. Then builds the indexes.
std::optional<Error> StateCodec::complete() {
  const char* wrong = nullptr;
  const auto that = [&](bool fine, const char* what) {
    if (!fine && wrong == nullptr) wrong = what;
  };
  state.processors().each([&](const ProcessorId& id, const ProcessorSpec&) {
    const Assignment* assignment = state.assignments().find(id);
    that(assignment != nullptr && !assignment->deleted, "a processor has no assignment");
  });
  state.removed_.each([&](Incarnation incarnation, const Removed& removed) {
    that(!state.members().contains(incarnation) && removed.index <= state.version_,
         "a member was removed");
  });
  state.labels_.each([&](const NodeId& node, Incarnation incarnation) {
    const Member* member = state.members().find(incarnation);
    that(member != nullptr && member->info.node == node, "a name has no member");
  });
  if (state.events_.end() == 0) state.events_.start_at(events_made);
  that(state.events_.end() == events_made, "an event is missing");
  state.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
    that(assignment.deleted || state.processors().contains(id), "an assignment has no processor");
    that(!assignment.owner || state.members().contains(assignment.owner), "an owner is no member");
  });
  // What one flow lists must not go with another one.
  std::set<ProcessorId> in_flows;
  std::set<Uuid> joined;
  state.flows().each([&](const FlowId& id, const FlowRow& flow) {
    for (const ProcessorId& one : flow.processors) {
      const ProcessorSpec* spec = state.processors().find(one);
      that(spec != nullptr && spec->flow == id && in_flows.insert(one).second,
           "a flow lists a processor that is not its own");
    }
    for (const Uuid& one : flow.connections) {
      that(state.connection(one) != nullptr && joined.insert(one).second,
           "a connection is in two flows");
    }
  });
  if (wrong != nullptr) {
    return Error{Code::corrupt, std::string("a state snapshot contradicts itself: ") + wrong};
  }
  state.processors().each([&](const ProcessorId& id, const ProcessorSpec& spec) {
    if (in_flows.count(id) == 0) changes.is_loose(spec.flow, id, true);
  });
  return std::nullopt;
}

Result<State> State::from_snapshot(BytesView bytes) {
  State state;
  StateCodec codec(state);
  bool first = true;
  auto error = read_records(bytes, kSnapshotMagic, "a state snapshot",
                            [&](const proto::StateRecord& record, Check& check) {
                              check.that(record.has_head() == first, "its head is not first");
                              first = false;
                              codec.read(record, check);
                            });
  if (!error && first) error = Error{Code::corrupt, "a state snapshot is damaged: it has no head"};
  if (!error) error = codec.complete();
  if (error) return tl::make_unexpected(*error);
  return state;
}

uint64_t State::content_hash() const { return snapshot().hash(); }

// ---- The user's part

Bytes State::backup() const {
  Backup backup;
  backup.strategy = strategy_;
  flows().each([&](const FlowId&, const FlowRow& flow) { backup.flows.push_back(whole(flow)); });
  processors().each([&](const ProcessorId& id, const ProcessorSpec& spec) {
    if (spec.flow.empty() || loose_.contains({spec.flow, id})) backup.processors.push_back(spec);
  });
  assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
    if (!assignment.wanted && !assignment.deleted) backup.stopped.push_back(id);
  });
  config_.each(
      [&](const std::string& key, const ConfigItem& item) { backup.config[key] = item.json; });
  return encode(backup);
}

Bytes encode(const Backup& backup) {
  Writer writer(kBackupMagic);
  writer.record([&](auto& record) {
    record.mutable_head()->set_format(codec::kFormat);
    record.mutable_head()->set_strategy(codec::enum_out<proto::Strategy>(backup.strategy));
  });
  for (const auto& flow : backup.flows) {
    writer.record([&](auto& record) { put(flow, record.mutable_flow()); });
  }
  for (const auto& spec : backup.processors) {
    writer.record([&](auto& record) { put(spec, record.mutable_processor()); });
  }
  for (const auto& id : backup.stopped) {
    writer.record([&](auto& record) { put(id, record.mutable_stopped()); });
  }
  for (const auto& item : backup.config) {
    writer.record([&](auto& record) {
      record.mutable_config()->set_key(item.first);
      record.mutable_config()->set_json(item.second);
    });
  }
  return writer.finish_whole();
}

Result<Bytes> pack_backup(Bytes backup, const BackupLimits& limits) {
  const size_t size = backup.size();
  if (size > limits.unpacked) {
    return fail(Code::too_large, "a backup of " + std::to_string(size >> 20) +
                                     " MiB could not be restored (" +
                                     std::to_string(limits.unpacked >> 20) +
                                     " MiB at most): have fewer or smaller configuration values");
  }
  if (is_gzip(backup)) {
    if (size <= limits.packed) return backup;
  } else if (auto packed = gzip(backup)) {
    backup = std::move(*packed);
  }
  if (backup.size() <= limits.packed) return backup;
  return fail(Code::too_large, "a backup of " + std::to_string(backup.size() >> 20) +
                                   " MiB, packed, could not be restored (" +
                                   std::to_string(limits.packed >> 20) +
                                   " MiB at most): have fewer or smaller configuration values");
}

Result<Backup> decode_backup(BytesView bytes) {
  std::optional<Bytes> unpacked;
  if (is_gzip(bytes)) {
    unpacked = gunzip(bytes, kBackupUnpackedMax);
    if (!unpacked) return fail(Code::unprocessable, "a backup is damaged: it cannot be unpacked");
    bytes = *unpacked;
  }
  Backup backup;
  const auto read = [&](const proto::StateRecord& record, Check& check) {
    using Case = proto::StateRecord;
    switch (record.record_case()) {
      case Case::kHead:
        check.that(record.head().format() == codec::kFormat, "written by a newer program");
        return codec::enum_in(record.head().strategy(), Strategy::consistent_hash, backup.strategy,
                              check, "strategy");
      case Case::kFlow:
        return get(record.flow(), backup.flows.emplace_back(), check);
      case Case::kProcessor:
        return get(record.processor(), backup.processors.emplace_back(), check);
      case Case::kStopped:
        return get(record.stopped(), backup.stopped.emplace_back(), check);
      case Case::kConfig:
        backup.config[record.config().key()] = record.config().json();
        return;
      default:
        return check.bad("a record that is not the user's");
    }
  };
  if (auto error = read_records(bytes, kBackupMagic, "a backup", read)) {
    error->code = Code::unprocessable;
    return tl::make_unexpected(*error);
  }
  return backup;
}

}  // namespace databridge
