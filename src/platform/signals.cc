#include "platform/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string_view>
#include <thread>
#include <utility>

#include "platform/system.h"

namespace databridge::platform {
namespace {

// Ends the waiting thread. No other process sends it.
constexpr int kEnd = SIGUSR2;

sigset_t handled() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, kEnd}) sigaddset(&set, number);
  return set;
}

class SignalThread final : public Signals {
 public:
  explicit SignalThread(SignalHandlers handlers)
      : handlers_(std::move(handlers)), thread_(start_thread("signals", [this] { wait(); })) {}
  ~SignalThread() override {
    pthread_kill(thread_.native_handle(), kEnd);
    thread_.join();
  }

 private:
  void wait() const {
    const sigset_t set = handled();
    for (;;) {
      int number = 0;
      if (sigwait(&set, &number) != 0) continue;
      if (number == kEnd) return;
      if (number == SIGHUP) {
        handlers_.reload();
      } else {
        handlers_.stop();
      }
    }
  }

  SignalHandlers handlers_;
  std::thread thread_;
};

}  // namespace

void block_signals() {
  sigset_t set = handled();
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void explain_aborts() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    char name[16] = "";  // Of the thread; a handler may ask little else.
    ::prctl(PR_GET_NAME, name);
    const std::string_view thread(name);
    if (!thread.starts_with("rocksdb") && thread != "store") {
      ::signal(SIGABRT, SIG_DFL);
      return;  // abort() goes on.
    }
    constexpr std::string_view kWords =
        "databridge: the store's library gave up, as it does when a disk fails or is full; the "
        "node "
        "ends: look at the disk, then start it again\n";
    (void)!::write(STDERR_FILENO, kWords.data(), kWords.size());
    ::_exit(1);
  };
  sigaction(SIGABRT, &action, nullptr);
}

std::unique_ptr<Signals> handle_signals(SignalHandlers handlers) {
  return std::make_unique<SignalThread>(std::move(handlers));
}

}  // namespace databridge::platform
