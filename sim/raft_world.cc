#include "sim/raft_world.h"

#include <algorithm>

#include "base/check.h"
#include "sim/raft_sim.h"

namespace databridge::sim {
namespace {

constexpr int64_t kUs = 1000;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9fb21c651e98df25;
  return hash ^ (hash >> 32);
}

Bytes state_bytes(Index applied, uint64_t state, size_t size) {
  Bytes bytes;
  append_little64(bytes, applied);
  append_little64(bytes, state);
  bytes.resize(std::max(bytes.size(), size), '.');
  return bytes;
}

}  // namespace

RunResult run_raft(uint64_t seed, size_t steps) { return RaftWorld(seed, steps).run(); }

std::optional<Term> RaftWorld::Disk::term(Index index) const {
  if (index < first || index > last()) return std::nullopt;
  return log[index - first].term;
}

RaftWorld::RaftWorld(uint64_t seed, size_t steps)
    : random_(seed), weather_(random_), steps_(steps) {
  servers_.resize(weather_.voters + weather_.spares);
  raft::Configuration founders;
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    servers_[slot].id = random_.next() | 1;
    if (slot < weather_.voters) founders.voters.push_back(servers_[slot].id);
  }
  std::sort(founders.voters.begin(), founders.voters.end());
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    if (slot < weather_.voters) servers_[slot].disk.snapshot.configuration = founders;
    start(slot);
  }
  push(0, Event::Kind::client);
  push(weather_.nemesis_gap, Event::Kind::nemesis);
}

RunResult RaftWorld::run() {
  while (totals_.steps < steps_ && !checker_.violation()) next(true);
  if (!checker_.violation()) settle();

  RunResult result;
  result.violation = checker_.violation();
  result.drawn = weather_.text();
  result.trace_hash = hash_;
  const Totals& t = totals_;
  result.totals = {{"steps", t.steps},
                   {"elections", t.elections},
                   {"crashes", t.crashes},
                   {"lost bytes", t.lost_bytes},
                   {"disk errors", t.disk_errors},
                   {"commits", checker_.committed()},
                   {"acknowledged", t.acknowledged},
                   {"compactions", t.compactions},
                   {"snapshots installed", t.installs},
                   {"membership changes", t.changes},
                   {"reads", t.reads},
                   {"transfers", t.transfers},
                   {"pauses", t.pauses},
                   {"partitions", t.partitions},
                   {"messages lost", t.lost},
                   {"messages duplicated", t.duplicated},
                   {"leader-lost hints", t.hints},
                   {"servers wiped", t.wiped},
                   {"entries truncated", t.truncated},
                   {"removals learned", t.learned_removal},
                   {"disks put back", t.put_back},
                   {"older copies noticed", t.noticed},
                   {"strangers", t.strangers}};
  return result;
}

void RaftWorld::push(int64_t delay, Event::Kind kind, size_t slot, uint64_t what) {
  const uint32_t boot = slot < servers_.size() ? servers_[slot].boot : 0;
  events_.push_back({now_ + delay, ++order_, kind, static_cast<uint8_t>(slot), boot, what});
  std::push_heap(events_.begin(), events_.end());
}

// Each clock runs at its own rate from its own beginning.
Instant RaftWorld::local(const Server& server, int64_t at) const {
  return Instant(
      Duration(server.offset + static_cast<int64_t>(static_cast<double>(at) * server.rate)));
}
int64_t RaftWorld::true_time(const Server& server, Instant at) const {
  return static_cast<int64_t>(static_cast<double>(at.time_since_epoch().count() - server.offset) /
                              server.rate);
}

