// Owns the signals that operators send. Hides masks and waiting.
#pragma once

#include <functional>
#include <memory>

namespace databridge::platform {

struct SignalHandlers {
  std::function<void()> stop;    // SIGTERM, SIGINT. Called again for each further one.
  std::function<void()> reload;  // SIGHUP.
};

// Keeps the handled signals, and SIGPIPE, from every thread that is started after this call. First
// thing in main.
void block_signals();

// A library that gives up (an assertion of RocksDB over a disk that fails) ends the process with
// words and the exit code of a failure. What the program itself finds wrong with it aborts as ever.
void explain_aborts();

class Signals {
 public:
  virtual ~Signals() = default;  // Joins the thread that waits.
};

// Calls the handlers on a thread of its own, where they may wait.
std::unique_ptr<Signals> handle_signals(SignalHandlers handlers);

}  // namespace databridge::platform
