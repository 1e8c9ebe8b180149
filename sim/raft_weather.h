// The conditions of one simulated raft run: how bad the network and the disks are, which
// misfortunes strike how often, how the cores are tuned.
//
// Owns the choice, all of it drawn from the run's seed. Pure.
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
  double loss = 0, duplicate = 0, late = 0;     // `late`: chance of a delay far beyond the usual.
  bool fifo = false;
  double drift = 0;
  int64_t client_gap = 0, nemesis_gap = 0;  // ns, mean
  double reads = 0;                         // Part of the client's requests.
  raft::Index compact_every = 0, compact_keep = 0;
  size_t state_bytes = 0;
  bool hints = false;
  bool puts_back = false;              // Disks are put back to an older copy,
  bool unseen = false;                 // also when no leader knows it: then little is promised.
  std::array<uint64_t, 13> nemeses{};  // Weights; see Nemesis.
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
