// - Owns: the signals that operators send.
// - Hides: masks and waiting.
#pragma once

#include <functional>
#include <memory>

namespace databridge::platform {

struct SignalHandlers {
  std::function<void()> stop;    // SIGTERM, SIGINT. Called again for each later one.
  std::function<void()> reload;  // SIGHUP.
};

// Blocks the handled signals, and SIGPIPE, in every thread that starts after this call. Call it
// first in main.
void block_signals();

// If a library aborts (such as an assertion of RocksDB on a failing disk), the process ends with a
// message and the exit code of a failure. A failed CHECK of our own still aborts.
void explain_aborts();

class Signals {
 public:
  virtual ~Signals() = default;  // Joins the thread that waits.
};

// Calls the handlers on a thread of its own, so they may block.
std::unique_ptr<Signals> handle_signals(SignalHandlers handlers);

}  // namespace databridge::platform
