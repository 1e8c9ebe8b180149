// The simulated world: clock, disks, network, workers and files for many nodes in one thread.
//
// - Owns: simulated time, the queue of events, the disks and links of all nodes. Hides how faults
//   are drawn. A node sees it only through the interfaces of env. It does not know what messages
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
  double loss = 0;  // The part of messages that are lost.
  Duration latency_max = 1ms;
  Duration sync_max = 1ms;     // The longest time of a disk's sync.
  double drift = 0;            // Clock rates differ by at most this much.
  double disk_error = 0;       // The part of syncs that fail; the node then stops.
  Duration job_max = 2ms;      // The longest time until a worker's job begins.
  bool same_host = true;       // A refused dial proves that the process is gone.
  bool guardians = false;      // Each process has a guardian, which tells the others of its end.
  Duration report_max = 20ms;  // The longest delay of that. The next process may run by then.
  double doubled = 0;          // The part of messages that come once more, a little later.
  uint64_t bandwidth = 0;      // The bytes in a second that each link carries; 0: without limit.
  uint64_t queue_max = 0;      // The bytes that may wait on a link; more are dropped.
  double file_error = 0;       // The part of file operations of processors that fail.
  double wrong_sightings = 0;  // How often a discovery source is wrong.
  std::string text() const;
};

class World {
 public:
  // There is one machine more than nodes: see spare().
  World(uint64_t seed, size_t nodes, const Faults& faults);
  ~World();

  using NodeIndex = size_t;

  Instant now() const { return now_; }
  Random& random() { return random_; }
  size_t size() const { return machines_.size() - 1; }
  NodeIndex spare() const { return size(); }          // A machine for a copy of a node.
  static Address nowhere() { return {"sim", 1099}; }  // No process ever listens there.
  uint64_t steps() const { return steps_; }
  uint64_t lost_bytes() const { return lost_bytes_; }
  uint64_t deaths_reported() const { return deaths_reported_; }
  uint64_t dropped() const { return dropped_; }  // Messages that were lost to full queues.
  void set_faults(const Faults& faults) { faults_ = faults; }

  static Address address_of(NodeIndex node) { return {"sim", static_cast<uint16_t>(1000 + node)}; }
  // The same as address_of() until the node moves. After that its next process listens at another
  // address, and none at the old one.
  Address present_address(NodeIndex node) const;
  void move_away(NodeIndex node);
  // The env of the machine's present process. It changes with every power_on.
  env::Env env_of(NodeIndex node);
  void enable_sightings(NodeIndex node);             // Its later processes have a discovery source.
  Instant shown_foreigner_at(NodeIndex node) const;  // Its process, in a cluster; max(): never.
  // What the next process on that machine will say about its machine and its data directory.
  env::Greeting process_of(NodeIndex node) const;

  // A process begins on the machine. It acts in `turn`, which is called when a message has come, or
  // at the time that `due` returns.
  void power_on(NodeIndex node, std::function<void()> turn, std::function<Instant()> due);
  // The process ends, and its links break. Of the unsynced batches the disk keeps the first ones,
  // each of them whole; how many is drawn.
  void power_off(NodeIndex node);
  bool is_on(NodeIndex node) const;
  void pause(NodeIndex node, Duration how_long);
  bool is_paused(NodeIndex node) const;
  void wipe(NodeIndex node);                                 // The disk is lost.
  void write_disk(NodeIndex node, const env::Batch& batch);  // Of a machine that is off.
  void keep_disk(NodeIndex node);  // Keeps a copy of the disk as it is now.
  void put_back(NodeIndex node);   // Gives the disk the kept content again.
  // Makes another data directory with the same content.
  void copy_disk(NodeIndex from, NodeIndex to);
  // Writes that are submitted from now on become durable only after that time. They give no error.
  void hang_disk(NodeIndex node, Duration how_long);
  // For that time so little room is free that the reserve for consensus is in use.
  void fill_disk(NodeIndex node, Duration how_long);
  // From now on a sync of that machine takes up to `more` longer than the faults say.
  void slow_disk(NodeIndex node, Duration more);
  // From now on some turns of that machine take up to `most`. Their effects leave after that.
  void slow_turns(NodeIndex node, Duration most);
  // Sets its wall clock, which is then wrong by `error`, and stays so. It also drifts by itself.
  void set_wall_clock(NodeIndex node, Duration error);

  // No message passes between the two groups, and no node is told. `rejects`: as with a firewall
  // that resets connections and refuses new ones, like the kernel of a dead process.
  void partition(const std::set<NodeIndex>& one_side, bool rejects = false);
  // No message passes from `from`; messages to it do. So no new connection can be made.
  void partition_one_way(const std::set<NodeIndex>& from);
  void heal();
  void cut_link(NodeIndex from, NodeIndex to);  // A reset: the dialler learns of it and redials.

  // An event at a time, on no node in particular.
  void at(Instant when, std::function<void()> what);
  void wake(NodeIndex node);                   // A message has come, so a turn follows.
  uint64_t next_birth() { return ++births_; }  // The birth number of a new user file.

  // A sender that is no node of this world sends this message to the node.
  void say(NodeIndex node, env::Speaker from, Message message);
  // A process greets the node in the name of the process on `as`, `starts` starts later; hangs up.
  void greet_as(NodeIndex node, NodeIndex as, uint64_t starts);

  // Delivers the next event. Returns false if there is none. This is one step.
  bool step();

  // Called when a node gives a batch to its store, or writes a whole file (`told`: without error).
  std::function<void(NodeIndex, const env::Batch&)> on_submit = [](NodeIndex, const env::Batch&) {};
  std::function<void(NodeIndex, const std::string& content, bool told)> on_file =
      [](NodeIndex, const std::string&, bool) {};

  struct Machine;

 private:
  friend struct Machine;
  friend class SimNetwork;
  friend class SimDiscovery;
  friend class SimFiles;
  friend class SimStore;
  friend class SimWorkers;
  friend class UserPrograms;
  static constexpr NodeIndex kNobody = SIZE_MAX;
  struct Event {
    Instant when;
    uint64_t order;
    NodeIndex node;  // kNobody: of no node.
    uint64_t life;   // The life of its process. An event of an earlier life is dropped.
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
  bool one_way_ = false;  // Only messages from `side_` are lost.
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace databridge::sim
