#include "sim/node_checker.h"

#include <algorithm>

#include "node/raft_log_store.h"

namespace databridge::sim {
namespace {

std::string text(Epoch epoch) {
  return std::to_string(epoch.generation) + ":" + std::to_string(epoch.index);
}

}  // namespace

void NodeChecker::fail(std::string text) {
  if (!violation_) violation_ = std::move(text);
}

void NodeChecker::observe(size_t node, const cluster::View& view, bool leading) {
  if (leading) {
    const auto [found, fresh] = leaders_.emplace(view.term, view.self.incarnation);
    if (fresh) ++totals["elections"];
    if (found->second != view.self.incarnation) {
      fail("two leaders in term " + std::to_string(view.term));
    }
  }
  const LogIndex version = view.state.version();
  if (version == versions_[node]) return;
  versions_[node] = version;
  const auto [found, fresh] = hashes_.emplace(version, view.state.hash());
  if (fresh) ++totals["commits"];
  if (found->second != view.state.hash()) {
    fail("states differ at index " + std::to_string(version) + " (node " + std::to_string(node) +
         ")");
  }
  if (strict) write_ledger(node, view);
  observe_members(view, leading);
  view.state.assignments().each([&](const ProcessorId& processor, const Assignment& assignment) {
    if (version < moves_seen_) return;  // A node that lags may show old epochs.
    if (!assignment.epoch) return;      // It is new, or was made anew.
    Epoch& newest = epochs_[processor];
    if (assignment.epoch < newest) {
      fail("the epoch of " + processor.text() + " went from " + text(newest) + " to " +
           text(assignment.epoch));
    }
    if (assignment.epoch > newest) {
      if (newest) ++totals["moves"];
      newest = assignment.epoch;
      if (++tenures_[processor] == kMany) ++totals["processors of 300 epochs"];
    }
  });
  moves_seen_ = std::max(moves_seen_, version);
  // Each look checks one acknowledged key, in turn.
  auto next = acknowledged_.upper_bound(looked_at_);
  if (next == acknowledged_.end()) next = acknowledged_.begin();
  if (next == acknowledged_.end()) return;
  looked_at_ = next->first;
  if (strict && ledger_.version() < version) return;  // It is not known whether it was restored.
  if (next->second.second <= version) check_kept(*next, view.state);
}

void NodeChecker::logged(size_t node, BytesView record) {
  const auto entry = node::RaftLogStore::entry_of(record);
  if (!entry) return fail("node " + std::to_string(node) + " logs what cannot be read");
  std::map<LogIndex, Term>& log = logs_[node];
  const auto before = log.find(entry->index - 1);
  Logged now{hash64(entry->data.view(), static_cast<uint64_t>(entry->kind)), {}, {}};
  if (entry->kind == raft::Entry::Kind::command && entry->index > ledger_.version()) {
    now.command = Bytes(entry->data.view());
  }
  if (before != log.end()) now.before = before->second;
  log[entry->index] = entry->term;
  Logged& first = entries_.try_emplace({entry->index, entry->term}, now).first->second;
  if (!first.before) first.before = now.before;
  if (first.hash == now.hash && (!now.before || first.before == now.before)) return;
  fail("node " + std::to_string(node) + " logs another entry " + std::to_string(entry->index) +
       " of term " + std::to_string(entry->term) + " than a node before");
}

// A node shows only committed state, and its log says how that state came to be, as far back as it
// reaches.
void NodeChecker::write_ledger(size_t node, const cluster::View& view) {
  const std::map<LogIndex, Term>& log = logs_[node];
  while (ledger_.version() < view.state.version()) {
    const LogIndex index = ledger_.version() + 1;
    const auto term = log.find(index);
    if (term == log.end()) return;  // The log of another node has it.
    std::optional<Bytes>& command = entries_.at({index, term->second}).command;
    const BytesView bytes = command ? BytesView(*command) : BytesView();
    ledger_.committed(command ? &bytes : nullptr);
    command.reset();
  }
  if (ledger_.version() == view.state.version() && ledger_.state().hash() != view.state.hash()) {
    fail("node " + std::to_string(node) + " shows another state at index " +
         std::to_string(ledger_.version()) + " than its log makes");
  }
  if (ledger_.version() == view.state.version()) check_events(node, view.state);
}

// Whatever snapshots a node has written, read or installed, its events are those of the log, under
// the same numbers, up to the newest one.
void NodeChecker::check_events(size_t node, const State& state) {
  const auto& made = ledger_.state().events();
  const auto& shown = state.events();
  bool same = shown.end() == made.end();
  if (same && !shown.empty()) {
    const uint64_t some = shown.begin() + state.version() * 7 % shown.size();
    for (const uint64_t at : {shown.begin(), some, shown.end() - 1}) {
      same = same && shown.at(at).event() == made.at(at).event();
    }
  }
  if (!same) {
    fail("node " + std::to_string(node) + " shows other events at index " +
         std::to_string(state.version()) + " than its log makes");
  }
}

void NodeChecker::unlogged(size_t node, LogIndex from, LogIndex to) {
  std::map<LogIndex, Term>& log = logs_[node];
  log.erase(log.lower_bound(from), log.lower_bound(to));
}

void NodeChecker::arrived(size_t node, const std::string& flow_file, uint64_t epoch, bool told) {
  Putting& putting = putting_[node];
  if (told) putting.put[putting.work].push_back(flow_file);
  if (strict && taken_.contains(flow_file) && !restores && !may_repeat) {
    fail(flow_file + " is put again, though the commit of the trigger that took it is durable");
  }
  const uint64_t first = arrived_.try_emplace(flow_file, epoch).first->second;
  if (first == epoch || restores) return;
  fail(flow_file + " was accepted from two owners, of the epochs " + std::to_string(first) +
       " and " + std::to_string(epoch));
}

void NodeChecker::handed_in(size_t node, const ProcessorId& processor, Epoch epoch,
                            uint64_t commit) {
  Putting& putting = putting_[node];
  const auto put = putting.put.find({processor, epoch});
  if (put == putting.put.end()) return;
  putting.handed_in[{put->first, commit}] = std::move(put->second);
  putting.put.erase(put);
}

void NodeChecker::safe(size_t node, const ProcessorId& processor, Epoch epoch, uint64_t commit) {
  auto& handed_in = putting_[node].handed_in;
  const auto files = handed_in.find({{processor, epoch}, commit});
  if (files == handed_in.end()) return;
  taken_.insert(files->second.begin(), files->second.end());
  handed_in.erase(files);
}

void NodeChecker::ended(size_t node) { putting_.erase(node); }

std::optional<uint64_t> NodeChecker::epoch_of(const std::string& flow_file) const {
  const auto found = arrived_.find(flow_file);
  return found == arrived_.end() ? std::nullopt : std::optional(found->second);
}

void NodeChecker::check_kept(const Acknowledged::value_type& one, const State& state) {
  const auto& [key, written] = one;
  if (written.second <= ledger_.restored_at()) return;
  const ConfigItem* item = state.config().find(key);
  if (item != nullptr && item->json == written.first) return;
  fail("the acknowledged write of " + key + " at index " + std::to_string(written.second) +
       " is lost");
}

// A removed member is never again a member or a leader.
void NodeChecker::observe_members(const cluster::View& view, bool leading) {
  const LogIndex version = view.state.version();
  view.state.members().each([&](Incarnation who, const Member& member) {
    members_.emplace(who, version);
    const auto removed = removed_.find(who);
    if (removed != removed_.end() && version > removed->second) {
      fail(member.info.node.value + " is a member again, after it was removed");
    }
  });
  for (const auto& [who, since] : members_) {
    if (since > version || view.state.member(who) != nullptr) continue;
    LogIndex& gone = removed_.try_emplace(who, version).first->second;
    gone = std::min(gone, version);
  }
  const auto self = removed_.find(view.self.incarnation);
  if (leading && self != removed_.end() && version > self->second) {
    fail(view.self.node.value + " leads, after it was removed");
  }
}

void NodeChecker::acknowledged(const std::string& key, const std::string& json, LogIndex index) {
  ++totals["acknowledged"];
  acknowledged_[key] = {json, index};
  acknowledged_upto_ = std::max(acknowledged_upto_, index);
}

void NodeChecker::at(Instant now, Duration remembered) {
  if (acknowledged_at_.empty() || acknowledged_at_.back().second != acknowledged_upto_) {
    acknowledged_at_.emplace_back(now, acknowledged_upto_);
  }
  while (acknowledged_at_.size() > 1 && acknowledged_at_[1].first < now - remembered) {
    acknowledged_at_.pop_front();
  }
}

void NodeChecker::caught_up(size_t node, LogIndex version, Instant then) {
  ++totals["caught up"];
  LogIndex least = 0;
  for (const auto& [when, index] : acknowledged_at_) {
    if (when < then) least = index;
  }
  if (version < least) {
    fail("node " + std::to_string(node) + " says that it is caught up at " +
         std::to_string(version) + ", but " + std::to_string(least) + " was acknowledged before");
  }
}

void NodeChecker::linearizable_read(LogIndex least, LogIndex index) {
  ++totals["reads"];
  if (index < least) {
    fail("a linearizable read at " + std::to_string(index) +
         " missed a write that was acknowledged at " + std::to_string(least) + " before it began");
  }
}

void NodeChecker::began(size_t node, const ProcessorId& processor, Epoch epoch, Instant at,
                        Instant lease_until) {
  ++totals["triggers"];
  Putting& putting = putting_[node];
  putting.work = {processor, epoch};
  putting.put[putting.work].clear();
  if (at >= lease_until) {
    fail("node " + std::to_string(node) + " began a trigger of " + processor.text() +
         " after its lease had ended");
  }
  Tenure& newest = begun_[processor];
  const auto wrong = [&](const std::string& why) {
    fail("node " + std::to_string(node) + " began a trigger of " + processor.text() +
         " under epoch " + text(epoch) + why);
  };
  if (epoch < newest.epoch) wrong(" when " + text(newest.epoch) + " already ran");
  if (newest.epoch && epoch > newest.epoch && still_runs(processor, newest)) {
    wrong(" while node " + std::to_string(newest.node) + " still ran it under " +
          text(newest.epoch) + " and its lease");
  }
  if (epoch >= newest.epoch) newest = {node, epoch, lease_until};
}

void NodeChecker::acknowledged_once(const std::string& key, const std::string& json,
                                    LogIndex index) {
  const auto known = acknowledged_.find(key);
  if (known == acknowledged_.end()) return acknowledged(key, json, index);
  ++totals["answered again"];
  if (known->second.second == index) return;
  fail("the request of " + key + " was acknowledged at index " +
       std::to_string(known->second.second) + ", and at " + std::to_string(index));
}

void NodeChecker::answered_once(const std::string& request, LogIndex index) {
  const auto [known, first] = answered_once_.try_emplace(request, index);
  if (!first) ++totals["answered again"];
  if (known->second == index) return;
  fail("the request " + request + " was answered with index " + std::to_string(known->second) +
       ", and with " + std::to_string(index));
}

bool NodeChecker::is_known_as(LogIndex version, uint64_t hash) const {
  const auto known = hashes_.find(version);
  return known == hashes_.end() || known->second == hash;
}

void NodeChecker::recovered(LogIndex common) {
  const auto is_after = [common](const auto& one) { return one.second > common; };
  leaders_.clear();
  std::erase_if(entries_, [common](const auto& one) { return one.first.first > common; });
  logs_.clear();
  hashes_.erase(hashes_.upper_bound(common), hashes_.end());
  versions_.clear();
  std::erase_if(members_, is_after);
  std::erase_if(removed_, is_after);
  epochs_.clear();
  std::erase_if(acknowledged_, [common](const auto& one) { return one.second.second > common; });
  std::erase_if(answered_once_, is_after);
  acknowledged_upto_ = std::min(acknowledged_upto_, common);
  acknowledged_at_.clear();
  moves_seen_ = std::min(moves_seen_, common);
}

void NodeChecker::check_all(const State& state) {
  if (strict && ledger_.version() < state.version())
    fail("the ledger lacks entries that were committed");
  std::map<std::string, int> changes;
  state.events().each([&](uint64_t, const KeptEvent& event) {
    const bool deleted = !event.datum("deleted").empty();
    if (event.type() == "config_changed" && !deleted) ++changes[std::string(event.datum("key"))];
    const std::string flow(event.datum("flow"));
    if (flow.starts_with("once-") && event.type().starts_with("flow_")) {
      ++changes[std::string(event.type()) + " " + flow];
    }
  });
  for (const auto& [key, times] : changes) {
    if (times > 1 && !restores && (key.starts_with("key/") || key.starts_with("once/")))
      fail(key + " was written " + std::to_string(times) + " times");
  }
  for (const auto& one : acknowledged_) check_kept(one, state);
}

}  // namespace databridge::sim
