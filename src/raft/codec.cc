#include "raft/codec.h"

#include <array>

namespace databridge::raft {
namespace {

constexpr uint8_t kVersion = 1;

class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  void byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void number(uint64_t value) {
    std::array<char, 10> bytes;
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) bytes[size++] = static_cast<char>(value | 0x80);
    bytes[size++] = static_cast<char>(value);
    out_.append(bytes.data(), size);
  }
  // Ids are random: fixed width is shorter for them.
  void id(ServerId value) { append_little64(out_, value); }
  void hash(ChainHash value) { append_little64(out_, value); }
  void instant(Instant value) {
    append_little64(out_, static_cast<uint64_t>(value.time_since_epoch().count()));
  }
  void bytes(BytesView value) {
    number(value.size());
    out_.append(value);
  }
  void ids(const std::vector<ServerId>& values) {
    number(values.size());
    for (const ServerId value : values) id(value);
  }
  void configuration(const Configuration& value) {
    ids(value.voters);
    ids(value.learners);
  }

 private:
  Bytes& out_;
};

// Reads the output of a Writer. After the first missing value, all values read as zero and good()
// is false, so a decoder checks once, at the end.
class Reader {
 public:
  explicit Reader(BytesView bytes) : rest_(bytes) {}

  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return stop();
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t part = byte();
      if (!good_ || (shift == 63 && part > 1)) return stop();
      value |= static_cast<uint64_t>(part & 0x7f) << shift;
      if ((part & 0x80) == 0) return value;
    }
    return stop();
  }
  uint64_t fixed() {
    if (rest_.size() < 8) return stop();
    const uint64_t value = read_little64(rest_);
    rest_.remove_prefix(8);
    return value;
  }
  ServerId id() { return fixed(); }
  // Earlier versions did not write it: then it is 0.
  ChainHash later_hash() { return at_end() ? 0 : fixed(); }
  Instant instant() { return Instant(Duration(static_cast<Duration::rep>(fixed()))); }
  BytesView bytes() {
    const uint64_t size = number();
    if (size > rest_.size()) {
      stop();
      return {};
    }
    const BytesView value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  // The number of items that follow, each of at least `least` bytes. It is limited by the bytes
  // that are left, so that a false number cannot claim memory.
  size_t count(size_t least) {
    const uint64_t value = number();
    return value <= rest_.size() / least ? static_cast<size_t>(value) : stop();
  }
  std::vector<ServerId> ids() {
    std::vector<ServerId> values(count(8));
    for (ServerId& value : values) value = id();
    // Ids are sorted and without duplicates, since majorities are counted on them.
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == 0 || (i > 0 && values[i] <= values[i - 1])) stop();
    }
    return values;
  }
  Configuration configuration() {
    Configuration value;
    value.voters = ids();
    value.learners = ids();
    for (const ServerId learner : value.learners) {
      if (value.is_voter(learner)) stop();
    }
    return value;
  }
  // An enumerator of `Kind` between first and last.
  template <typename Kind>
  Kind kind(Kind first, Kind last) {
    const uint8_t value = byte();
    if (value < static_cast<uint8_t>(first) || value > static_cast<uint8_t>(last)) stop();
    return good_ ? static_cast<Kind>(value) : first;
  }

 private:
  uint8_t stop() {
    good_ = false;
    rest_ = {};
    return 0;
  }

  BytesView rest_;
  bool good_ = true;
};

template <typename T>
Result<T> finish(const Reader& in, T value, const char* what) {
  if (!in.good()) return fail(Code::corrupt, std::string("malformed ") + what);
  return value;
}

// A record of a later version may mean anything. Records of this version only get longer.
bool known_version(Reader& in) { return in.byte() == kVersion; }

void write_entry(Writer& out, const Entry& entry) {
  out.number(entry.term);
  out.byte(static_cast<uint8_t>(entry.kind));
  out.bytes(entry.data.view());
}

void read_entry(Reader& in, Entry& entry) {
  entry.term = in.number();
  entry.kind = in.kind(Entry::Kind::noop, Entry::Kind::configuration);
  const BytesView data = in.bytes();
  if (!data.empty()) entry.data = Payload(Bytes(data));
}

enum Flag : uint8_t { kReject = 1, kLeaderLost = 2, kTransfer = 4, kRemoved = 8, kOlderCopy = 16 };

}  // namespace

