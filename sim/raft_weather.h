// The conditions of one simulated raft run: how bad the network and the disks are, how often each
// fault happens, and the settings of the cores.
//
// Owns these choices; all are drawn from the run's seed. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/random.h"
#include "raft/ready.h"

namespace databridge::sim {

struct Weather {
  size_t voters = 3;
  size_t spares = 0;
  int64_t latency_min = 0, latency_jitter = 0;  // ns
  int64_t disk_min = 0, disk_jitter = 0;        // ns
  // `late`: the chance of a delay far beyond the usual one.
  double loss = 0, duplicate = 0, late = 0;
  bool fifo = false;
  double drift = 0;
  int64_t client_gap = 0, nemesis_gap = 0;  // In ns; the mean.
  double reads = 0;                         // The part of the client's requests that are reads.
  raft::Index compact_every = 0, compact_keep = 0;
  size_t state_bytes = 0;
  bool hints = false;
  bool puts_back = false;  // Disks are put back to an older copy.
  // Disks are put back even if no leader can know it. Then little is promised.
  bool unseen = false;
  std::array<uint64_t, 13> nemeses{};  // The weight of each Nemesis.
  raft::Options options;

  explicit Weather(Random& random);
  void make_rivals(Random& random);
  std::string text() const;
};

enum class Nemesis : uint8_t {
  crash,
  crash_leader,
  disk_error,
  pause,
  partition,
  isolate_leader,
  one_way,
  stall_disk,
  transfer,
  change,
  wipe,
  put_back,
  stranger,
};

}  // namespace databridge::sim
