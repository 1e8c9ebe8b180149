#include "state/apply.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"

namespace databridge {
namespace {

bool has_failed(const Member& member) {
  return member.health == Health::unhealthy || member.health == Health::disconnected;
}

Error no_member(Incarnation incarnation) {
  return {Code::not_found, "no member has the incarnation " + std::to_string(incarnation.value)};
}

// Chains an entry, and the result of its command, to everything before.
uint64_t chain(uint64_t hash, LogIndex index, BytesView command, const Applied& applied) {
  Bytes link;
  append_little64(link, hash);
  append_little64(link, index);
  append_little64(link, hash64(command));
  append_little64(link, applied.index);
  append_little64(link, applied.processor.high);
  append_little64(link, applied.processor.low);
  append_little64(link, applied.ignored);
  if (applied.rejected) {
    append_little32(link, static_cast<uint32_t>(applied.rejected->code) + 1);
    link += applied.rejected->message;
  }
  return hash64(link);
}

}  // namespace

Transition State::apply(LogIndex index, const Command& command, BytesView bytes) {
  CHECK(index > version_);
  Transition transition = Applier(*this, index).run(command);
  version_ = index;
  hash_ = chain(hash_, index, bytes.empty() ? encode(command) : bytes, transition.applied);
  return transition;
}

void State::skip(LogIndex index) {
  CHECK(index > version_);
  version_ = index;
  hash_ = chain(hash_, index, "", {});
}

Transition Applier::run(const Command& command) {
  state_.now_ms_ = std::max(state_.now_ms_, command.at_ms);
  state_.age_ms_ = std::max(state_.age_ms_, command.age_ms);
  by_ = command.by;
  forget_old();
  if (auto first = seen(command)) return {std::move(*first), {}};

  Applied applied;
  applied.index = index_;
  applied.rejected = std::visit([&](const auto& body) { return on(body); }, command.body);
  applied.processor = about_;
  applied.ignored = ignored_;
  remember(command, applied);
  return {std::move(applied), changes_.take()};
}

// ---- Members

Applier::Rejected Applier::on(const AdmitMember& command) {
  const MemberInfo& info = command.info;
  if (!info.incarnation) return Error{Code::invalid, "a member needs an incarnation"};
  if (!is_valid_name(info.node.value, 64)) {
    return Error{Code::invalid, "a node id is 1 to 64 of [A-Za-z0-9._-]"};
  }
  if (!are_fine(info.labels, 256, 1024) || !are_fine(info.metadata, 256, 4096) ||
      !is_utf8(info.address.host) || !is_utf8(info.api_address.host) ||
      !is_utf8(info.software_version) || !are_fine(info.file_roots, 256, 4096) ||
      !is_utf8(info.home.machine) || info.home.machine.size() > 64) {
    return Error{Code::invalid, "labels, metadata or file roots of " + info.node.value +
                                    " are too many, too long or not UTF-8"};
  }
  if (state_.removed(info.incarnation) != nullptr && !CANARY(admits_the_removed)) {
    return Error{Code::gone, info.node.value + " was removed"};
  }
  const Member* known = state_.member(info.incarnation);
  const Incarnation* bearer = state_.labels_.find(info.node);
  if (known != nullptr && bearer != nullptr && *bearer != info.incarnation) {
    return Error{Code::conflict, "the name " + info.node.value +
                                     " has passed to another incarnation: start this node with "
                                     "another id, or remove the other"};
  }
  if (known != nullptr && known->info == info) {
    if (command.outwaited && !known->heir) {
      changes_.change_member(info.incarnation, [](Member& member) { member.heir = true; });
    }
    return std::nullopt;
  }
  if (command.outwaited) {
    return Error{Code::conflict, info.node.value + " was started again meanwhile"};
  }
  if (known != nullptr && info.boot < known->info.boot) {
    // This is a late message of an earlier process. It must not count as a restart of the process
    // that runs now.
    return Error{Code::conflict, info.node.value + " was started again since it said that"};
  }
  if (known != nullptr && info.boot == known->info.boot && known->info.start != 0 &&
      info.start != known->info.start) {
    return Error{Code::conflict, info.node.value + " runs from two copies of one data directory"};
  }

  if (const FeatureSet lacks = state_.features_.without(command.features); !lacks.empty()) {
    return Error{Code::conflict, why_refused(info.software_version, lacks)};
  }

  Data data{{"incarnation", std::to_string(info.incarnation.value)},
            {"address", info.address.text()}};
  if (bearer != nullptr && *bearer != info.incarnation) {
    data["replaces"] = std::to_string(bearer->value);
  }
  const bool joined = known == nullptr;
  Member member = joined ? Member{} : *known;
  // A new boot: the work of the old process has died with it, and its epochs, too.
  if (joined || member.info.boot != info.boot) {
    member.admitted_at = index_;
    // The next process is there, so the one that was shut down was an earlier one.
    if (member.health == Health::stopped) member.reason = HealthReason::none;
    // The end of the last process proves the end of the earlier ones only if it was itself their
    // heir.
    member.heir = joined || (member.heir && info.home.is_known() && info.home == member.info.home);
  }
  const Address before = member.info.address;
  member.info = info;
  if (CANARY(keeps_old_addresses) && !joined) member.info.address = before;
  take_label(info);
  changes_.put(std::move(member));
  event(joined ? "node_joined" : "node_updated", info.node.value, std::move(data));
  return std::nullopt;
}

// The newcomer gets the label. The member that had it stays a member, so that its work is released
// by the rules. It leaves once nothing runs there.
void Applier::take_label(const MemberInfo& info) {
  const Incarnation* bearer = state_.labels_.find(info.node);
  if (bearer != nullptr && *bearer != info.incarnation) {
    changes_.change_member(*bearer,
                           [](Member& old) { old.leaving = old.draining = old.forced = true; });
  }
  const Member* before = state_.member(info.incarnation);
  if (before != nullptr && before->info.node != info.node) {
    const Incarnation* known = state_.labels_.find(before->info.node);
    if (known != nullptr && *known == info.incarnation) state_.labels_.erase(before->info.node);
  }
  state_.labels_.set(info.node, info.incarnation);
}

Applier::Rejected Applier::on(const RemoveMember& command) {
  const Member* member = state_.member(command.incarnation);
  if (member == nullptr) return no_member(command.incarnation);
  const NodeId node = member->info.node;
  if (!member->leaving) return Error{Code::conflict, node.value + " is not to be removed"};
  if (const uint32_t owned = state_.owned(command.incarnation); owned > 0) {
    return Error{Code::conflict, node.value + " still owns " + std::to_string(owned) +
                                     " processors: release and reassign them first"};
  }
  const Incarnation* bearer = state_.labels_.find(node);
  if (bearer != nullptr && *bearer == command.incarnation) state_.labels_.erase(node);
  remember_removed(command.incarnation, node, command.reason);
  changes_.erase_member(command.incarnation);
  Data data = tied_to(node);
  data["incarnation"] = std::to_string(command.incarnation.value);
  data["reason"] = command.reason;
  event("node_left", node.value, std::move(data));
  return std::nullopt;
}

// The processors whose source is on that node. Without the node they have no place until a user
// gives them one.
Applier::Data Applier::tied_to(const NodeId& node) const {
  constexpr uint64_t kNamed = 20;
  uint64_t count = 0;
  std::string names;
  state_.each_pinned(node, [&](const ProcessorId& id) {
    const ProcessorSpec* spec = state_.processors().find(id);
    if (state_.assignments().find(id)->deleted || spec == nullptr) return;
    if (!spec->node_local || ++count > kNamed) return;
    names += (names.empty() ? "" : ", ") + (spec->flow.empty() ? "" : spec->flow.value + "/") +
             (spec->name.empty() ? spec->type : spec->name);
  });
  if (count == 0) return {};
  return {{"homeless", std::to_string(count)}, {"processorNames", names}};
}

void Applier::remember_removed(Incarnation incarnation, const NodeId& node,
                               const std::string& reason) {
  if (state_.removed_.size() >= State::kRemovedKept) {
    std::pair<LogIndex, Incarnation> oldest{index_, incarnation};
    state_.removed_.each([&](Incarnation id, const Removed& removed) {
      oldest = std::min(oldest, {removed.index, id});
    });
    state_.removed_.erase(oldest.second);
  }
  state_.removed_.set(incarnation, Removed{node, index_, reason});
}

Applier::Rejected Applier::on(const SetVerdict& command) {
  const Member* member = state_.member(command.incarnation);
  if (member == nullptr) return no_member(command.incarnation);
  const Member before = *member;
  Member after = before;
  after.health = command.health;
  after.reason = command.reason;
  after.quarantine_ms = command.quarantine_ms;
  // Each new failure that gets a quarantine counts; a longer quarantine for the same failure does
  // not.
  if (has_failed(after) && !has_failed(before) && after.quarantine_ms > 0) {
    after.quarantine_count += 1;
  }
  if (after == before) return std::nullopt;
  verdict_event(before, after);
  changes_.put(std::move(after));
  return std::nullopt;
}

void Applier::verdict_event(const Member& before, const Member& after) {
  const char* type = "node_updated";
  if (has_failed(after) && !has_failed(before)) {
    type = "node_failed";
  } else if (after.health == Health::stopped && before.health != Health::stopped) {
    type = "node_stopped";
  } else if (after.health == Health::healthy && before.health == Health::stopped) {
    type = "node_started";
  } else if (after.health == Health::healthy && before.health != Health::healthy) {
    type = "node_recovered";
  } else if (after.health == Health::degraded && before.health != Health::degraded) {
    type = "node_degraded";
  }
  Data data{{"state", name(after.health)}, {"reason", name(after.reason)}};
  if (after.quarantine_ms > 0) data["quarantinedForMs"] = std::to_string(after.quarantine_ms);
  event(type, after.info.node.value, std::move(data));
}

Applier::Rejected Applier::on(const SetDraining& command) {
  const Member* member = state_.member(command.incarnation);
  if (member == nullptr) return no_member(command.incarnation);
  if (member->draining == command.draining && member->leaving == command.leaving &&
      member->forced == command.forced) {
    return std::nullopt;
  }
  const char* type = command.leaving    ? "node_leaving"
                     : command.draining ? "node_draining"
                                        : "node_undrained";
  event(type, member->info.node.value, command.leaving ? tied_to(member->info.node) : Data{});
  changes_.change_member(command.incarnation, [&](Member& changed) {
    changed.draining = command.draining;
    changed.leaving = command.leaving;
    changed.forced = command.forced;
  });
  return std::nullopt;
}

Applier::Rejected Applier::on(const NoteEmpty& command) {
  const Member* member = state_.member(command.incarnation);
  if (member == nullptr) return no_member(command.incarnation);
  if (state_.owned(command.incarnation) > 0) {
    return Error{Code::conflict, member->info.node.value + " was given work meanwhile"};
  }
  // 0: an older version wrote the command and could not name the index.
  if (command.as_of != 0 && member->work_at > command.as_of) {
    return Error{Code::conflict, member->info.node.value + " had work after it said that"};
  }
  changes_.change_member(command.incarnation, [](Member& changed) { changed.holds_data = false; });
  return std::nullopt;
}

Applier::Rejected Applier::on(const SetLogTime& command) {
  if (command.to_ms <= 0 || command.to_ms >= state_.now_ms_) {
    return Error{Code::conflict, "log time steps back only"};
  }
  const int64_t back = state_.now_ms_ - command.to_ms;
  state_.now_ms_ = command.to_ms;
  event("log_time_stepped_back", "", {{"byMs", std::to_string(back)}});
  return std::nullopt;
}

Applier::Rejected Applier::on(const BeginGeneration& command) {
  if (command.generation != state_.generation_ + 1) {
    return Error{Code::conflict, "generation " + std::to_string(command.generation) +
                                     " does not follow generation " +
                                     std::to_string(state_.generation_)};
  }
  if (state_.member(command.survivor) == nullptr) return no_member(command.survivor);
  if (!CANARY(generation_stays)) state_.generation_ = command.generation;
  state_.generation_at_ = index_;
  event("generation_began", label(command.survivor),
        {{"generation", std::to_string(command.generation)}});
  return std::nullopt;
}

Applier::Rejected Applier::on(const NoteAction& command) {
  event("action_asked", "", {{"action", command.action}, {"subject", command.subject}});
  return std::nullopt;
}

// Whether each node that runs has those features does not follow from the state, so the leader says
// which processes it has counted.
Applier::Rejected Applier::on(const ActivateFeatures& command) {
  const FeatureSet fresh = command.features.without(state_.features_);
  if (fresh.empty()) return std::nullopt;
  bool counted = command.members.size() == state_.members().size();
  Incarnation last;
  for (const auto& process : command.members) {
    counted = counted && last < process.incarnation;
    last = process.incarnation;
    const Member* member = state_.member(process.incarnation);
    counted = counted && member != nullptr && member->info.boot == process.boot &&
              member->info.start == process.start;
  }
  if (!counted) return Error{Code::conflict, "the members have changed since they were counted"};
  state_.features_ = state_.features_.with(fresh);
  event("features_activated", "", {{"features", names_of(fresh)}});
  return std::nullopt;
}

Applier::Rejected Applier::on(const SetVoters& command) {
  std::vector<Incarnation> voters = command.voters;
  std::sort(voters.begin(), voters.end());
  std::vector<Incarnation> changed;
  state_.members().each([&](Incarnation id, const Member& member) {
    if (member.voter != std::binary_search(voters.begin(), voters.end(), id)) changed.push_back(id);
  });
  for (const Incarnation id : changed) {
    changes_.change_member(id, [](Member& member) { member.voter = !member.voter; });
    event(state_.member(id)->voter ? "voter_added" : "voter_removed", label(id), {});
  }
  if (command.leader != state_.leader_) {
    state_.leader_ = command.leader;
    event("leader_elected", label(command.leader),
          {{"incarnation", std::to_string(command.leader.value)}});
  }
  return std::nullopt;
}

// ---- Events

void Applier::event(const char* type, const std::string& node, Data data) {
  if (by_) {
    data["by"] = by_.name;
    data["byAddress"] = by_.address;
  }
  state_.events_.append(
      KeptEvent(Event{EventId{index_, k_++}, state_.now_ms_, type, node, std::move(data)}));
  state_.trim_events();
}

std::string Applier::label(Incarnation incarnation) const {
  const Member* member = state_.member(incarnation);
  return member == nullptr ? std::string() : member->info.node.value;
}

// ---- Results of requests (safety.md 5.5)

std::optional<Applied> Applier::seen(const Command& command) const {
  if (command.request) {
    if (const Applied* first = state_.remembered(command.request)) return *first;
    const uint64_t* forgotten = state_.forgotten_.find(command.request.from);
    if (forgotten != nullptr && command.request.counter <= *forgotten) {
      Applied too_old;
      too_old.index = index_;
      too_old.rejected = Error{Code::timed_out,
                               "the request is too old to know whether it took effect: look first"};
      return too_old;
    }
  }
  if (command.idempotency_key.empty() || CANARY(forgets_keys)) return std::nullopt;
  return state_.remembered(command.idempotency_key, command.fingerprint);
}

void Applier::remember(const Command& command, const Applied& applied) {
  if (!command.request && command.idempotency_key.empty()) return;
  const bool added = state_.results_.add(
      {applied, command.idempotency_key, command.request, state_.age_ms_, command.fingerprint});
  CHECK(added || CANARY(forgets_keys));
  forget_old();
}

void Applier::forget_old() {
  while (const auto old = state_.results_.take_old(state_.age_ms_)) {
    if (!old->request) continue;
    const uint64_t* known = state_.forgotten_.find(old->request.from);
    if (known == nullptr || *known < old->request.counter) {
      state_.forgotten_.set(old->request.from, old->request.counter);
    }
  }
}

}  // namespace databridge
