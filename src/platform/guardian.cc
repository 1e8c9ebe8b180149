#include "platform/guardian.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "base/check.h"
#include "platform/death_report.h"
#include "platform/signals.h"

namespace databridge::platform {
namespace {

using Watch = std::chrono::steady_clock;

constexpr Duration kLastReports = 2s;  // The longest wait for them at the end.

std::string text_of(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status),
                       ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

class Guardian {
 public:
  explicit Guardian(const GuardianOptions& options) : options_(options) {}

  int run() {
    ::signal(SIGCHLD, SIG_DFL);  // If it is ignored, as some parents do, no exit is reported.
    block_signals();
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    CHECK(::sigprocmask(SIG_BLOCK, &child, &at_first_) == 0);
    for (Duration pause = options_.first_pause;;) {
      const auto begun = Watch::now();
      const int status = run_node();
      const bool good = Watch::now() - begun >= options_.good_run;
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
      if (stopping_ || (WIFEXITED(status) && (code == 0 || options_.is_final(code)))) {
        return finish(code);
      }
      if (good) pause = options_.first_pause;
      const Duration wait = good ? Duration::zero() : pause;
      options_.log(fmt::format(
          "the node {}; it starts again {}", text_of(status),
          good ? "now"
               : fmt::format("in {} ms",
                             std::chrono::duration_cast<std::chrono::milliseconds>(wait).count())));
      if (!good) pause = std::min(2 * pause, options_.last_pause);
      const auto due = Watch::now() + wait;
      while (!stopping_ && Watch::now() < due) take_signal(due - Watch::now());
      if (stopping_) return finish(0);
    }
  }

 private:
  int run_node() {
    will_.clear();
    will_.renew_secret();
    node_ = fork_child([this] { return options_.node(will_); });
    if (node_ < 0) {
      node_ = 0;
      options_.log(fmt::format("no process can be made: {}", ::strerror(errno)));
      return W_EXITCODE(1, 0);
    }
    if (stopping_) ::kill(node_, SIGTERM);
    while (!ended_) take_signal(std::nullopt);
    const int status = *ended_;
    ended_.reset();
    // A process that ended well has handed over, so there is nothing to prove.
    if (status != 0) report();
    node_ = 0;
    return status;
  }

  // -1 with errno if no process can be made now, perhaps since one has just been killed.
  template <typename Act>
  pid_t fork_child(Act act) {
    const pid_t guardian = ::getpid();
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::sigprocmask(SIG_SETMASK, &at_first_, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != guardian) ::_exit(1);  // The guardian died before the signal was set.
    ::_exit(act());
  }

  // The report has a process of its own, so that the next node does not wait for it.
  void report() {
    const auto will = will_.read();
    if (!will || will->process.pid != static_cast<uint64_t>(node_) || will->peers.empty()) return;
    // The next process gets a new secret in the same memory, so this one is copied first.
    const std::string secret = will_.secret();
    const pid_t reporter = fork_child([&] {
      sigset_t none;
      sigemptyset(&none);
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      TlsContext tls;
      if (!options_.tls.empty()) {
        const auto loaded = load_credentials(options_.tls);
        if (!loaded) {
          options_.log("the end of the node cannot be reported: " + loaded.error().message);
          return 1;
        }
        tls = loaded->context;
      }
      report_death({will->process, secret}, will->peers, options_.report_time, tls);
      return 0;
    });
    if (reporter > 0) reporters_.insert(reporter);
  }

  // Takes the next signal, within that time or whenever it comes.
  void take_signal(std::optional<Duration> within) {
    sigset_t set = at_first_;
    sigaddset(&set, SIGCHLD);
    int number = 0;
    if (within) {
      const auto ns = std::max<int64_t>(0, within->count());
      const timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
      number = ::sigtimedwait(&set, nullptr, &time);
    } else {
      number = ::sigwaitinfo(&set, nullptr);
    }
    if (number == SIGCHLD) reap();
    if (number == SIGTERM || number == SIGINT || number == SIGHUP) {
      stopping_ = stopping_ || number != SIGHUP;
      if (node_ != 0) ::kill(node_, number);  // From a terminal it may come twice: no harm.
    }
  }

  void reap() {
    int status = 0;
    for (pid_t child = ::waitpid(-1, &status, WNOHANG); child > 0;
         child = ::waitpid(-1, &status, WNOHANG)) {
      if (child == node_) {
        ended_ = status;
      } else {
        reporters_.erase(child);  // Or an orphan, if this is process 1.
      }
    }
  }

  int finish(int code) {
    const auto due = Watch::now() + kLastReports;
    while (!reporters_.empty() && Watch::now() < due) take_signal(due - Watch::now());
    return code;
  }

  const GuardianOptions& options_;
  LastWill will_;
  sigset_t at_first_{};  // What the program had blocked.
  pid_t node_ = 0;
  std::optional<int> ended_;  // The exit status.
  bool stopping_ = false;
  std::set<pid_t> reporters_;
};

}  // namespace

int guard(const GuardianOptions& options) { return Guardian(options).run(); }

}  // namespace databridge::platform
