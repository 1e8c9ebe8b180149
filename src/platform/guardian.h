// The small parent process of a node. It waits for the node, tells the cluster of its end and
// starts it again (docs/adr/0008). Hides forking, signals and pauses.
#pragma once

#include <functional>
#include <string>

#include "base/time.h"
#include "platform/certificates.h"
#include "platform/last_will.h"

namespace databridge::platform {

struct GuardianOptions {
  std::function<int(LastWill&)> node;  // The whole life of the child. Returns its exit code.
  // True: it is not started again after that code.
  std::function<bool(int code)> is_final = [](int) { return false; };
  std::function<void(const std::string& line)> log = [](const std::string&) {};
  TlsFiles tls;             // Of the cluster port. They are read for each report anew.
  Duration good_run = 10s;  // After a run of this length the next start is at once.
  // After a shorter run it waits this long. The pause doubles each time.
  Duration first_pause = 100ms;
  Duration last_pause = 30s;   // The longest pause.
  Duration report_time = 10s;  // The time that peers have to answer.
};

// Runs the node in a child, again and again. SIGTERM, SIGINT and SIGHUP are passed on to it, and it
// is killed if the guardian dies. Returns the exit code of the last child (1: ended by a signal),
// once a child ended with 0, with a final code, or because it was told to. Returns 0 if it was told
// to stop while no child ran. Call it while the process has only one thread.
int guard(const GuardianOptions& options);

}  // namespace databridge::platform
