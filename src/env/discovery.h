// A source that sees the nodes of a cluster somewhere: on the local network, in DNS, in a registry.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "model/sighting.h"

namespace databridge::env {

class Discovery {
 public:
  virtual ~Discovery() = default;

  struct Receiver {
    // Everything that the source sees now, itself perhaps included. It replaces what it saw before.
    // Called when something has changed. An outage of the source is no change.
    std::function<void(Sightings seen)> on_sightings;
    // The source was lost (`is_trouble`), or is back; in words, once for each change.
    std::function<void(bool is_trouble, std::string text)> on_note;
  };

  // Begins to look, and to show this node to others. Called once. `boot` is the number of this
  // start of the data directory. The receiver is called on a thread of the source. No failure of
  // the source harms the node, so a failure here means that the settings do not fit this machine.
  virtual Result<void> start(Sighting self, uint64_t boot, Receiver receiver) = 0;

  // The cluster of this node from now on; empty: none.
  virtual void set_cluster(const ClusterId& cluster) = 0;
};

}  // namespace databridge::env