bool RaftWorld::next(bool count) {
  CHECK(!events_.empty());
  std::pop_heap(events_.begin(), events_.end());
  Event event = events_.back();
  events_.pop_back();
  now_ = event.at;
  using Kind = Event::Kind;
  Server& server = servers_[event.slot];

  const bool of_server = event.kind == Kind::deliver || event.kind == Kind::wake ||
                         event.kind == Kind::disk_done || event.kind == Kind::hint ||
                         event.kind == Kind::greet || event.kind == Kind::gone;
  if (of_server && server.paused_till > now_ &&
      (event.kind == Kind::deliver || event.boot == server.boot)) {
    // The inputs of a stopped process wait, in order.
    if (event.kind == Kind::wake) server.wake_at = server.paused_till;
    event.at = server.paused_till;
    events_.push_back(event);
    std::push_heap(events_.begin(), events_.end());
    return false;
  }
  raft::Message message;
  if (event.kind == Kind::deliver) {
    message = std::move(pool_[event.what]);
    pool_free_.push_back(static_cast<uint32_t>(event.what));
    // The network knows addresses, not boots: a message may reach a server that was restarted.
    if (!server.raft || server.id != message.to) return false;
  } else if (of_server && (event.boot != server.boot || !server.raft)) {
    return false;
  }
  if (event.kind == Kind::wake) {
    if (event.at != server.wake_at) return false;
    server.wake_at = 0;
    if (local(server, now_) < server.raft->next_wake()) {
      schedule_wake(event.slot);
      return false;
    }
  }
  if (count) ++totals_.steps;
  hash_ = mix(mix(hash_, static_cast<uint64_t>(now_)),
              static_cast<uint64_t>(event.kind) << 8 | event.slot);

  switch (event.kind) {
    case Kind::deliver:
      hash_ =
          mix(mix(hash_, message.term), message.index << 8 | static_cast<uint64_t>(message.kind));
      server.raft->step(message, local(server, now_));
      heard(event.slot, message);
      process(event.slot);
      break;
    case Kind::wake:
      server.raft->tick(local(server, now_));
      process(event.slot);
      break;
    case Kind::disk_done:
      disk_done(event.slot);
      break;
    case Kind::hint:
      ++totals_.hints;
      server.raft->leader_lost(event.what, local(server, now_));
      process(event.slot);
      break;
    case Kind::greet:
      greeted(event.slot, event.what);
      break;
    case Kind::gone:
      server.raft->peer_gone(event.what);
      server.linked.erase(event.what);
      break;
    case Kind::client:
      client();
      push(static_cast<int64_t>(random_.below(static_cast<uint64_t>(2 * weather_.client_gap)) + 1),
           Kind::client);
      break;
    case Kind::nemesis:
      if (calm_) break;
      strike();
      push(static_cast<int64_t>(random_.below(static_cast<uint64_t>(2 * weather_.nemesis_gap)) + 1),
           Kind::nemesis);
      break;
    case Kind::heal:
      blocked_ = {};
      greet_all();
      break;
    case Kind::restart:
      if (!server.raft && event.boot == server.boot) start(event.slot);
      break;
  }
  return true;
}

void RaftWorld::start(size_t slot) {
  Server& server = servers_[slot];
  CHECK(!server.raft);
  ++server.boot;
  server.rate = 1 + weather_.drift * (2 * random_.unit() - 1);
  server.offset = static_cast<int64_t>(random_.below(1'000'000'000'000));
  server.writes.clear();
  server.reads.clear();
  server.led = false;
  server.wake_at = server.paused_till = server.disk_busy_till = 0;

  raft::Restored restored;
  restored.hard_state = server.disk.hard;
  restored.snapshot = server.disk.snapshot;
  restored.entries.assign(server.disk.log.begin(), server.disk.log.end());
  server.terms_base = restored.snapshot.index;
  server.terms_base_term = restored.snapshot.term;
  server.terms.clear();
  for (const raft::Entry& entry : restored.entries) {
    if (entry.index > server.terms_base) server.terms.push_back(entry.term);
  }
  server.applied = server.snapshot_index = restored.snapshot.index;
  server.state = restored.snapshot.data.empty()
                     ? 0
                     : read_little64(restored.snapshot.data.joined().view().substr(8));
  checker_.installed(server.id, server.applied, server.state);

  raft::Options options = weather_.options;
  options.id = server.id;
  options.seed = random_.next();
  server.raft.emplace(options, std::move(restored), local(server, now_));
  server.commit_seen = server.raft->commit();
  server.linked.clear();
  server.acknowledged_to.clear();
  server.states.clear();
  server.heard = local(server, now_);
  greet(slot);
  process(slot);
}

