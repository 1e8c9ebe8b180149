// The engine and the world around it: network and discovery at the start, the load and the disk of
// its machine, and the snapshots of its state.
#include <algorithm>
#include <utility>

#include "env/discovery.h"
#include "env/load_probe.h"
#include "env/workers.h"
#include "node/engine.h"

namespace databridge::node {
namespace {

using cluster::Weight;

constexpr Duration kSampleEvery = 1s;
constexpr uint32_t kSmoothOver = 30;  // The number of samples.

}  // namespace

void Engine::start_network() {
  env::Greeting self = options_.process;
  self.incarnation = identity_.incarnation;
  self.boot = identity_.boot;
  self.start = identity_.start;
  self.node = identity_.node;
  self.cluster = identity_.cluster;
  self.address = options_.self.address;
  self.features = options_.features;
  const auto started = env_.network.start(
      std::move(self), {.on_message =
                            [this](env::Speaker from, Message message) {
                              put(Came{from, std::move(message)});
                            },
                        .on_link = [this](env::LinkEvent event) { put(std::move(event)); },
                        .on_greeting = [this](env::Greeting peer) { put(std::move(peer)); },
                        .on_reaped =
                            [this](const env::Greeting& dead) {
                              put(cluster::Reaped{dead.incarnation, dead.boot, dead.start});
                            }});
  if (!started) return fail_node(started.error());
  if (env_.discovery != nullptr && options_.clustered) start_discovery();
}

void Engine::start_discovery() {
  const Sighting self{options_.self.address, identity_.node, identity_.incarnation,
                      identity_.cluster};
  const auto started = env_.discovery->start(
      self, identity_.boot,
      {.on_sightings = [this](Sightings seen) { put(cluster::Sighted{std::move(seen)}); },
       .on_note =
           [this](bool is_trouble, std::string text) {
             post([this, is_trouble, text = std::move(text)] {
               log(is_trouble ? Weight::warning : Weight::info, text);
             });
           }});
  if (!started) fail_node(started.error());
}

// Tells the network the log position that greetings name (safety.md 9.1).
void Engine::name_position() {
  const env::LogPosition position = coordinator_ ? coordinator_->position() : env::LogPosition{};
  if (position == position_) return;
  position_ = position;
  env_.network.set_position(position);
}

void Engine::sample_load() {
  if (now_ < sample_next_) return;
  sample_next_ = now_ + kSampleEvery;
  // One busy second says little about a node, so its load is a mean over about half a minute.
  NodeLoad& load = smooth_;
  if (const auto sample = env_.load_probe.sample()) {
    samples_ = std::min(samples_ + 1, kSmoothOver);
    load.cpu_percent += (sample->cpu_percent - load.cpu_percent) / samples_;
    load.memory_percent += (sample->memory_percent - load.memory_percent) / samples_;
  }
  load.processors_active = static_cast<uint32_t>(host_->running_count());
  load.queue_depth = host_->queue_depth();
  const env::Store::Room room = env_.store.room();
  const uint64_t share = room.total / 100 * options_.disk_free_percent;
  // When the reserve is given up, its room is free, but only consensus may use it. So the disk
  // counts as full.
  const bool full =
      room.reserve_used || (room.total != 0 && room.free < std::min(options_.disk_free_min, share));
  const bool late = now_ < disk_late_until_;
  load.trouble = full ? NodeTrouble::disk_full : late ? NodeTrouble::disk_error : NodeTrouble::none;
  host_->pause_sources(full);
  if (std::exchange(no_room_, room.reserve_used) != room.reserve_used) {
    log(Weight::warning, no_room_ ? "the disk is full: only votes and the log may use the reserve "
                                    "now; if this node leads, it refuses new writes"
                                  : "the disk has room again, and the reserve is restored");
  }
  step(cluster::Sampled{load, no_room_});
}

// A leader whose disk hangs still sends Raft heartbeats, so no other node replaces it. But messages
// that wait for a sync, such as acknowledgements of heartbeats, do not go out, and all leases would
// end. So the leader resigns.
void Engine::mind_the_disk() {
  const auto since = journal_.unsafe_since();
  if (!since || !consensus_.leading || !coordinator_->can_hand_over()) return;
  if (now_ < *since + options_.leader.timing.raft_base) return;
  log(Weight::warning, "its disk hangs: this node gives up leadership");
  coordinator_->resign(now_);
  refresh_consensus();
}

// A snapshot costs as much as its first piece, the tables of the state. So it is worth it only when
// the log has grown by as much. Encoding a large state takes long, so a thread of its own does it,
// from a copy that shares the structure of the state.
void Engine::maybe_snapshot() {
  if (!coordinator_ || snapshotting_ || coordinator_->compacting()) return;
  const LogIndex version = brain_->state().version();
  const bool many = coordinator_->entries_held() >= options_.snapshot_entries &&
                    version > snapshot_index_ + options_.snapshot_entries / 4;
  const bool large =
      coordinator_->bytes_held() >= std::max(options_.snapshot_bytes, snapshot_size_) &&
      version > snapshot_index_;
  if (!many && !large) return;
  snapshotting_ = true;
  snapshot_index_ = version;
  auto copy = std::make_shared<State>(brain_->state());  // The job outlives this turn.
  env_.workers.run_apart([this, copy, of = identity_.cluster] {
    post([this, pieces = copy->snapshot(), index = copy->version(), of] {
      snapshotting_ = false;
      ++snapshots_;
      snapshot_size_ = pieces.list().front().size();
      if (!coordinator_ || of != identity_.cluster) return;
      // The entries that stay behind the snapshot must not be enough to make the next one due.
      coordinator_->compact(index, pieces, options_.snapshot_trailing, options_.snapshot_bytes / 2);
    });
  });
}

}  // namespace databridge::node
