// Disks of a simulated cluster that are put back to an older copy, strangers with absurd terms, and
// the greetings of servers that are linked.
//
// While a leader lives that knows what such a server had acknowledged, all promises hold, and the
// loss is noticed soon. If no leader knows it, one promise is left: no server keeps a state that
// differs from the others without saying so.
#include <fmt/format.h>

#include <algorithm>

#include "sim/raft_world.h"

namespace databridge::sim {
namespace {

constexpr int64_t kUs = 1000;
constexpr int64_t kMs = 1000 * kUs;

bool longer(const raft::Position& a, const raft::Position& b) {
  return a.term > b.term || (a.term == b.term && a.index > b.index);
}

}  // namespace

// Links come up in both directions, and each end names its log.
void RaftWorld::greet(size_t slot) {
  for (size_t other = 0; other < servers_.size(); ++other) {
    if (other == slot || !servers_[other].raft) continue;
    if (!blocked_[other][slot]) {
      push(static_cast<int64_t>(random_.between(100 * kUs, 3 * kMs)), Event::Kind::greet, slot,
           servers_[other].id);
    }
    if (!blocked_[slot][other]) {
      push(static_cast<int64_t>(random_.between(100 * kUs, 3 * kMs)), Event::Kind::greet, other,
           servers_[slot].id);
    }
  }
}

void RaftWorld::greet_all() {
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    if (servers_[slot].raft) greet(slot);
  }
}

void RaftWorld::greeted(size_t slot, ServerId by) {
  const int other = slot_of(by);
  if (other < 0 || !servers_[static_cast<size_t>(other)].raft) return;
  const raft::Raft& greeter = *servers_[static_cast<size_t>(other)].raft;
  Server& server = servers_[slot];
  server.raft->peer_log(by, greeter.last());
  server.raft->term_named(greeter.term());
  server.linked[by] = greeter.last();
}

// Some servers never learn that the other end is gone.
void RaftWorld::say_gone(size_t slot) {
  for (size_t other = 0; other < servers_.size(); ++other) {
    if (other == slot || !servers_[other].raft || random_.chance(0.1)) continue;
    push(static_cast<int64_t>(random_.between(50 * kUs, 5 * kMs)), Event::Kind::gone, other,
         servers_[slot].id);
  }
}

void RaftWorld::heard(size_t slot, const raft::Message& message) {
  using Kind = raft::Message::Kind;
  Server& server = servers_[slot];
  const bool leads = message.kind == Kind::append || message.kind == Kind::heartbeat ||
                     message.kind == Kind::snapshot_chunk;
  if (leads && server.raft->leader() == message.from && server.raft->term() == message.term) {
    server.heard = local(server, now_);
  }
}

void RaftWorld::copy_a_disk() {
  if (!weather_.puts_back || !random_.chance(0.6)) return;
  Server& server = servers_[random_.below(servers_.size())];
  server.copy = server.disk;
}

// False while an earlier loss still counts: with two disks of three lost, nothing can be promised.
bool RaftWorld::may_lose(size_t slot) const {
  for (const Server& server : servers_) {
    for (const ServerId gone : wiped_) {
      if (server.disk.snapshot.configuration.has(gone)) return false;
      if (server.raft && server.raft->configuration().has(gone)) return false;
    }
    if (!server.raft || server.was_put_back) return false;
    const raft::Configuration& now = server.raft->configuration();
    if (now.is_voter(servers_[slot].id) && now.voters.size() < 3) return false;
  }
  return true;
}

// Whether a leader without a rival knows entries of this server that its copy lacks.
bool RaftWorld::leader_knows(size_t slot) const {
  const int place = leader_slot();
  if (place < 0 || static_cast<size_t>(place) == slot) return false;
  const Server& leader = servers_[static_cast<size_t>(place)];
  for (const Server& server : servers_) {
    if (server.paused_till > now_ || !server.raft) return false;
    if (server.raft->term() > leader.raft->term()) return false;
    if (server.raft->role() == raft::Role::leader && server.id != leader.id) return false;
  }
  for (const auto& row : blocked_) {
    if (std::find(row.begin(), row.end(), true) != row.end()) return false;
  }
  const raft::Status status = leader.raft->status();
  if (!status.committed_in_term) return false;
  return std::any_of(status.peers.begin(), status.peers.end(), [&](const raft::PeerStatus& peer) {
    return peer.id == servers_[slot].id && peer.match > servers_[slot].copy->last();
  });
}

void RaftWorld::put_back(size_t slot) {
  Server& server = servers_[slot];
  if (!server.copy) return;
  const bool known = may_lose(slot) && leader_knows(slot);
  if (!known && !weather_.unseen) return;
  ++totals_.put_back;
  if (known) {
    const Server& leader = servers_[static_cast<size_t>(leader_slot())];
    const int64_t patience = 20 * weather_.options.election.count() + 500 * kMs;
    watch_ = Watch{slot, leader.id, leader.raft->term(), now_ + patience};
  } else {
    forgive();
  }
  stop(slot, false);
  server.disk = *server.copy;
  server.copy.reset();
  server.was_put_back = true;
  push(static_cast<int64_t>(random_.between(1 * kMs, 50 * kMs)), Event::Kind::restart, slot);
}