// Batches on their way to the disk are lost, but some of the first may have reached it unconfirmed.
void RaftWorld::stop(size_t slot, bool torn) {
  Server& server = servers_[slot];
  if (!server.raft) return;
  server.raft.reset();
  ++server.boot;
  say_gone(slot);
  size_t made_it = torn && !server.writes.empty() ? random_.below(server.writes.size() + 1) : 0;
  for (Write& write : server.writes) {
    if (made_it > 0) {
      carry_out(server.disk, write);
      --made_it;
      continue;
    }
    if (write.hard) totals_.lost_bytes += 24;
    for (const raft::Entry& entry : write.entries) totals_.lost_bytes += 16 + entry.data.size();
  }
  server.writes.clear();
}

void RaftWorld::process(size_t slot) {
  Server& server = servers_[slot];
  mind_losses(slot);
  check(slot);
  while (server.raft->has_ready()) {
    take(slot, server.raft->ready());
    if (checker_.violation()) return;
  }
  if (server.led != (server.raft->role() == raft::Role::leader)) {
    server.led = !server.led;
    if (server.led) {
      const Index newest = checker_.committed();
      std::optional<Term> term;
      if (newest == server.terms_base) term = server.terms_base_term;
      if (newest > server.terms_base && newest - server.terms_base <= server.terms.size()) {
        term = server.terms[newest - server.terms_base - 1];
      }
      checker_.elected(server.id, server.raft->term(), term);
    }
  }
  schedule_wake(slot);
  // Its body marks the disk for ever, and the server comes back with a new id.
  if (!server.raft->older_copy().empty()) replace(slot);
}

// The body of a server: it does what ready.h asks for, in its order.
void RaftWorld::take(size_t slot, raft::Ready ready) {
  Server& server = servers_[slot];
  check_campaign(slot, ready);
  for (raft::Message& message : ready.send_now) send(std::move(message));
  if (ready.install) {
    server.states.clear();
    server.terms.clear();
    server.terms_base = ready.snapshot->index;
    server.terms_base_term = ready.snapshot->term;
  }
  for (const raft::Entry& entry : ready.entries) {
    const Index end = server.terms_base + server.terms.size();
    if (entry.index <= end) {
      totals_.truncated += end - entry.index + 1;
      server.terms.resize(entry.index - server.terms_base - 1);
    }
    const Term before = server.terms.empty() ? server.terms_base_term : server.terms.back();
    checker_.appended(server.id, entry, before);
    server.terms.push_back(entry.term);
  }
  if (ready.install) {
    server.applied = server.snapshot_index = ready.snapshot->index;
    server.state = read_little64(ready.snapshot->data.joined().view().substr(8));
    checker_.installed(server.id, server.applied, server.state);
    ++totals_.installs;
  }
  apply(slot, ready);
  if (ready.must_persist() || !server.writes.empty()) {
    server.writes.push_back({ready.number, ready.hard_state, std::move(ready.snapshot),
                             ready.install, ready.compact_to, std::move(ready.entries),
                             std::move(ready.send_after_persist)});
    if (server.writes.size() == 1) schedule_disk(slot);
  } else {
    for (raft::Message& message : ready.send_after_persist) send(std::move(message));
  }
  compact(slot);
}

