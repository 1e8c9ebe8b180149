// Clients of a simulated cluster, its faults, and the calm that follows.
#include <fmt/format.h>

#include <algorithm>

#include "sim/raft_world.h"

namespace databridge::sim {
namespace {

constexpr int64_t kUs = 1000;
constexpr int64_t kMs = 1000 * kUs;
constexpr size_t kSettleSteps = 60'000;

int64_t between(Random& random, int64_t low, int64_t high) {
  return static_cast<int64_t>(
      random.between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
}

}  // namespace

Weather::Weather(Random& random) {
  voters = random.chance(0.5) ? 3 : 5;
  spares = random.below(3);
  latency_min = between(random, 50 * kUs, 1 * kMs);
  latency_jitter =
      random.chance(0.3) ? between(random, 5 * kMs, 40 * kMs) : between(random, 100 * kUs, 4 * kMs);
  disk_min = between(random, 50 * kUs, 1 * kMs);
  disk_jitter =
      random.chance(0.3) ? between(random, 5 * kMs, 30 * kMs) : between(random, 100 * kUs, 3 * kMs);
  loss = random.chance(0.5) ? 0 : 0.2 * random.unit() * random.unit();
  duplicate = random.chance(0.5) ? 0 : 0.1 * random.unit();
  late = random.chance(0.5) ? 0 : 0.03 * random.unit();
  fifo = random.chance(0.5);
  drift = random.chance(0.3) ? 0 : 0.05;
  client_gap = between(random, 1 * kMs, 20 * kMs);
  nemesis_gap = between(random, 20 * kMs, 300 * kMs);
  reads = 0.4 * random.unit();
  compact_every = random.chance(0.2) ? 100'000 : random.between(5, 80);
  compact_keep = random.below(10);
  state_bytes = random.between(16, 400);
  hints = random.chance(0.6);
  for (uint64_t& weight : nemeses) weight = random.chance(0.4) ? 0 : random.between(1, 10);

  options.election = Duration(between(random, 60 * kMs, 150 * kMs));
  options.heartbeat = options.election / static_cast<int64_t>(random.between(5, 10));
  options.lost_stagger = Duration(between(random, 1 * kMs, 10 * kMs));
  options.append_entries_max = random.between(1, 20);
  options.append_bytes_max = random.chance(0.3) ? 40 : 1 << 20;
  options.appends_in_flight_max = random.between(1, 8);
  options.snapshot_chunk = random.between(16, 300);
  options.snapshot_chunks_in_flight = random.between(1, 4);
  options.uncommitted_max = random.chance(0.2) ? 20 : 300;
  options.committed_max = random.chance(0.2) ? 3 : 4096;
  options.promote_lag_max = random.between(1, 20);
  // Without the wait for a longer log, more rivals are elected: some bugs need them to show.
  options.longer_log_wait =
      options.election * static_cast<int64_t>(random.chance(0.6) ? 0 : random.between(1, 10));
  puts_back = random.chance(0.2);
  unseen = puts_back && random.chance(0.5);
  uint64_t& weight = nemeses[static_cast<size_t>(Nemesis::put_back)];
  weight = puts_back ? random.between(5, 30) : 0;
  nemeses[static_cast<size_t>(Nemesis::stranger)] = random.chance(0.2) ? 1 : 0;
  if (random.chance(0.3)) make_rivals(random);
}

// Leaders change often, and their messages arrive very late. Most rules of elections and commits
// are needed only then.
void Weather::make_rivals(Random& random) {
  nemesis_gap = between(random, 15 * kMs, 60 * kMs);
  late = 0.4 * random.unit();
  latency_jitter = between(random, 1 * kMs, 10 * kMs);
  fifo = false;
  drift = 0;
  client_gap = between(random, 1 * kMs, 5 * kMs);
  nemeses.fill(0);
  for (const Nemesis often :
       {Nemesis::crash_leader, Nemesis::isolate_leader, Nemesis::one_way, Nemesis::partition,
        Nemesis::stall_disk, Nemesis::crash, Nemesis::transfer}) {
    nemeses[static_cast<size_t>(often)] = random.between(1, 10);
  }
  options.longer_log_wait = {};
  puts_back = unseen = random.chance(0.3);
  nemeses[static_cast<size_t>(Nemesis::put_back)] = puts_back ? 10 : 0;
}

std::string Weather::text() const {
  return fmt::format(
      "{} voters, {} spares; latency {}+{} us{}, loss {:.3f}, duplicate {:.3f}, late {:.3f}; disk "
      "{}+{} us; drift {}; election {} us, heartbeat {} us; client every {} us, {:.2f} reads; "
      "nemesis "
      "every {} us, weights {}; compact every {} keeping {}; state {} bytes in chunks of {}; "
      "appends "
      "of {} entries, {} in flight; hints {}; longer logs wait {} us; disks put back {}, unseen {}",
      voters, spares, latency_min / kUs, latency_jitter / kUs, fifo ? " in order" : "", loss,
      duplicate, late, disk_min / kUs, disk_jitter / kUs, drift, options.election.count() / kUs,
      options.heartbeat.count() / kUs, client_gap / kUs, reads, nemesis_gap / kUs,
      fmt::join(nemeses, " "), compact_every, compact_keep, state_bytes, options.snapshot_chunk,
      options.append_entries_max, options.appends_in_flight_max, hints,
      options.longer_log_wait.count() / kUs, puts_back, unseen);
}

// A client asks any server that thinks it leads.
void RaftWorld::client() {
  if (quiet_) return;
  std::vector<size_t> leaders;
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    const Server& server = servers_[slot];
    if (server.raft && server.paused_till <= now_ && server.raft->role() == raft::Role::leader) {
      leaders.push_back(slot);
    }
  }
  if (leaders.empty()) return;
  const size_t slot = leaders[random_.below(leaders.size())];
  Server& server = servers_[slot];
  const Instant now = local(server, now_);
  for (uint64_t requests = random_.between(1, 4); requests > 0; --requests) {
    if (random_.chance(weather_.reads)) {
      server.reads.push_back({++contexts_, checker_.committed()});
      if (!server.raft->read_index(contexts_, now)) server.reads.pop_back();
    } else {
      Bytes command;
      append_little64(command, ++commands_);
      command.append(random_.below(24), 'x');
      (void)server.raft->propose(raft::Payload(std::move(command)), now);
    }
  }
  process(slot);
}

void RaftWorld::strike() {
  copy_a_disk();
  if (watch_) return;  // The promise holds only while the leader lives.
  uint64_t sum = 0;
  for (const uint64_t weight : weather_.nemeses) sum += weight;
  if (sum == 0) return;
  uint64_t pick = random_.below(sum);
  size_t which = 0;
  while (pick >= weather_.nemeses[which]) pick -= weather_.nemeses[which++];

  const auto nemesis = static_cast<Nemesis>(which);
  const int leader = leader_slot();
  const bool at_leader = nemesis == Nemesis::crash_leader || nemesis == Nemesis::isolate_leader ||
                         (nemesis != Nemesis::crash && random_.chance(0.4));
  size_t slot =
      at_leader && leader >= 0 ? static_cast<size_t>(leader) : random_.below(servers_.size());
  if (nemesis == Nemesis::crash && random_.chance(0.5)) {
    // A crash hurts most while a write is under way.
    for (size_t other = 0; other < servers_.size(); ++other) {
      if (!servers_[other].writes.empty()) slot = other;
    }
  }
  Server& server = servers_[slot];
  const int64_t e = weather_.options.election.count();
  switch (nemesis) {
    case Nemesis::crash:
    case Nemesis::crash_leader:
    case Nemesis::disk_error:
      if (!server.raft) break;
      ++(nemesis == Nemesis::disk_error ? totals_.disk_errors : totals_.crashes);
      // A failed write stops its server: neither it nor a later write is on the disk.
      stop(slot, nemesis != Nemesis::disk_error);
      push(random_.chance(0.5) ? between(random_, 0, 3 * kMs) : between(random_, 1 * kMs, 5 * e),
           Event::Kind::restart, slot);
      give_hints(slot);
      break;
    case Nemesis::pause:
      if (!server.raft) break;
      ++totals_.pauses;
      server.paused_till = now_ + between(random_, 1 * kMs, 4 * e);
      break;
    case Nemesis::partition:
      cut(random_.below(1 << servers_.size()));
      break;
    case Nemesis::isolate_leader:
      cut(uint64_t{1} << slot);
      break;
    case Nemesis::one_way:
      ++totals_.partitions;
      for (size_t other = 0; other < servers_.size(); ++other) {
        if (random_.chance(0.5)) blocked_[slot][other] = true;
      }
      push(between(random_, 5 * kMs, 5 * e), Event::Kind::heal);
      break;
    case Nemesis::stall_disk:
      server.disk_busy_till = now_ + between(random_, 5 * kMs, 3 * e);
      break;
    case Nemesis::transfer:
      if (leader < 0 || servers_[static_cast<size_t>(leader)].paused_till > now_) break;
      (void)servers_[static_cast<size_t>(leader)].raft->transfer(
          server.id, local(servers_[static_cast<size_t>(leader)], now_));
      process(static_cast<size_t>(leader));
      break;
    case Nemesis::change:
      change_members();
      break;
    case Nemesis::wipe:
      wipe();
      break;
    case Nemesis::put_back:
      put_back(slot);
      break;
    case Nemesis::stranger:
      stranger(slot);
      break;
  }
}

// Servers in `group` (a bit each) and the others cannot hear each other.
void RaftWorld::cut(uint64_t group) {
  ++totals_.partitions;
  blocked_ = {};
  for (size_t a = 0; a < servers_.size(); ++a) {
    for (size_t b = 0; b < servers_.size(); ++b) {
      blocked_[a][b] = ((group >> a) & 1) != ((group >> b) & 1);
    }
  }
  push(between(random_, 5 * kMs, 6 * weather_.options.election.count()), Event::Kind::heal);
}

void RaftWorld::change_members() {
  const int leader = leader_slot();
  if (leader < 0) return;
  const auto slot = static_cast<size_t>(leader);
  Server& server = servers_[slot];
  if (server.paused_till > now_) return;
  using Kind = raft::Change::Kind;

  // One or two at a time: the core must refuse the second.
  for (int attempts = random_.chance(0.3) ? 2 : 1; attempts > 0; --attempts) {
    const raft::Configuration now = server.raft->configuration();
    raft::Change change;
    change.server = servers_[random_.below(servers_.size())].id;
    // A wiped server goes first, since it will not be back.
    for (const ServerId gone : wiped_) {
      if (now.has(gone)) change.server = gone;
    }
    const bool gone = slot_of(change.server) < 0;
    if (now.is_voter(change.server)) {
      if (!gone && now.voters.size() <= 2) continue;
      change.kind = random_.chance(0.5) ? Kind::demote : Kind::remove;
    } else if (now.is_learner(change.server)) {
      change.kind = gone || random_.chance(0.2) ? Kind::remove : Kind::promote;
    } else {
      change.kind = Kind::add_learner;
    }
    const raft::Status before = server.raft->status();
    if (server.raft->propose_configuration(change, local(server, now_))) {
      checker_.changed_members(server.id, before.configuration_index, before.commit);
    }
  }
  process(slot);
}

// A disk is lost: the server comes back with a new id (safety.md 5.1).
void RaftWorld::wipe() {
  const size_t slot = random_.below(servers_.size());
  if (!may_lose(slot)) return;
  ++totals_.wiped;
  replace(slot);
}

// Connections to a dead process break, and new ones are refused.
void RaftWorld::give_hints(size_t gone) {
  if (!weather_.hints) return;
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    if (!servers_[slot].raft || blocked_[gone][slot] || random_.chance(0.2)) continue;
    push(between(random_, 50 * kUs, 3 * kMs), Event::Kind::hint, slot, servers_[gone].id);
  }
  // One hint is false: the leader lives.
  const size_t misled = random_.below(servers_.size());
  const int leader = leader_slot();
  if (leader >= 0 && servers_[misled].raft) {
    push(between(random_, 0, 50 * kMs), Event::Kind::hint, misled,
         servers_[static_cast<size_t>(leader)].id);
  }
}

