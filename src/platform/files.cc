#include "platform/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "platform/process.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

// Files under way have this at the front of their names; lists leave them out.
constexpr std::string_view kAside = ".databridge-";

tl::unexpected<Error> unexpected_system(const std::string& what, const std::string& path) {
  return tl::make_unexpected(system_error(what, path));
}

bool is_below(std::string_view path, std::string_view root) {
  if (root == "/") return path.starts_with("/");
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

struct Split {
  std::string directory;
  std::string name;
};

class SandboxedFiles : public env::Files {
 public:
  SandboxedFiles(std::vector<std::string> roots, std::string host)
      : roots_(std::move(roots)), host_(std::move(host)) {}

  Result<env::FileInfo> stat(const std::string& path) override {
    const auto place = find(path);
    if (!place) return tl::make_unexpected(place.error());
    return info(place->get(), path);
  }

  Result<std::string> read(const std::string& path, uint64_t offset, size_t length) override;
  Result<std::vector<env::FileInfo>> list(const std::string& directory) override;
  Result<void> write(const std::string& path, const std::string& content) override;
  Result<void> append(const std::string& path, const std::string& content) override;
  Result<void> remove(const std::string& path) override;
  Result<void> sync(const std::string& directory) override;
  Result<void> rename(const std::string& from, const std::string& to) override;

 private:
  Result<void> check_inside(int place, const std::string& path) const;
  Result<Descriptor> find(const std::string& path, int flags = 0) const;
  Result<Descriptor> reopen(const Descriptor& place, int flags, const std::string& path) const;
  Result<Split> split(const std::string& path) const;
  Result<Descriptor> make_directory(const std::string& directory) const;
  Result<env::FileInfo> info(int fd, const std::string& path) const;
  env::FileInfo info(const struct stat& status, const std::string& path) const;
  Result<void> write_aside(int directory, const std::string& aside, const std::string& name,
                           const std::string& content, const std::string& path) const;

  const std::vector<std::string> roots_;  // Real paths.
  const std::string host_;
  std::atomic<uint64_t> asides_ = 0;
};

// Where the descriptor really is, all links resolved by the kernel that opened it: what is checked
// is what is used, so nobody can swap a link in between.
Result<void> SandboxedFiles::check_inside(int place, const std::string& path) const {
  char real[PATH_MAX];
  const std::string link = fmt::format("/proc/self/fd/{}", place);
  const ssize_t length = ::readlink(link.c_str(), real, sizeof real);
  if (length < 0) return unexpected_system("resolve", path);
  const std::string_view where(real, static_cast<size_t>(length));
  for (const auto& root : roots_) {
    if (is_below(where, root)) return {};
  }
  if (roots_.empty()) {
    return fail(Code::unprocessable,
                fmt::format("{} may not be touched: this node has no --file-root", path));
  }
  return fail(Code::unprocessable,
              fmt::format("{} lies outside the directories that --file-root allows", path));
}

// A descriptor that names the place and does no more: opening a pipe or device for real could have
// effects of its own.
Result<Descriptor> SandboxedFiles::find(const std::string& path, int flags) const {
  if (!path.starts_with("/")) {
    return fail(Code::invalid, fmt::format("path \"{}\" is not absolute", path));
  }
  if (path.find('\0') != std::string::npos) return fail(Code::invalid, "path with a zero byte");
  Descriptor place(::open(path.c_str(), O_PATH | O_CLOEXEC | flags));
  if (!place) return unexpected_system("open", path);
  if (auto inside = check_inside(place.get(), path); !inside) {
    return tl::make_unexpected(inside.error());
  }
  return place;
}

Result<Descriptor> SandboxedFiles::reopen(const Descriptor& place, int flags,
                                          const std::string& path) const {
  struct stat status {};
  if (::fstat(place.get(), &status) != 0) return unexpected_system("stat", path);
  if (!S_ISREG(status.st_mode)) {
    return fail(Code::invalid, fmt::format("{} is not a regular file", path));
  }
  const std::string link = fmt::format("/proc/self/fd/{}", place.get());
  Descriptor file(::open(link.c_str(), flags | O_CLOEXEC));
  if (!file) return unexpected_system("open", path);
  return file;
}

Result<Split> SandboxedFiles::split(const std::string& path) const {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos || path.front() != '/') {
    return fail(Code::invalid, fmt::format("path \"{}\" is not absolute", path));
  }
  Split parts{slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
  if (parts.name.empty() || parts.name == "." || parts.name == ".." ||
      path.find('\0') != std::string::npos) {
    return fail(Code::invalid, fmt::format("path \"{}\" names no file", path));
  }
  return parts;
}

// The directory, made with its parents where they are missing; nothing is made outside the roots.
Result<Descriptor> SandboxedFiles::make_directory(const std::string& directory) const {
  auto place = find(directory, O_DIRECTORY);
  if (place || place.error().code != Code::not_found) return place;
  const auto parts = split(directory);
  if (!parts) return tl::make_unexpected(parts.error());
  const auto parent = make_directory(parts->directory);
  if (!parent) return tl::make_unexpected(parent.error());
  if (::mkdirat(parent->get(), parts->name.c_str(), 0755) != 0 && errno != EEXIST) {
    return unexpected_system("make directory", directory);
  }
  if (auto synced = sync_directory(fmt::format("/proc/self/fd/{}", parent->get())); !synced) {
    return tl::make_unexpected(synced.error());
  }
  return find(directory, O_DIRECTORY);
}

Result<env::FileInfo> SandboxedFiles::info(int fd, const std::string& path) const {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return unexpected_system("stat", path);
  return info(status, path);
}

env::FileInfo SandboxedFiles::info(const struct stat& status, const std::string& path) const {
  env::FileInfo info;
  info.path = path;
  info.host = host_;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  info.size = static_cast<uint64_t>(status.st_size);
  info.modified_ms = int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1000000;
  return info;
}

Result<std::string> SandboxedFiles::read(const std::string& path, uint64_t offset, size_t length) {
  const auto place = find(path);
  if (!place) return tl::make_unexpected(place.error());
  const auto file = reopen(*place, O_RDONLY, path);
  if (!file) return tl::make_unexpected(file.error());
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return unexpected_system("stat", path);
  const auto size = static_cast<uint64_t>(status.st_size);
  std::string content(offset < size ? std::min<uint64_t>(length, size - offset) : 0, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::pread(file->get(), content.data() + done, content.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unexpected_system("read", path);
    if (got == 0) break;  // It was cut meanwhile.
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

Result<std::vector<env::FileInfo>> SandboxedFiles::list(const std::string& directory) {
  const auto place = find(directory, O_DIRECTORY);
  if (!place) return tl::make_unexpected(place.error());
  const int fd = ::openat(place->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return unexpected_system("list", directory);
  DIR* entries = ::fdopendir(fd);
  if (entries == nullptr) {
    ::close(fd);
    return unexpected_system("list", directory);
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !name.starts_with(kAside)) names.emplace_back(name);
  }
  ::closedir(entries);
  std::sort(names.begin(), names.end());

  std::vector<env::FileInfo> files;
  for (const auto& name : names) {
    const std::string path = (directory.ends_with("/") ? directory : directory + "/") + name;
    const Descriptor file(::openat(place->get(), name.c_str(), O_PATH | O_CLOEXEC));
    struct stat status {};
    if (!file) {
      const Error error = system_error("open", path);
      // A name that is gone meanwhile is no trouble.
      if (::fstatat(place->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        files.push_back({.path = path, .host = host_, .trouble = error.message});
      }
      continue;
    }
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (auto inside = check_inside(file.get(), path); !inside) {
      files.push_back({.path = path, .host = host_, .trouble = inside.error().message});
      continue;
    }
    files.push_back(info(status, path));
  }
  return files;
}

// The file has no name until it is whole, where the file system can do that: a process that is
// killed meanwhile leaves nothing. `aside` is its name on the way to one that is taken already.
Result<void> SandboxedFiles::write_aside(int directory, const std::string& aside,
                                         const std::string& name, const std::string& content,
                                         const std::string& path) const {
  Descriptor file(::openat(directory, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644));
  const bool nameless = static_cast<bool>(file);
  if (!nameless) {
    file = Descriptor(::openat(directory, aside.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  }
  if (!file) return unexpected_system("write", path);
  if (auto written = write_all(file.get(), content, path); !written) return written;
  if (::fsync(file.get()) != 0) return unexpected_system("sync", path);
  if (nameless) {
    const std::string self = fmt::format("/proc/self/fd/{}", file.get());
    const auto link_as = [&](const std::string& to) {
      return ::linkat(AT_FDCWD, self.c_str(), directory, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
    };
    if (link_as(name)) return {};
    if (errno != EEXIST || !link_as(aside)) return unexpected_system("write", path);
  }
  if (::renameat(directory, aside.c_str(), directory, name.c_str()) != 0) {
    return unexpected_system("write", path);
  }
  return {};
}

Result<void> SandboxedFiles::write(const std::string& path, const std::string& content) {
  const auto parts = split(path);
  if (!parts) return tl::make_unexpected(parts.error());
  const auto directory = make_directory(parts->directory);
  if (!directory) return tl::make_unexpected(directory.error());
  const std::string aside =
      fmt::format("{}{}-{}-{:016x}", kAside, ::getpid(), ++asides_, entropy64());
  auto written = write_aside(directory->get(), aside, parts->name, content, path);
  if (!written) {
    ::unlinkat(directory->get(), aside.c_str(), 0);
    return written;
  }
  return sync_directory(fmt::format("/proc/self/fd/{}", directory->get()));
}

Result<void> SandboxedFiles::append(const std::string& path, const std::string& content) {
  const auto parts = split(path);
  if (!parts) return tl::make_unexpected(parts.error());
  auto place = find(path);
  if (!place && place.error().code != Code::not_found) return tl::make_unexpected(place.error());
  Descriptor file, new_in;
  if (place) {
    auto opened = reopen(*place, O_WRONLY | O_APPEND, path);
    if (!opened) return tl::make_unexpected(opened.error());
    file = std::move(*opened);
  } else {
    auto directory = make_directory(parts->directory);
    if (!directory) return tl::make_unexpected(directory.error());
    new_in = std::move(*directory);
    file = Descriptor(::openat(new_in.get(), parts->name.c_str(),
                               O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file) return unexpected_system("append to", path);
  }
  if (auto written = write_all(file.get(), content, path); !written) return written;
  if (::fdatasync(file.get()) != 0) return unexpected_system("sync", path);
  if (new_in) return sync_directory(fmt::format("/proc/self/fd/{}", new_in.get()));
  return {};
}

Result<void> SandboxedFiles::remove(const std::string& path) {
  const auto parts = split(path);
  if (!parts) return tl::make_unexpected(parts.error());
  const auto directory = find(parts->directory, O_DIRECTORY);
  if (!directory) return tl::make_unexpected(directory.error());
  if (::unlinkat(directory->get(), parts->name.c_str(), 0) != 0) {
    return unexpected_system("remove", path);
  }
  return {};
}

Result<void> SandboxedFiles::sync(const std::string& directory) {
  const auto place = find(directory, O_DIRECTORY);
  if (!place) return tl::make_unexpected(place.error());
  return sync_directory(fmt::format("/proc/self/fd/{}", place->get()));
}

Result<void> SandboxedFiles::rename(const std::string& from, const std::string& to) {
  const auto from_parts = split(from);
  if (!from_parts) return tl::make_unexpected(from_parts.error());
  const auto to_parts = split(to);
  if (!to_parts) return tl::make_unexpected(to_parts.error());
  const auto source = find(from_parts->directory, O_DIRECTORY);
  if (!source) return tl::make_unexpected(source.error());
  const auto target = make_directory(to_parts->directory);
  if (!target) return tl::make_unexpected(target.error());
  if (::renameat(source->get(), from_parts->name.c_str(), target->get(), to_parts->name.c_str()) !=
      0) {
    return unexpected_system("rename", from);
  }
  if (auto synced = sync_directory(fmt::format("/proc/self/fd/{}", target->get())); !synced) {
    return synced;
  }
  return sync_directory(fmt::format("/proc/self/fd/{}", source->get()));
}

}  // namespace

Result<std::vector<std::string>> real_directories(const std::vector<std::string>& directories) {
  std::vector<std::string> found;
  for (const auto& directory : directories) {
    char real[PATH_MAX];
    if (::realpath(directory.c_str(), real) == nullptr) {
      return unexpected_system("use as a file root", directory);
    }
    struct stat status {};
    if (::stat(real, &status) != 0 || !S_ISDIR(status.st_mode)) {
      return fail(Code::invalid, fmt::format("file root {} is not a directory", directory));
    }
    found.emplace_back(real);
  }
  return found;
}

Result<std::unique_ptr<env::Files>> make_files(const FilesOptions& options) {
  auto roots = real_directories(options.roots);
  if (!roots) return tl::make_unexpected(roots.error());
  return std::unique_ptr<env::Files>(
      std::make_unique<SandboxedFiles>(std::move(*roots), options.host));
}

}  // namespace databridge::platform
