// The world of one simulated raft cluster: servers with their own disks and clocks, a network that
// may do anything except change bytes, and a nemesis.
//
// - Owns: everything in it. One run has one world and one thread.
// - Hides: the queue of events. Everything that happens is an event at a true time, and only the
//   seed decides the order of events.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "raft/raft.h"
#include "sim/raft_checker.h"
#include "sim/raft_event.h"
#include "sim/raft_weather.h"
#include "sim/run.h"

namespace databridge::sim {

using raft::Index;
using raft::ServerId;
using raft::Term;

class RaftWorld {
 public:
  RaftWorld(uint64_t seed, size_t steps);
  RunResult run();

 private:
  static constexpr size_t kSlotsMax = 8;

  // The data that survive a crash.
  struct Disk {
    raft::HardState hard;
    raft::Snapshot snapshot;
    std::deque<raft::Entry> log;  // The index of its first entry is `first`.
    Index first = 1;

    Index last() const { return first + log.size() - 1; }
    std::optional<Term> term(Index index) const;
  };
  // One batch that is being written, and the messages that must wait until it is durable.
  struct Write {
    uint64_t number = 0;
    std::optional<raft::HardState> hard;
    std::optional<raft::Snapshot> snapshot;
    bool install = false;
    Index compact_to = 0;
    std::vector<raft::Entry> entries;
    std::vector<raft::Message> then_send;
  };
  struct Asked {
    uint64_t context;
    Index committed;  // The newest index that any server had applied when the read was asked.
  };
  struct Server {
    ServerId id = 0;
    std::optional<raft::Raft> raft;  // nullopt while it is down.
    Disk disk;
    std::deque<Write> writes;
    uint32_t boot = 0;  // Events of earlier boots have no effect.
    double rate = 1;
    int64_t offset = 0;
    int64_t wake_at = 0;  // The true time of its valid wake event; 0: none.
    int64_t paused_till = 0;
    int64_t disk_busy_till = 0;
    // The terms of the log as it was handed out, durable or not.
    Index terms_base = 0;
    Term terms_base_term = 0;
    std::deque<Term> terms;
    Index applied = 0;
    uint64_t state = 0;
    Index commit_seen = 0;
    Index snapshot_index = 0;
    bool led = false;
    std::vector<Asked> reads;
    std::map<ServerId, raft::Position> linked;  // The logs that linked servers have named.
    Instant heard{};                            // Its clock when it last heard a leader or led.
    std::optional<Disk> copy;                   // A copy of its disk from some time ago.
    bool was_put_back = false;                  // It runs on such a copy.
    std::map<Term, ServerId> acknowledged_to;   // Since its start.
    // The states after the entries that it has applied since its start.
    std::map<Index, uint64_t> states;
  };

  using Event = RaftEvent;

  // raft_world.cc: time, events, servers.
  void push(int64_t delay, Event::Kind kind, size_t slot = 0, uint64_t what = 0);
  bool next(bool count);  // Handles one event. Returns false if it had no effect.
  Instant local(const Server& server, int64_t at) const;
  int64_t true_time(const Server& server, Instant at) const;
  void start(size_t slot);
  void stop(size_t slot, bool torn);
  void process(size_t slot);
  void take(size_t slot, raft::Ready ready);
  void carry_out(Disk& disk, Write& write);
  void disk_done(size_t slot);
  void schedule_disk(size_t slot);
  void schedule_wake(size_t slot);
  void apply(size_t slot, const raft::Ready& ready);
  void compact(size_t slot);
  void check(size_t slot);
  void send(raft::Message message);
  int slot_of(ServerId id) const;
  size_t holders(const raft::Configuration& configuration, Index index, Term term) const;
  int leader_slot() const;

  // raft_nemesis.cc: clients, faults, the end.
  void client();
  void strike();
  void cut(uint64_t group);
  void change_members();
  void wipe();
  void give_hints(size_t gone);
  void settle();
  bool settled(Index goal, std::string& why);

  // raft_loss.cc: disks that are put back, strangers, greetings.
  void greet(size_t slot);
  void greet_all();
  void say_gone(size_t slot);
  void greeted(size_t slot, ServerId by);
  void heard(size_t slot, const raft::Message& message);
  void copy_a_disk();
  bool may_lose(size_t slot) const;
  bool leader_knows(size_t slot) const;
  void put_back(size_t slot);
  void stranger(size_t slot);
  void mind_losses(size_t slot);
  void check_campaign(size_t slot, const raft::Ready& ready);
  void check_answer(const raft::Message& message);
  bool has_it_again(const raft::Status& leader) const;
  void forgive();
  void check_silence();
  void replace(size_t slot);

  Random random_;
  Weather weather_;
  size_t steps_;
  RaftChecker checker_;
  std::vector<Server> servers_;
  std::vector<ServerId> wiped_;
  int64_t now_ = 0;
  uint64_t order_ = 0;
  std::vector<Event> events_;  // A heap.
  std::vector<raft::Message> pool_;
  std::vector<uint32_t> pool_free_;
  std::array<std::array<bool, kSlotsMax>, kSlotsMax> blocked_{};
  std::array<std::array<int64_t, kSlotsMax>, kSlotsMax> link_busy_{};  // For links with fifo order.
  bool calm_ = false;                                                  // The storm is over.
  bool quiet_ = false;  // The storm is over and clients send nothing.
  uint64_t commands_ = 0;
  uint64_t contexts_ = 0;
  uint64_t hash_ = 0;
  // A server was put back while this leader knew of more of its entries. This must be noticed soon.
  struct Watch {
    size_t slot;
    ServerId leader;
    Term term;
    int64_t until;
  };
  std::optional<Watch> watch_;
  bool forgiving_ = false;  // See RaftChecker::forgive.

  struct Totals {
    uint64_t steps = 0, elections = 0, crashes = 0, lost_bytes = 0, disk_errors = 0, commits = 0,
             acknowledged = 0, compactions = 0, installs = 0, changes = 0, reads = 0, transfers = 0,
             pauses = 0, partitions = 0, lost = 0, duplicated = 0, hints = 0, wiped = 0,
             truncated = 0, learned_removal = 0, put_back = 0, noticed = 0, strangers = 0;
  } totals_;
};

}  // namespace databridge::sim
