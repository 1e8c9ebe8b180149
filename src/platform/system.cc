#include "platform/system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace databridge::platform {

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error system_error(const std::string& what, const std::string& path) {
  const int number = errno;
  Code code = Code::io;
  if (number == ENOENT || number == ENOTDIR) code = Code::not_found;
  if (number == EACCES || number == EPERM || number == EXDEV || number == ELOOP) {
    code = Code::forbidden;
  }
  if (number == ENAMETOOLONG || number == EISDIR) code = Code::invalid;
  return Error{
      code, fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(number))};
}

Result<void> write_all(int fd, BytesView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::make_unexpected(system_error("write", path));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<Bytes> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return tl::make_unexpected(system_error("open", path));
  Bytes bytes;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::make_unexpected(system_error("read", path));
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(got));
  }
}

std::thread start_thread(const char* name, std::function<void()> run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // A new thread inherits the mask.
  std::thread thread([name, run = std::move(run)] {
    pthread_setname_np(pthread_self(), name);
    run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

Result<void> sync_directory(const std::string& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) {
    return tl::make_unexpected(system_error("sync", path));
  }
  return {};
}

Result<void> write_whole_file(const std::string& path, BytesView content) {
  const std::string fresh = path + ".new";
  {
    const Descriptor out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (!out) return tl::make_unexpected(system_error("open", fresh));
    if (auto written = write_all(out.get(), content, fresh); !written) return written;
    if (::fsync(out.get()) != 0) return tl::make_unexpected(system_error("sync", fresh));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return tl::make_unexpected(system_error("rename", fresh));
  }
  const size_t slash = path.find_last_of('/');
  return sync_directory(slash == std::string::npos ? "." : path.substr(0, slash));
}

}  // namespace databridge::platform
