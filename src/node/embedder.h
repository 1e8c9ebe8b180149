// The engine of the program that embeds this node. It runs the processors of type "external".
//
// - Thread: the functions are called on the engine's thread, and must return at once. What they
//   begin may take long, on other threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "model/ids.h"

namespace databridge::node {

class Embedder {
 public:
  virtual ~Embedder() = default;

  struct Start {
    ProcessorId processor;
    Epoch epoch;
    std::map<std::string, std::string> properties;
    Bytes state;  // The last one that the cluster knows of; empty: there is none.
    // Kept until the stop of this epoch has returned. The watchdog counts the epoch as running
    // until then (safety.md 1.6).
    std::shared_ptr<const void> hold;
    // False: the lease of the epoch has ended since, so it must not begin any more (safety.md 1.6).
    // Asked when the program is about to begin; any thread. It may be used as long as `hold`.
    std::function<bool()> is_leased;
  };
  // Starts and stops of one processor take effect in the order of these calls, one after the other.
  // A start that takes effect when its epoch is not leased any more begins nothing. Its stop is
  // called all the same.
  virtual void start(Start start) = 0;
  // `returned` is called once, on any thread, when nothing of that epoch runs any more.
  virtual void stop(const ProcessorId& processor, Epoch epoch, std::function<void()> returned) = 0;
  // That epoch must stop at once, and does not wait for other starts and stops. A stop of it
  // follows, or was called before.
  virtual void lost(const ProcessorId& processor, Epoch epoch) = 0;
};

}  // namespace databridge::node
