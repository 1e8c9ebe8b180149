// Everything outside itself that a node may use. It is given to the node when the node is made:
// lib/node.cc gives the real parts (platform/), the simulator gives its own.
#pragma once

#include <cstdint>

namespace databridge::env {

class Clock;
class Store;
class Network;
class Workers;
class Files;
class LoadProbe;
class Discovery;

struct Env {
  Clock& clock;
  Store& store;
  Network& network;
  Workers& workers;
  Files& files;
  LoadProbe& load_probe;
  // For all random numbers in this node. It comes from the system's entropy, or from the test.
  uint64_t seed;
  Discovery* discovery = nullptr;  // Null: only the configured seeds are known.
};

}  // namespace databridge::env
