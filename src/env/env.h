// The world on one page: all that a node may touch, handed in at its making. The daemon hands in
// the real one (platform/), the simulator hands in its own.
#pragma once

#include <cstdint>

namespace databridge::env {

class Clock;
class Store;
class Network;
class Workers;
class Files;
class LoadProbe;

struct Env {
  Clock& clock;
  Store& store;
  Network& network;
  Workers& workers;
  Files& files;
  LoadProbe& load_probe;
  uint64_t seed;  // For all chance in this node: from the system's entropy, or from the test.
};

}  // namespace databridge::env