Bytes encode(const Message& m) {
  size_t size = 128 + m.chunk.size() + 8 * m.configuration.voters.size() +
                8 * m.configuration.learners.size();
  for (const Entry& entry : m.entries) size += 24 + entry.data.size();
  Bytes bytes;
  bytes.reserve(size);
  Writer out(bytes);
  out.byte(kVersion);
  out.byte(static_cast<uint8_t>(m.kind));
  out.id(m.from);
  out.id(m.to);
  out.number(m.term);
  out.byte(static_cast<uint8_t>((m.reject ? kReject : 0) | (m.leader_lost ? kLeaderLost : 0) |
                                (m.transfer ? kTransfer : 0) | (m.removed ? kRemoved : 0) |
                                (m.older_copy ? kOlderCopy : 0)));
  out.number(m.index);
  out.number(m.log_term);
  out.number(m.commit);
  out.number(m.hint);
  out.number(m.hint_term);
  out.instant(m.sent_at);
  out.number(m.round);
  out.number(m.offset);
  out.number(m.total);
  out.number(m.entries.size());
  for (const Entry& entry : m.entries) write_entry(out, entry);
  out.configuration(m.configuration);
  out.bytes(m.chunk.view());
  out.hash(m.hash);
  return bytes;
}

Result<Message> decode(BytesView bytes) {
  Reader in(bytes);
  if (!known_version(in)) return fail(Code::corrupt, "consensus message of an unknown version");
  Message m;
  m.kind = in.kind(Message::Kind::pre_vote, Message::Kind::timeout_now);
  m.from = in.id();
  m.to = in.id();
  m.term = in.number();
  const uint8_t flags = in.byte();
  m.reject = (flags & kReject) != 0;
  m.leader_lost = (flags & kLeaderLost) != 0;
  m.transfer = (flags & kTransfer) != 0;
  m.removed = (flags & kRemoved) != 0;
  m.older_copy = (flags & kOlderCopy) != 0;
  m.index = in.number();
  m.log_term = in.number();
  m.commit = in.number();
  m.hint = in.number();
  m.hint_term = in.number();
  m.sent_at = in.instant();
  m.round = in.number();
  m.offset = in.number();
  m.total = in.number();
  m.entries.resize(in.count(3));
  for (size_t i = 0; i < m.entries.size() && in.good(); ++i) {
    read_entry(in, m.entries[i]);
    m.entries[i].index = m.index + 1 + i;
  }
  m.configuration = in.configuration();
  const BytesView chunk = in.bytes();
  if (!chunk.empty()) m.chunk = Payload(Bytes(chunk));
  m.hash = in.later_hash();
  return finish(in, std::move(m), "consensus message");
}

Bytes encode_configuration(const Configuration& configuration) {
  Bytes bytes;
  Writer out(bytes);
  out.byte(kVersion);
  out.configuration(configuration);
  return bytes;
}

Result<Configuration> decode_configuration(BytesView bytes) {
  Reader in(bytes);
  if (!known_version(in)) return fail(Code::corrupt, "configuration of an unknown version");
  Configuration value = in.configuration();
  return finish(in, std::move(value), "configuration");
}

Bytes encode_entry(const Entry& entry) {
  Bytes bytes;
  bytes.reserve(32 + entry.data.size());
  Writer out(bytes);
  out.byte(kVersion);
  out.number(entry.index);
  write_entry(out, entry);
  return bytes;
}

Result<Entry> decode_entry(BytesView bytes) {
  Reader in(bytes);
  if (!known_version(in)) return fail(Code::corrupt, "log entry of an unknown version");
  Entry entry;
  entry.index = in.number();
  read_entry(in, entry);
  return finish(in, std::move(entry), "log entry");
}

Bytes encode_hard_state(const HardState& state) {
  Bytes bytes;
  Writer out(bytes);
  out.byte(kVersion);
  out.number(state.term);
  out.id(state.vote);
  out.number(state.commit);
  return bytes;
}

Result<HardState> decode_hard_state(BytesView bytes) {
  Reader in(bytes);
  if (!known_version(in)) return fail(Code::corrupt, "hard state of an unknown version");
  HardState state;
  state.term = in.number();
  state.vote = in.id();
  state.commit = in.number();
  return finish(in, state, "hard state");
}

Bytes encode_snapshot_head(const Snapshot& snapshot) {
  Bytes bytes;
  Writer out(bytes);
  out.byte(kVersion);
  out.number(snapshot.index);
  out.number(snapshot.term);
  out.configuration(snapshot.configuration);
  out.hash(snapshot.hash);
  return bytes;
}

Result<Snapshot> decode_snapshot_head(BytesView bytes) {
  Reader in(bytes);
  if (!known_version(in)) return fail(Code::corrupt, "snapshot head of an unknown version");
  Snapshot snapshot;
  snapshot.index = in.number();
  snapshot.term = in.number();
  snapshot.configuration = in.configuration();
  snapshot.hash = in.later_hash();
  return finish(in, std::move(snapshot), "snapshot head");
}

}  // namespace databridge::raft
