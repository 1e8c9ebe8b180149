// - Owns: small wrappers of system calls for the files of this room: descriptors that close
//   themselves, whole writes, error texts.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::platform {

// A file descriptor that is closed when it is destroyed.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// "cannot <what> <path>: <strerror(errno)>", with the code that fits errno.
Error system_error(const std::string& what, const std::string& path);

Result<void> write_all(int fd, BytesView bytes, const std::string& path);

// The whole content of a small file (also in /proc, where sizes are not known). Codes: not_found,
// forbidden, io.
Result<Bytes> read_file(const std::string& path);

// Afterwards the file is durable, and after a crash it is there wholly or not at all: it is written
// aside, synced and renamed.
Result<void> write_whole_file(const std::string& path, BytesView content);

// Starts a named thread (at most 15 letters). It gets no signals, since those are for the main
// thread.
std::thread start_thread(const char* name, std::function<void()> run);

// Syncs the directory itself, so that its names survive a crash of the machine.
Result<void> sync_directory(const std::string& path);

}  // namespace databridge::platform
