#include "node/raft_coordinators.h"

#include <algorithm>
#include <utility>

#include "node/raft_coordinator.h"
#include "node/raft_log_store.h"

namespace databridge::node {
namespace {

class RaftCoordinatorFactory final : public CoordinatorFactory {
 public:
  RaftCoordinatorFactory(const raft::Options& options, size_t snapshot_chunk)
      : options_(options), snapshot_chunk_(snapshot_chunk) {}

  Result<Restored> restore(env::Store& store, bool in_cluster, Instant now) override {
    RaftLogStore log;
    auto read = log.load(store);
    if (!read) return tl::make_unexpected(read.error());
    Restored restored;
    restored.state = read->snapshot.data;
    restored.index = read->snapshot.index;
    if (in_cluster) restored.coordinator = make(*read, std::move(log), now);
    return restored;
  }

  std::unique_ptr<Coordinator> found(const std::vector<Incarnation>& founders, env::Batch& batch,
                                     Instant now) override {
    raft::Restored restored;
    auto& voters = restored.snapshot.configuration.voters;
    for (const Incarnation& founder : founders) voters.push_back(founder.value);
    std::sort(voters.begin(), voters.end());
    RaftLogStore log;
    log.install(batch, restored.snapshot);
    return make(restored, std::move(log), now);
  }

  std::unique_ptr<Coordinator> enter(Instant now) override { return make({}, {}, now); }

  void abandon(env::Batch& batch) override { RaftLogStore::erase_all(batch); }

 private:
  std::unique_ptr<Coordinator> make(const raft::Restored& restored, RaftLogStore log,
                                    Instant now) const {
    return std::make_unique<RaftCoordinator>(options_, restored, std::move(log), now,
                                             snapshot_chunk_);
  }

  const raft::Options options_;
  const size_t snapshot_chunk_;
};

}  // namespace

MakeCoordinators raft_coordinators(const cluster::Timing& timing, size_t snapshot_chunk) {
  return [timing, snapshot_chunk](Incarnation self, uint64_t seed) {
    raft::Options options;
    options.id = self.value;
    options.election = timing.raft_base;
    options.heartbeat = timing.raft_heartbeat;
    options.longer_log_wait = timing.election_timeout;
    options.seed = seed;
    return std::make_unique<RaftCoordinatorFactory>(options, snapshot_chunk);
  };
}

}  // namespace databridge::node