// A late message may have brought the lost entries back before the loss was noticed.
bool RaftWorld::has_it_again(const raft::Status& leader) const {
  const Server& server = servers_[watch_->slot];
  if (!server.raft) return false;
  return std::any_of(leader.peers.begin(), leader.peers.end(), [&](const raft::PeerStatus& peer) {
    return peer.id == server.id && peer.older_copy.empty() && server.disk.last() >= peer.match;
  });
}

void RaftWorld::forgive() {
  watch_.reset();
  forgiving_ = true;
  checker_.forgive();
}

// One frame of a process that is no member.
void RaftWorld::stranger(size_t slot) {
  Server& server = servers_[slot];
  // A new server must believe any term that it hears.
  if (!server.raft || server.paused_till > now_ || server.raft->term() == 0) return;
  ++totals_.strangers;
  raft::Message message;
  message.kind = static_cast<raft::Message::Kind>(
      random_.between(static_cast<uint64_t>(raft::Message::Kind::pre_vote),
                      static_cast<uint64_t>(raft::Message::Kind::timeout_now)));
  message.from = random_.next() | 1;
  message.to = server.id;
  message.term = Term{1} << 62;
  message.index = message.kind == raft::Message::Kind::snapshot_chunk ? 1 : 0;
  server.raft->step(message, local(server, now_));
  process(slot);
}

void RaftWorld::mind_losses(size_t slot) {
  Server& server = servers_[slot];
  if (server.led) server.heard = local(server, now_);
  if (watch_) {
    const int place = slot_of(watch_->leader);
    const auto* leader = place < 0 ? nullptr : &servers_[static_cast<size_t>(place)];
    if (server.raft->term() > watch_->term || leader == nullptr || !leader->raft ||
        leader->raft->role() != raft::Role::leader) {
      forgive();  // It was deposed before it noticed.
    } else if (has_it_again(leader->raft->status())) {
      watch_.reset();
    } else if (now_ > watch_->until) {
      checker_.fail(fmt::format("an older copy, {:x}, is not noticed by the leader that knows",
                                servers_[watch_->slot].id));
    }
  }
  if (!server.raft->older_copy().empty() && !server.was_put_back) {
    checker_.fail(fmt::format("{:x} takes itself for an older copy: {}", server.id,
                              server.raft->older_copy()));
  }
  if (!server.raft->diverged().empty() && !forgiving_) {
    checker_.fail(fmt::format("{:x} has diverged: {}", server.id, server.raft->diverged()));
  }
}

// For a while after a leader was heard, a server must not ask for votes if a linked voter has named
// a longer log.
void RaftWorld::check_campaign(size_t slot, const raft::Ready& ready) {
  using Kind = raft::Message::Kind;
  const Server& server = servers_[slot];
  const auto asks = [](const raft::Message& m) {
    return (m.kind == Kind::vote || m.kind == Kind::pre_vote) && !m.transfer;
  };
  const auto& sent = ready.send_after_persist;
  const auto asked = std::find_if(sent.begin(), sent.end(), asks);
  if (asked == sent.end()) return;
  if (local(server, now_) >= server.heard + weather_.options.longer_log_wait) return;
  for (const auto& [id, position] : server.linked) {
    if (!server.raft->configuration().is_voter(id)) continue;
    if (!longer(position, {asked->log_term, asked->index})) continue;
    checker_.fail(
        fmt::format("{:x} campaigns although {:x} has named a longer log", server.id, id));
  }
}

// In one term, a server acknowledges entries to one leader only.
void RaftWorld::check_answer(const raft::Message& message) {
  if (message.kind != raft::Message::Kind::append_reply || message.reject) return;
  const int slot = slot_of(message.from);
  if (slot < 0) return;
  auto& known = servers_[static_cast<size_t>(slot)].acknowledged_to;
  const auto [leader, fresh] = known.try_emplace(message.term, message.to);
  if (leader->second == message.to) return;
  checker_.fail(fmt::format("{:x} acknowledges to {:x} and to {:x} in term {}", message.from,
                            leader->second, message.to, message.term));
}

// A follower that does not say that it has diverged must hold the same states as its leader.
void RaftWorld::check_silence() {
  const int place = leader_slot();
  if (place < 0) return;
  const Server& leader = servers_[static_cast<size_t>(place)];
  if (!leader.raft->status().committed_in_term) return;
  for (const Server& server : servers_) {
    if (!server.raft || !leader.raft->configuration().has(server.id)) continue;
    if (!server.raft->diverged().empty() || !leader.raft->diverged().empty()) continue;
    for (const auto& [index, state] : server.states) {
      const auto other = leader.states.find(index);
      if (other == leader.states.end() || other->second == state) continue;
      checker_.fail(fmt::format(
          "{:x} holds another state at {} than its leader, and does not say so", server.id, index));
      return;
    }
  }
}

// Its disk cannot be used any more: the server comes back with a new id and an empty disk.
void RaftWorld::replace(size_t slot) {
  stop(slot, false);
  Server& server = servers_[slot];
  if (server.was_put_back) ++totals_.noticed;
  if (watch_ && watch_->slot == slot) watch_.reset();
  wiped_.push_back(server.id);
  server.id = random_.next() | 1;
  server.disk = {};
  server.copy.reset();
  server.was_put_back = false;
  push(static_cast<int64_t>(random_.between(1 * kMs, 100 * kMs)), Event::Kind::restart, slot);
}

}  // namespace databridge::sim
