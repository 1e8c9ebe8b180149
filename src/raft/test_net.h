// A few real cores, connected by hand: nothing happens unless a test asks for it.
//
// - Owns: the servers, the durable data of each, and the messages under way. For tests of this
//   room.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/check.h"
#include "raft/codec.h"
#include "raft/raft.h"

namespace databridge::raft {

class Net {
 public:
  struct Server {
    std::unique_ptr<Raft> raft;
    HardState hard;
    Snapshot snapshot;
    std::vector<Entry> log;
    std::deque<Ready> writes;  // Not yet durable.
    bool disk_held = false;
    std::vector<Entry> applied;
    std::vector<ReadState> reads;
    std::vector<Ready> seen;  // Every Ready, in the order in which it came.
  };

  explicit Net(std::vector<ServerId> voters, std::function<void(Options&)> tune = {})
      : tune_(std::move(tune)), founders_{voters, {}} {
    for (const ServerId id : voters) {
      servers_[id].snapshot.configuration = founders_;
      start(id);
    }
  }

  Server& operator[](ServerId id) { return servers_.at(id); }
  Raft& raft(ServerId id) { return *servers_.at(id).raft; }
  Instant now() const { return now_; }
  static Options options() {
    Options o;
    o.election = 100ms;
    o.heartbeat = 10ms;
    return o;
  }

  // Does what linked servers do: each tells the others its log when a link comes up. crash() tells
  // them when it ends.
  void greet(ServerId id) {
    if (!greets || cut_.contains(id) || !servers_[id].raft) return;
    for (auto& [other, s] : servers_) {
      if (other == id || !s.raft || cut_.contains(other)) continue;
      s.raft->peer_log(id, raft(id).last());
      raft(id).peer_log(other, s.raft->last());
      s.raft->term_named(raft(id).term());
      raft(id).term_named(s.raft->term());
    }
  }

  void join(ServerId id) {
    servers_[id] = {};
    start(id);
  }
  void crash(ServerId id) {
    servers_[id].raft.reset();
    for (auto& [other, s] : servers_) {
      if (greets && s.raft) s.raft->peer_gone(id);
    }
    servers_[id].writes.clear();
    std::erase_if(under_way_, [&](const Message& m) { return m.to == id; });
  }
  void start(ServerId id) {
    Server& s = servers_[id];
    Options o = options();
    o.id = id;
    if (tune_) tune_(o);
    s.writes.clear();
    s.applied.clear();
    s.raft = std::make_unique<Raft>(o, Restored{s.hard, s.snapshot, s.log}, now_);
    greet(id);
  }
  void cut(ServerId id) { cut_.insert(id); }
  void heal() {
    cut_.clear();
    for (auto& [id, s] : servers_) greet(id);
  }
  // The durable data of a server, to which the server can be put back.
  struct Disk {
    HardState hard;
    Snapshot snapshot;
    std::vector<Entry> log;
  };
  Disk copy(ServerId id) { return {servers_[id].hard, servers_[id].snapshot, servers_[id].log}; }
  void put_back(ServerId id, const Disk& disk) {
    crash(id);
    servers_[id].hard = disk.hard;
    servers_[id].snapshot = disk.snapshot;
    servers_[id].log = disk.log;
    start(id);
  }
  void hold_disk(ServerId id) { servers_[id].disk_held = true; }
  void release_disk(ServerId id) {
    servers_[id].disk_held = false;
    sync(id);
  }

  // Carries out the requests of the cores, but delivers no message.
  void work() {
    for (auto& [id, s] : servers_) {
      while (s.raft && s.raft->has_ready()) take(id, s.raft->ready());
      if (!s.disk_held) sync(id);
    }
  }
  // Delivers all messages, and those that follow from them, until none is left.
  void settle() {
    for (int turn = 0; turn < 10'000; ++turn) {
      work();
      if (under_way_.empty()) return;
      deliver_one();
    }
    CHECK(under_way_.empty());  // If this fails, the servers send messages without end.
  }
  void deliver_one() {
    Message m = under_way_.front();
    under_way_.pop_front();
    if (cut_.contains(m.from) || cut_.contains(m.to) || (drop && drop(m))) return;
    const auto to = servers_.find(m.to);
    if (to == servers_.end() || !to->second.raft) return;
    // Everything is encoded and decoded, as between real servers.
    auto decoded = decode(encode(m));
    CHECK(decoded && *decoded == m);
    to->second.raft->step(*decoded, now_);
  }
  void advance(Duration by) {
    const Instant until = now_ + by;
    while (now_ < until) {
      now_ = std::min(until, now_ + 1ms);
      for (auto& [id, s] : servers_) {
        if (s.raft && s.raft->next_wake() <= now_) s.raft->tick(now_);
      }
      settle();
    }
  }
  // Only this server's clock moves on, so it alone campaigns.
  void elect(ServerId id) {
    for (int i = 0; i < 500 && raft(id).role() != Role::leader; ++i) {
      now_ += 1ms;
      raft(id).tick(now_);
      settle();
    }
    CHECK(raft(id).role() == Role::leader);
  }
  ServerId leader() {
    ServerId best = 0;
    for (auto& [id, s] : servers_) {
      if (!s.raft || s.raft->role() != Role::leader) continue;
      if (best == 0 || s.raft->term() > servers_[best].raft->term()) best = id;
    }
    return best;
  }
  Position propose(ServerId id, const std::string& text) {
    return raft(id).propose(Payload(text), now_).value();
  }
  std::vector<std::string> commands(ServerId id) {
    std::vector<std::string> texts;
    for (const Entry& e : servers_[id].applied) {
      if (e.kind == Entry::Kind::command) texts.emplace_back(e.data.view());
    }
    return texts;
  }
  std::deque<Message>& under_way() { return under_way_; }

  bool greets = false;
  std::function<bool(const Message&)> drop;
  std::function<void(const Message&)> watch;  // Sees each message that is sent.

 private:
  void send(const Message& m) {
    if (watch) watch(m);
    under_way_.push_back(m);
  }
  void take(ServerId id, Ready ready) {
    Server& s = servers_[id];
    for (const Message& m : ready.send_now) send(m);
    for (const Entry& e : ready.committed) s.applied.push_back(e);
    for (const ReadState& r : ready.reads) s.reads.push_back(r);
    s.seen.push_back(ready);
    s.writes.push_back(std::move(ready));
  }
  void sync(ServerId id) {
    Server& s = servers_[id];
    while (!s.writes.empty()) {
      const Ready write = std::move(s.writes.front());
      s.writes.pop_front();
      if (write.snapshot) s.snapshot = *write.snapshot;
      if (write.install) s.log.clear();
      std::erase_if(s.log, [&](const Entry& e) { return e.index <= write.compact_to; });
      for (const Entry& e : write.entries) {
        std::erase_if(s.log, [&](const Entry& old) { return old.index >= e.index; });
        s.log.push_back(e);
      }
      if (write.hard_state) s.hard = *write.hard_state;
      for (const Message& m : write.send_after_persist) send(m);
      s.raft->persisted(write.number, now_);
      while (s.raft->has_ready()) take(id, s.raft->ready());
    }
  }

  std::function<void(Options&)> tune_;
  Configuration founders_;
  Instant now_{1s};
  std::map<ServerId, Server> servers_;
  std::deque<Message> under_way_;
  std::set<ServerId> cut_;
};

}  // namespace databridge::raft
