// Membership changes: one server at a time (thesis §4.2), never before an entry of this term is
// committed (the fix of 2015), and only if a majority of the resulting voters can be reached.
#include <algorithm>

#include "base/canary.h"
#include "raft/codec.h"
#include "raft/core.h"
#include "raft/quorum.h"

namespace databridge::raft {

Result<Position> Core::propose_configuration(const Change& change, Instant now) {
  now_ = std::max(now_, now);
  if (role_ != Role::leader) return fail(Code::no_leader, "not the leader");
  if (transferee_ != 0) return fail(Code::conflict, "leadership is being handed over");
  if (!CANARY(two_changes_at_once)) {
    if (hard_.commit < term_start_) {
      return fail(Code::conflict, "no entry of this term is committed yet");
    }
    if (members_.latest_index() > hard_.commit) {
      return fail(Code::conflict, "another membership change is under way");
    }
  }
  auto next = changed(members_.latest(), change);
  if (!next) return tl::make_unexpected(next.error());

  const auto reachable = [&](ServerId id) {
    const auto peer = peers_.find(id);
    return id == options_.id ||
           (peer != peers_.end() && peer->second.contact > now_ - options_.election);
  };
  if (change.kind == Change::Kind::promote) {
    const Progress& peer = peers_.at(change.server);
    if (peer.flow != Progress::Flow::replicate || !reachable(change.server) ||
        peer.match + options_.promote_lag_max < log_.last()) {
      return fail(Code::unavailable,
                  "server " + std::to_string(change.server) + " has not caught up yet");
    }
  }
  if (next->voters != members_.latest().voters) {
    const auto there = std::count_if(next->voters.begin(), next->voters.end(), reachable);
    if (static_cast<size_t>(there) < majority(next->voters.size())) {
      return fail(Code::unavailable, "no majority of the resulting voters is reachable");
    }
  }
  append_own(Entry::Kind::configuration, Payload(encode_configuration(*next)));
  members_.append({hard_.term, log_.last()}, std::move(*next));
  configuration_changed();
  const Position position{hard_.term, log_.last()};
  advance_commit();  // A smaller quorum may have been reached already.
  return position;
}

// To be called when the newest configuration has changed: an entry came or went, or a snapshot
// came.
void Core::configuration_changed() {
  const Configuration& latest = members_.latest();
  if (latest.has(options_.id)) removed_ = false;
  std::erase_if(lost_.older_ones, [&](const auto& one) { return !latest.has(one.first); });
  if (role_ != Role::leader) return;

  for (auto& [id, peer] : peers_) {
    if (latest.has(id)) {
      peer.leaving = 0;
    } else if (peer.leaving == 0) {
      peer.leaving = members_.latest_index();
      peer.moved = now_;
    }
  }
  for (const auto* group : {&latest.voters, &latest.learners}) {
    for (const ServerId id : *group) {
      if (id == options_.id || peers_.contains(id)) continue;
      peers_[id].next = std::max<Index>(log_.last(), 1);
    }
  }
  if (transferee_ != 0 && !latest.is_voter(transferee_)) stop_transfer();
  sends_due_ = true;
}

// A removed server is served until it was told that its removal is committed, or cannot be reached.
void Core::forget_the_departed() {
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    const Progress& p = peer->second;
    const bool told = p.leaving != 0 && p.commit_sent >= p.leaving;
    const bool given_up =
        p.leaving != 0 && p.leaving <= hard_.commit && now_ >= p.moved + 2 * options_.election;
    peer = told || given_up ? peers_.erase(peer) : std::next(peer);
  }
}

void Core::after_commit() {
  const Configuration& committed = members_.at(hard_.commit);
  if (!committed.has(options_.id) && members_.latest_index() <= hard_.commit &&
      (was_member_ || role_ == Role::leader)) {
    removed_ = true;
  }
  if (committed.has(options_.id)) was_member_ = true;
  if (role_ != Role::leader) return;
  for (Read& read : reads_) {
    if (read.index == 0 && hard_.commit >= term_start_) read.index = hard_.commit;
  }
  if (members_.latest_index() > hard_.commit || committed.is_voter(options_.id)) return;

  // This leader has committed its own removal (thesis §4.2.2), and hands over to leave no gap.
  ServerId heir = 0;
  for (const ServerId voter : committed.voters) {
    if (heir == 0 || peers_[voter].match > peers_[heir].match) heir = voter;
  }
  if (peers_[heir].match == log_.last()) {
    send_after_persist_.push_back(message(Message::Kind::timeout_now, heir));
  }
  for (auto& [id, peer] : peers_) send_heartbeat(id, peer);
  become_follower(hard_.term, 0);
}

}  // namespace databridge::raft