void RaftWorld::carry_out(Disk& disk, Write& write) {
  if (write.snapshot) disk.snapshot = *write.snapshot;
  if (write.install) {
    disk.log.clear();
    disk.first = disk.snapshot.index + 1;
  }
  while (write.compact_to >= disk.first && !disk.log.empty()) {
    disk.log.pop_front();
    ++disk.first;
  }
  if (!write.entries.empty()) {
    const Index from = write.entries.front().index;
    CHECK(from >= disk.first && from <= disk.last() + 1);
    disk.log.resize(from - disk.first);
    for (raft::Entry& entry : write.entries) disk.log.push_back(std::move(entry));
  }
  if (write.hard) disk.hard = *write.hard;
}

void RaftWorld::schedule_disk(size_t slot) {
  Server& server = servers_[slot];
  const int64_t delay =
      weather_.disk_min +
      static_cast<int64_t>(random_.below(static_cast<uint64_t>(weather_.disk_jitter) + 1));
  push(std::max(delay, server.disk_busy_till - now_), Event::Kind::disk_done, slot);
}

// One sync makes some of the waiting batches durable, in order.
void RaftWorld::disk_done(size_t slot) {
  Server& server = servers_[slot];
  const size_t done = 1 + random_.below(server.writes.size());
  std::vector<raft::Message> to_send;
  uint64_t number = 0;
  for (size_t i = 0; i < done; ++i) {
    Write& write = server.writes.front();
    carry_out(server.disk, write);
    number = write.number;
    for (raft::Message& message : write.then_send) to_send.push_back(std::move(message));
    server.writes.pop_front();
  }
  if (!server.writes.empty()) schedule_disk(slot);
  for (raft::Message& message : to_send) send(std::move(message));
  server.raft->persisted(number, local(server, now_));
  process(slot);
}

void RaftWorld::schedule_wake(size_t slot) {
  Server& server = servers_[slot];
  const Instant wake = server.raft->next_wake();
  if (wake == Instant::max()) return;
  const int64_t at = std::max(true_time(server, wake) + 1, now_);
  if (server.wake_at != 0 && server.wake_at <= at) return;  // It will look again then.
  server.wake_at = at;
  push(at - now_, Event::Kind::wake, slot);
}

void RaftWorld::apply(size_t slot, const raft::Ready& ready) {
  Server& server = servers_[slot];
  for (const raft::Entry& entry : ready.committed) {
    if (entry.index != server.applied + 1) {
      checker_.fail("a server is handed committed entries out of order");
      return;
    }
    const bool first = entry.index > checker_.committed();
    if (first && ready.role == raft::Role::leader && !watch_) {
      const auto& configuration = server.raft->configuration();
      checker_.durable_on(server.id, entry.index, holders(configuration, entry.index, entry.term),
                          configuration.voters.size());
    }
    if (first && entry.kind == raft::Entry::Kind::configuration) ++totals_.changes;
    if (entry.kind == raft::Entry::Kind::command && ready.role == raft::Role::leader &&
        entry.term == ready.term) {
      ++totals_.acknowledged;  // Its client is told now; applied() remembers it for ever.
    }
    server.state = checker_.applied(server.id, entry, server.state);
    server.applied = entry.index;
    if (weather_.puts_back) server.states[entry.index] = server.state;
  }
  for (const raft::ReadState& answer : ready.reads) {
    const auto asked = std::find_if(server.reads.begin(), server.reads.end(),
                                    [&](const Asked& a) { return a.context == answer.context; });
    if (asked == server.reads.end()) {
      checker_.fail("a read is answered that nobody asked, or twice");
      return;
    }
    if (answer.index) {
      checker_.read(server.id, *answer.index, asked->committed);
      ++totals_.reads;
    }
    server.reads.erase(asked);
  }
}

void RaftWorld::compact(size_t slot) {
  Server& server = servers_[slot];
  if (server.applied < server.snapshot_index + weather_.compact_every) return;
  const Index keep = std::min(weather_.compact_keep, server.applied);
  if (server.raft->compact(
          server.applied - keep, server.applied,
          Pieces(state_bytes(server.applied, server.state, weather_.state_bytes)))) {
    ++totals_.compactions;
  }
  server.snapshot_index = server.applied;
}

