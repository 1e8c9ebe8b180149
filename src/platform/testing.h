// For tests of this room only: directories that are removed again, child processes to kill, and
// waiting for a condition without a fixed sleep.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "base/check.h"
#include "base/time.h"

namespace databridge::platform {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "databridge-XXXXXX";
    CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The role of this test program when ChildProcess runs it. A ChildRole is a global object, so it
// acts before main. The child is a new program image, since a forked one has only the thread that
// forked.
class ChildRole {
 public:
  static constexpr int kOutput = 3;  // The descriptor that ChildProcess reads from.

  ChildRole(const char* role, void (*act)(const std::string& argument)) {
    const char* wanted = ::getenv("DATABRIDGE_TEST_ROLE");
    if (wanted == nullptr || std::string(wanted) != role) return;
    act(::getenv("DATABRIDGE_TEST_ARGUMENT"));
    ::_exit(0);
  }

  template <typename Value>
  static void put(const Value& value) {
    if (::write(kOutput, &value, sizeof value) != sizeof value) ::_exit(2);
  }
};

class ChildProcess {
 public:
  ChildProcess(const char* role, const std::string& argument) {
    int ends[2];
    CHECK(::pipe2(ends, O_CLOEXEC) == 0);
    const std::string role_text = std::string("DATABRIDGE_TEST_ROLE=") + role;
    const std::string argument_text = "DATABRIDGE_TEST_ARGUMENT=" + argument;
    const char* const arguments[] = {"/proc/self/exe", nullptr};
    const char* const environment[] = {role_text.c_str(), argument_text.c_str(), nullptr};
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], ChildRole::kOutput);
      ::execve(arguments[0], const_cast<char* const*>(arguments),
               const_cast<char* const*>(environment));
      ::_exit(127);
    }
    CHECK(pid_ > 0);
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~ChildProcess() {
    kill();
    reap();
    ::close(output_);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next value that the child put. Returns false once it has ended and all values were read.
  template <typename Value>
  bool get(Value& value) {
    return ::read(output_, &value, sizeof value) == sizeof value;
  }
  void kill() {
    if (!reaped_) ::kill(pid_, SIGKILL);
  }
  void reap() {
    if (!reaped_) ::waitpid(pid_, nullptr, 0);
    reaped_ = true;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  bool reaped_ = false;
};

// Checks again and again until the condition holds. Returns false if it does not hold for a long
// time.
template <typename Condition>
bool eventually(Condition&& holds) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace databridge::platform
