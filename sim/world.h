// The simulated world: clock, disks, network, workers and files for many nodes in one thread.
//
// - Owns: simulated time, the queue of events, every node's disk and links. Hides how faults are
//   drawn. A node sees it through env's interfaces only; nothing in it knows what the messages
//   mean.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "env/clock.h"
#include "env/env.h"
#include "env/files.h"
#include "env/load_probe.h"
#include "env/network.h"
#include "env/store.h"
#include "env/workers.h"

namespace databridge::sim {

// The mix of faults of one run, drawn from its seed (swarm testing).
struct Faults {
  double loss = 0;  // Of messages.
  Duration latency_max = 1ms;
  Duration sync_max = 1ms;     // A disk's sync takes up to so long.
  double drift = 0;            // Clock rates differ by up to this.
  double disk_error = 0;       // Of syncs: the node stops.
  Duration job_max = 2ms;      // A worker's job begins up to so late.
  bool same_host = true;       // A refused dial proves that the process is gone.
  bool guardians = false;      // Each process has one, which tells the others of its end.
  Duration report_max = 20ms;  // It tells so late: perhaps when the next process runs.
  double doubled = 0;          // Of messages: they come once more, a little later.
  uint64_t bandwidth = 0;      // Of each link, in bytes a second; 0: without bound.
  uint64_t queue_max = 0;      // Bytes that wait on a link; what would be more is dropped.
  double file_error = 0;       // Of what processors do with files of users.
  std::string text() const;
};

class World {
 public:
  // One machine more than nodes stands ready: see spare().
  World(uint64_t seed, size_t nodes, const Faults& faults);
  ~World();

  using NodeIndex = size_t;

  Instant now() const { return now_; }
  Random& random() { return random_; }
  size_t size() const { return machines_.size() - 1; }
  NodeIndex spare() const { return size(); }          // A machine for a copy of a node.
  static Address nowhere() { return {"sim", 1099}; }  // Nobody ever listens there.
  uint64_t steps() const { return steps_; }
  uint64_t lost_bytes() const { return lost_bytes_; }
  uint64_t deaths_reported() const { return deaths_reported_; }
  uint64_t dropped() const { return dropped_; }  // Messages, by queues that were full.
  void set_faults(const Faults& faults) { faults_ = faults; }

  static Address address_of(NodeIndex node) { return {"sim", static_cast<uint16_t>(1000 + node)}; }
  // The same until it moves: its next process then listens elsewhere, and nobody at the old
  // address.
  Address present_address(NodeIndex node) const;
  void move_away(NodeIndex node);
  // The env of the machine's present process; changes with every power_on.
  env::Env env_of(NodeIndex node);

  // What the next process there says of its machine and its data directory.
  env::Greeting process_of(NodeIndex node) const;

  // A process begins on the machine: what it does happens in `turn` (called when mail has come or
  // the time `due` tells has come).
  void power_on(NodeIndex node, std::function<void()> turn, std::function<Instant()> due);
  // It ends: unsynced writes are forgotten, its links break. `torn`: what is on the disk stays
  // whole batches, but which of the unsynced ones made it is drawn.
  void power_off(NodeIndex node);
  bool is_on(NodeIndex node) const;
  void pause(NodeIndex node, Duration how_long);
  bool is_paused(NodeIndex node) const;
  void wipe(NodeIndex node);                     // The disk is lost.
  void keep_disk(NodeIndex node);                // As it is now,
  void put_back(NodeIndex node);                 // so that this one has it again.
  void copy_disk(NodeIndex from, NodeIndex to);  // Another data directory with the same content.
  // Whatever is submitted from now on is not durable before that time is over: no error is told.
  void hang_disk(NodeIndex node, Duration how_long);
  // So little room is free meanwhile that what is reserved for consensus is in use.
  void fill_disk(NodeIndex node, Duration how_long);
  // From now on a sync of that machine takes up to so much longer than the faults say.
  void slow_disk(NodeIndex node, Duration more);
  // From now on some turns of that machine take up to so long; their effects leave after it.
  void slow_turns(NodeIndex node, Duration most);
  // Its wall clock is set, and stays so: it then is wrong by `error`. It also drifts by itself.
  void set_wall_clock(NodeIndex node, Duration error);

  // Nothing passes between the two groups any more; nobody is told. `rejects`: by a firewall that
  // resets connections and refuses new ones, as the kernel of a dead process would.
  void partition(const std::set<NodeIndex>& one_side, bool rejects = false);
  // Nothing passes from the one group to the other; the other way all does. So no new connection
  // comes about.
  void partition_one_way(const std::set<NodeIndex>& from);
  void heal();
  void cut_link(NodeIndex from, NodeIndex to);  // A reset: the dialler learns of it and redials.

  // Something happens at a time, to nobody in particular.
  void at(Instant when, std::function<void()> what);
  void wake(NodeIndex node);                   // Mail has come: a turn follows.
  uint64_t next_birth() { return ++births_; }  // Of a file of a user: when it was made.

  // Somebody who is no node of this world says that there.
  void say(NodeIndex node, env::Speaker from, Message message);
  // Somebody greets it in the name of the process on `as`, some starts later, and hangs up.
  void greet_as(NodeIndex node, NodeIndex as, uint64_t starts);

  // Delivers the next event; false when there is none. One step.
  bool step();

  // Called when a node hands a batch to its store, or writes a whole file (`told`: without error).
  std::function<void(NodeIndex, const env::Batch&)> on_submit = [](NodeIndex, const env::Batch&) {};
  std::function<void(NodeIndex, const std::string& content, bool told)> on_file =
      [](NodeIndex, const std::string&, bool) {};

  struct Machine;

 private:
  friend struct Machine;
  friend class SimNetwork;
  friend class SimFiles;
  friend class SimStore;
  friend class SimWorkers;
  friend class UserPrograms;

  static constexpr NodeIndex kNobody = SIZE_MAX;
  struct Event {
    Instant when;
    uint64_t order;
    NodeIndex node;  // Or kNobody.
    uint64_t life;   // Of the process it is for; an event of an earlier life is dropped.
    std::function<void()> what;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  void at_node(NodeIndex node, Instant when, std::function<void()> what);
  void run_turn(NodeIndex node);
  static NodeIndex who_had(const Address& address) { return (address.port - 1000u) % 100; }
  bool reaches(NodeIndex from, NodeIndex to) const;
  bool connected(NodeIndex a, NodeIndex b) const { return reaches(a, b) && reaches(b, a); }
  Duration between(Duration least, Duration most);
  Duration latency();
  void report_death(NodeIndex node);

  Random random_;
  Faults faults_;
  Instant now_{std::chrono::hours(1)};
  uint64_t order_ = 0;
  uint64_t steps_ = 0;
  uint64_t lost_bytes_ = 0;
  uint64_t births_ = 0;
  uint64_t deaths_reported_ = 0;
  uint64_t dropped_ = 0;
  std::set<NodeIndex> side_;
  bool rejects_ = false;
  bool one_way_ = false;  // Only what `side_` sends is lost.
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace databridge::sim