// The storm is over: everything runs and nothing is lost. Within a time limit all servers must
// agree again, first while clients go on, then without them: a follower must not need the next
// command to catch up.
void RaftWorld::settle() {
  calm_ = true;
  blocked_ = {};
  weather_.latency_jitter = std::min(weather_.latency_jitter, 2 * kMs);
  weather_.disk_jitter = std::min(weather_.disk_jitter, 2 * kMs);
  weather_.client_gap = std::max(weather_.client_gap, 10 * kMs);
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    servers_[slot].paused_till = servers_[slot].disk_busy_till = 0;
    if (!servers_[slot].raft) start(slot);
  }
  greet_all();
  const Index goal = checker_.committed() + 1;
  const int64_t deadline = now_ + 60 * weather_.options.election.count();
  std::string why;
  size_t handled = 0;
  while (!checker_.violation()) {
    if (++handled % 32 == 0 && settled(goal, why)) {
      if (quiet_) break;
      quiet_ = true;
      change_members();  // A server that joins a silent cluster gets everything, too.
    }
    if (now_ > deadline || handled > kSettleSteps) {
      if (forgiving_) break;
      checker_.fail(fmt::format("liveness: {} long after the storm has ended", why));
    }
    next(false);
  }
  if (forgiving_) return check_silence();
  for (const Server& server : servers_) {
    if (!server.raft) continue;
    const raft::Status status = server.raft->status();
    if (status.removed) ++totals_.learned_removal;
    for (const raft::PeerStatus& peer : status.peers) {
      if (peer.older_copy.empty() || slot_of(peer.id) < 0) continue;
      checker_.fail(fmt::format("{:x} is called an older copy and is none", peer.id));
    }
  }
}

bool RaftWorld::settled(Index goal, std::string& why) {
  const int leader = leader_slot();
  if (leader < 0) {
    why = "no leader";
    return false;
  }
  const Server& first = servers_[static_cast<size_t>(leader)];
  if (checker_.committed() < goal || !first.raft->status().committed_in_term) {
    why = "nothing new is committed";
    return false;
  }
  const raft::Configuration& members = first.raft->configuration();
  for (const Server& server : servers_) {
    if (!server.raft) {
      why = fmt::format("{:x} is not there yet", server.id);
      return false;
    }
    if (members.has(server.id)) {
      const Index needed = quiet_ ? first.raft->last_index() : goal;
      if (server.applied >= needed && server.raft->term() == first.raft->term()) continue;
      why = fmt::format("member {:x} is behind, at {} of {}", server.id, server.applied,
                        checker_.committed());
      return false;
    }
    // A removed server must not go on campaigning.
    if (!server.raft->status().removed && server.raft->next_wake() != Instant::max()) {
      why = fmt::format("{:x} does not learn that it was removed", server.id);
      return false;
    }
  }
  return true;
}

}  // namespace databridge::sim