// The invariants that are checked on one server after each of its steps.
void RaftWorld::check(size_t slot) {
  Server& server = servers_[slot];
  const Index commit = server.raft->commit();
  checker_.commit_moved(server.id, server.commit_seen, commit);
  server.commit_seen = commit;
  if (server.raft->role() != raft::Role::leader) return;
  if (checker_.leads(server.id, server.raft->term(), now_)) ++totals_.elections;
  if (server.raft->term() == checker_.newest_term()) return;
  const Instant contact = server.raft->quorum_contact(local(server, now_));
  if (contact != Instant::min()) {
    // Clocks convert with rounding; a microsecond is far below any delay here.
    checker_.claims_contact(server.id, server.raft->term(), true_time(server, contact) - kUs);
  }
}

void RaftWorld::send(raft::Message message) {
  using Kind = raft::Message::Kind;
  check_answer(message);
  const int voter = slot_of(message.from);
  // A server that has forgotten its votes may give them again.
  const bool remembers = voter >= 0 && !servers_[static_cast<size_t>(voter)].was_put_back;
  if (message.kind == Kind::vote && remembers) {
    checker_.voted(message.from, message.term, message.from);
  }
  if (message.kind == Kind::vote_reply && !message.reject && remembers) {
    checker_.voted(message.from, message.term, message.to);
  }
  if (message.kind == Kind::timeout_now) ++totals_.transfers;

  const int to = slot_of(message.to);
  const int from = slot_of(message.from);
  if (to < 0 || from < 0) return;
  const auto f = static_cast<size_t>(from), t = static_cast<size_t>(to);
  if (blocked_[f][t] || (!calm_ && random_.chance(weather_.loss))) {
    ++totals_.lost;
    return;
  }
  size_t copies = 1;
  if (!calm_ && random_.chance(weather_.duplicate)) {
    ++copies;
    ++totals_.duplicated;
  }
  for (; copies > 0; --copies) {
    int64_t delay =
        weather_.latency_min +
        static_cast<int64_t>(random_.below(static_cast<uint64_t>(weather_.latency_jitter) + 1));
    if (!calm_ && random_.chance(weather_.late))
      delay *= static_cast<int64_t>(random_.between(5, 60));
    if (weather_.fifo) {
      delay = std::max(delay, link_busy_[f][t] + 1 - now_);
      link_busy_[f][t] = now_ + delay;
    }
    uint32_t place = 0;
    if (pool_free_.empty()) {
      place = static_cast<uint32_t>(pool_.size());
      pool_.emplace_back();
    } else {
      place = pool_free_.back();
      pool_free_.pop_back();
    }
    pool_[place] = message;
    push(delay, Event::Kind::deliver, t, place);
  }
}

int RaftWorld::slot_of(ServerId id) const {
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    if (servers_[slot].id == id) return static_cast<int>(slot);
  }
  return -1;
}

size_t RaftWorld::holders(const raft::Configuration& configuration, Index index, Term term) const {
  size_t count = 0;
  for (const ServerId voter : configuration.voters) {
    const int slot = slot_of(voter);
    if (slot < 0) {
      ++count;  // Wiped since, so it is not known what it held.
      continue;
    }
    const Disk& disk = servers_[static_cast<size_t>(slot)].disk;
    if (disk.snapshot.index >= index || disk.term(index) == term) ++count;
  }
  return count;
}

// The running server that thinks it leads, of the newest term; -1 if there is none.
int RaftWorld::leader_slot() const {
  int best = -1;
  for (size_t slot = 0; slot < servers_.size(); ++slot) {
    const auto& raft = servers_[slot].raft;
    if (!raft || raft->role() != raft::Role::leader) continue;
    if (best < 0 || raft->term() > servers_[static_cast<size_t>(best)].raft->term()) {
      best = static_cast<int>(slot);
    }
  }
  return best;
}

}  // namespace databridge::sim
