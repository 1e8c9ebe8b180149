// It is linked into the tests of every room. If a test does not end, this prints where each thread
// is, and fails. Otherwise a run that hangs on another machine would tell nothing.
#include <errno.h>
#include <execinfo.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>

namespace {

// Much more than the slowest test needs under sanitizers, and less than the limit of ctest for its
// program.
constexpr std::chrono::seconds kTestMax{300};
const int kSignal = SIGRTMIN + 4;

std::array<void*, 64> frames;
std::atomic<int> depth{0};
std::counting_semaphore<> answered{0};

void answer(int) {
  const int before = errno;
  depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  answered.release();
  errno = before;
}

void print_thread(pid_t thread) {
  if (::syscall(SYS_tgkill, ::getpid(), thread, kSignal) != 0) return;
  const bool stands = answered.try_acquire_for(std::chrono::seconds(3));
  std::printf("--- thread %d%s\n", thread, stands ? "" : " does not answer");
  if (!stands) return;
  char** lines = ::backtrace_symbols(frames.data(), depth);
  const std::string own = std::string(program_invocation_name) + "(+0x";
  std::string offsets;  // Offsets in this program, for addr2line.
  for (int i = 0; lines != nullptr && i < depth; ++i) {
    const std::string line = lines[i];  // program(+0x1234) [0x5555...]
    std::printf("%s\n", line.c_str());
    if (!line.starts_with(own)) continue;
    const size_t from = own.size() - 2;
    offsets += ' ' + line.substr(from, line.find(')') - from);
  }
  std::fflush(stdout);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  if (std::system(("addr2line -Cfpse " + program + offsets).c_str()) != 0) {
    std::printf("addr2line is missing: no names\n");
  }
}

class Watchdog : public testing::EmptyTestEventListener {
 public:
  Watchdog() : thread_([this] { run(); }) {
    struct sigaction action {};
    action.sa_handler = answer;
    action.sa_flags = SA_RESTART;
    ::sigaction(kSignal, &action, nullptr);
    ::backtrace(frames.data(), 1);  // Loads what it needs now, and not in the signal handler.
  }
  ~Watchdog() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void OnTestStart(const testing::TestInfo& test) override {
    set(std::string(test.test_suite_name()) + "." + test.name());
  }
  void OnTestEnd(const testing::TestInfo&) override { set(""); }

 private:
  void set(std::string name) {
    {
      const std::lock_guard lock(mutex_);
      name_ = std::move(name);
      ++count_;
    }
    changed_.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      const auto seen = count_;
      const auto moved = [&] { return ended_ || count_ != seen; };
      if (name_.empty()) {
        changed_.wait(lock, moved);
      } else if (!changed_.wait_for(lock, kTestMax, moved)) {
        complain();
      }
    }
  }

  [[noreturn]] void complain() {
    std::printf("%s has not ended for %d s. Its threads:\n", name_.c_str(),
                static_cast<int>(kTestMax.count()));
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
      const pid_t thread = std::stoi(entry.path().filename());
      if (thread != ::gettid()) print_thread(thread);
    }
    std::fflush(stdout);
    ::_exit(1);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string name_;    // Guarded by mutex_; empty between tests.
  size_t count_ = 0;    // Guarded by mutex_.
  bool ended_ = false;  // Guarded by mutex_.
  std::thread thread_;
};

// google test's main() does not know the watchdog. It is installed when the environments are set
// up.
class Installer : public testing::Environment {
 public:
  void SetUp() override { testing::UnitTest::GetInstance()->listeners().Append(new Watchdog); }
};
[[maybe_unused]] const auto* const installed = testing::AddGlobalTestEnvironment(new Installer);

}  // namespace
