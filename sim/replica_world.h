// The world of one simulated partition: nodes with disks, a network that may do anything except
// change bytes, a replicated state that nodes hear of late, and faults.
//
// - Owns: everything in it. One run has one world and one thread.
// - Hides: the queue of events, and at which point of its work a node crashes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/replica.h"
#include "sim/replica_checker.h"
#include "sim/run.h"

namespace databridge::sim {

// What a run draws from its seed.
struct ReplicaWeather {
  explicit ReplicaWeather(Random& random);
  std::string text() const;

  size_t nodes, copies_max;
  bool is_mixed;  // Each assignment has another strategy and another number of copies.
  ReplicationStrategy strategy;
  int64_t latency_min, latency_jitter, disk_min, disk_jitter, view_jitter;  // In ns.
  double loss, duplicate, late, late_view, learner_first;
  int64_t client_gap, nemesis_gap, leader_gap;  // In ns; the mean.
  std::array<uint64_t, 8> nemeses;              // The weight of each ReplicaNemesis.
  cluster::ReplicaLimits limits;
};

enum class ReplicaNemesis : uint8_t { crash, crash_soon, wipe, cut, assign, recopy, move, all_off };

class ReplicaWorld {
 public:
  ReplicaWorld(uint64_t seed, size_t steps);
  RunResult run();

 private:
  static constexpr size_t kNodesMax = 6;
  // The points at which a node may crash: before and after each of these.
  enum class Point : uint8_t { append, sync, send };
  enum class Kind : uint8_t {
    deliver,
    sync,
    wake,
    apply,
    client,
    nemesis,
    leader,
    opens,
    heal,
    start
  };

  struct Event {
    int64_t at;
    uint64_t order;
    Kind kind;
    uint8_t slot;
    uint32_t boot;
    uint64_t what;
    bool operator<(const Event& other) const {  // For a heap with the first event on top.
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Held {
    uint64_t writes;  // It leaves once so many writes are durable.
    cluster::Envelope envelope;
  };
  struct Node {
    Incarnation id;
    cluster::PeerWindow window;               // The replica uses it until its end.
    std::optional<cluster::Replica> replica;  // nullopt while it is down.
    cluster::ReplicaLog disk;
    std::deque<cluster::ReplicaWrite> unsynced;
    std::deque<Held> held;
    uint64_t writes = 0, durable = 0;
    uint32_t boot = 0;   // Events of earlier boots have no effect.
    size_t applied = 0;  // Of the history.
    bool apply_is_due = false, sync_is_due = false;
    int64_t wake_at = 0;
    size_t fuse = 0;  // It crashes at the point that makes this zero.
    Lsn last;         // Of the log as it was handed to the disk.
    // Of the epoch that it owned last, as it was seen.
    Epoch owned;
    Lsn acknowledged;
  };

  // replica_world.cc: events, nodes, checks.
  void push(int64_t delay, Kind kind, size_t slot = 0, uint64_t what = 0);
  bool next();
  void handle(const Event& event, const cluster::Envelope& envelope);
  cluster::ReplicaTurn turn() const;
  void start(size_t slot);
  void crash(size_t slot);
  bool is_end_of(size_t slot, Point point, bool after);
  void carry_out(size_t slot, cluster::ReplicaTurn turn);
  bool leave(size_t slot, const cluster::Envelope& envelope);
  void send(size_t slot, const cluster::Envelope& envelope);
  void sync(size_t slot);
  void apply(size_t slot);
  void schedule(size_t slot);
  void check(size_t slot);
  int slot_of(Incarnation id) const;
  int64_t up_to(int64_t most);

  // replica_faults.cc: the leader, clients, faults, the end.
  const Replication& present() const { return history_.back(); }
  void commit(Replication next);
  void assign(size_t to);
  void recopy();
  void lead();
  void client();
  void compact(size_t slot);
  void strike();
  bool may_lose(size_t slot) const;
  bool may_lose(const CopySet& copies, Epoch epoch, size_t slot, bool acknowledged) const;
  void wipe(size_t slot);
  CopySet draw_copies(size_t owner);
  const cluster::StateReplicator* owner_now() const;
  std::string unsettled() const;
  void strike_at_fetch();
  void settle();

  Random random_;
  ReplicaWeather weather_;
  size_t steps_;
  ReplicaChecker checker_;
  std::deque<Node> nodes_;
  std::vector<Replication> history_{{}};  // What the replicated state was, in the order of its log.
  std::vector<Event> events_;             // A heap.
  std::vector<cluster::Envelope> pool_;
  std::vector<uint32_t> pool_free_;
  std::array<std::array<bool, kNodesMax>, kNodesMax> blocked_{};
  int64_t now_ = 0;
  uint64_t order_ = 0;
  uint64_t hash_ = 0;
  uint64_t incarnations_ = 0, payloads_ = 0;
  Epoch reported_;       // Of the newest report that has left its node.
  Incarnation learner_;  // Is filled before it becomes a copy.
  int64_t assigned_at_ = 0;
  bool calm_ = false;  // The storm is over.
  Lsn goal_;           // Written in the calm; it must be acknowledged.
  std::map<std::string, uint64_t, std::less<>> totals_;
};

}  // namespace databridge::sim
