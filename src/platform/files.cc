#include "platform/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "platform/process.h"
#include "platform/repeater.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

// Names of unfinished files begin with this, and lists leave them out.
constexpr std::string_view kAside = ".databridge-";
constexpr size_t kKeptMax = 512;

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

// The kernel's facts about an open file.
Result<struct statx> look_at(int fd, const std::string& path) {
  struct statx status {};
  constexpr unsigned kWanted = STATX_BASIC_STATS | STATX_BTIME;
  if (::statx(fd, "", AT_EMPTY_PATH, kWanted, &status) != 0) return unexpected_system("stat", path);
  return status;
}

env::FileInfo info_from(const struct statx& status, const std::string& path,
                        const std::string& host) {
  env::FileInfo info;
  info.path = path;
  info.host = host;
  info.device = makedev(status.stx_dev_major, status.stx_dev_minor);
  info.inode = status.stx_ino;
  info.size = status.stx_size;
  info.modified_ms = int64_t{status.stx_mtime.tv_sec} * 1000 + status.stx_mtime.tv_nsec / 1000000;
  if ((status.stx_mask & STATX_BTIME) != 0) {
    info.birth =
        static_cast<uint64_t>(status.stx_btime.tv_sec) * 1'000'000'000 + status.stx_btime.tv_nsec;
  }
  return info;
}

Result<env::FileInfo> info_of(int fd, const std::string& path, const std::string& host) {
  const auto status = look_at(fd, path);
  if (!status) return tl::make_unexpected(status.error());
  return info_from(*status, path, host);
}

// The names in a directory, sorted, without unfinished files. All of them, or an error.
Result<std::vector<std::string>> names_in(int directory, const std::string& path) {
  const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return unexpected_system("list", path);
  DIR* entries = ::fdopendir(fd);
  if (entries == nullptr) {
    ::close(fd);
    return unexpected_system("list", path);
  }
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = ::readdir(entries); errno = 0) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !name.starts_with(kAside)) names.emplace_back(name);
  }
  const std::optional<Error> broken =
      errno == 0 ? std::nullopt : std::optional(system_error("list", path));
  ::closedir(entries);
  if (broken) return tl::make_unexpected(*broken);
  std::sort(names.begin(), names.end());
  return names;
}

tl::unexpected<Error> taken(const std::string& path) {
  return fail(Code::conflict, fmt::format("{} is there already", path));
}

// Gives the file a name that no file has. Some file systems can do that only by a second link.
Result<void> name_it(int directory, const std::string& aside, const std::string& name,
                     const std::string& path) {
  if (::renameat2(directory, aside.c_str(), directory, name.c_str(), RENAME_NOREPLACE) == 0) {
    return {};
  }
  if (errno == EINVAL || errno == ENOSYS) {
    if (::linkat(directory, aside.c_str(), directory, name.c_str(), 0) == 0) {
      ::unlinkat(directory, aside.c_str(), 0);
      return {};
    }
  }
  if (errno == EEXIST) return taken(path);
  return unexpected_system("write", path);
}

// Up to `length` bytes from `offset`; shorter only at the end of the file.
Result<std::string> read_at(int fd, uint64_t offset, size_t length, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return unexpected_system("stat", path);
  const auto size = static_cast<uint64_t>(status.st_size);
  std::string content(offset < size ? std::min<uint64_t>(length, size - offset) : 0, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::pread(fd, content.data() + done, content.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unexpected_system("read", path);
    if (got == 0) break;  // It was cut short meanwhile.
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

Result<std::string> place_of(int fd, const std::string& path) {
  char real[PATH_MAX];
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  const ssize_t length = ::readlink(link.c_str(), real, sizeof real);
  if (length < 0) return unexpected_system("resolve", path);
  return std::string(real, static_cast<size_t>(length));
}

class HeldFile : public env::OpenFile {
 public:
  HeldFile(Descriptor file, std::string path, std::string host)
      : file_(std::move(file)), path_(std::move(path)), host_(std::move(host)) {}

  Result<env::FileInfo> stat() override { return info_of(file_.get(), path_, host_); }
  Result<std::string> read(uint64_t offset, size_t length) override {
    return read_at(file_.get(), offset, length, path_);
  }
  Result<uint64_t> data_after(uint64_t offset) override {
    const off_t data = ::lseek(file_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data >= 0) return static_cast<uint64_t>(data);
    if (errno == EINVAL) return offset;  // This file system knows no holes.
    if (errno != ENXIO) return unexpected_system("read", path_);
    auto known = stat();
    if (!known) return tl::make_unexpected(known.error());
    return std::max(offset, known->size);
  }
  Result<std::string> where() override { return place_of(file_.get(), path_); }

 private:
  Descriptor file_;
  std::string path_;
  std::string host_;
};

class SandboxedFiles : public env::Files {
 public:
  SandboxedFiles(std::vector<std::string> roots, std::string host, Duration kept_for)
      : roots_(std::move(roots)), host_(std::move(host)), kept_for_(kept_for) {}

  std::string machine() const override { return host_; }
  Result<std::unique_ptr<env::OpenFile>> open(const std::string& path) override;
  void keep(const std::string& owner, std::unique_ptr<env::OpenFile> file) override;
  std::vector<std::unique_ptr<env::OpenFile>> kept(const std::string& owner) override;

  Result<env::FileInfo> stat(const std::string& path) override {
    const auto place = find(path);
    if (!place) return tl::make_unexpected(place.error());
    return info_of(place->get(), path, host_);
  }

  Result<std::string> read(const std::string& path, uint64_t offset, size_t length) override;
  Result<std::vector<env::FileInfo>> list(const std::string& directory) override;
  Result<void> write(const std::string& path, const std::string& content) override;
  Result<void> create(const std::string& path, const std::string& content) override;
  Result<void> append(const std::string& path, BytesView content) override;
  Result<void> remove(const std::string& path) override;
  Result<void> sync(const std::string& directory) override;

 private:
  Result<void> check_inside(int place, const std::string& path) const;
  Result<Descriptor> find(const std::string& path, int flags = 0) const;
  Result<Descriptor> reopen(const Descriptor& place, int flags, const std::string& path) const;
  Result<Split> split(const std::string& path) const;
  Result<Descriptor> make_directory(const std::string& directory) const;
  void drop_old() REQUIRES(mutex_);
  Result<std::optional<env::FileInfo>> listed(int directory, const std::string& name,
                                              const std::string& path) const;
  Result<std::optional<env::FileInfo>> unopened(int directory, const std::string& name,
                                                const std::string& path) const;
  Result<void> put(int directory, const std::string& name, const std::string& content,
                   const std::string& path, bool replace);
  Result<void> write_aside(int directory, const std::string& aside, const std::string& name,
                           const std::string& content, const std::string& path, bool replace) const;

  const std::vector<std::string> roots_;  // Real paths.
  const std::string host_;
  const Duration kept_for_;
  std::atomic<uint64_t> asides_ = 0;
  struct Kept {
    std::chrono::steady_clock::time_point since;
    std::string owner;
    std::unique_ptr<env::OpenFile> file;
  };
  Mutex mutex_;
  std::vector<Kept> kept_ GUARDED_BY(mutex_);
  // Drops kept files that no owner asks for. It starts with the first kept file.
  std::unique_ptr<Repeater> dropper_ GUARDED_BY(mutex_);
};

// Asks the kernel where the descriptor really is, with all links resolved. The checked file is the
// one that is used, so no process can swap a link in between.
Result<void> SandboxedFiles::check_inside(int place, const std::string& path) const {
  const auto where = place_of(place, path);
  if (!where) return tl::make_unexpected(where.error());
  for (const auto& root : roots_) {
    if (is_below(*where, root)) return {};
  }
  if (roots_.empty()) {
    return fail(Code::unprocessable,
                fmt::format("{} may not be touched: this node has no --file-root", path));
  }
  return fail(Code::unprocessable,
              fmt::format("{} lies outside the directories that --file-root allows", path));
}

// A descriptor that only names the place: opening a pipe or device for real could have effects.
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

// Opens the directory, and makes it and its parents where they are missing, but never outside the
// roots.
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

Result<std::unique_ptr<env::OpenFile>> SandboxedFiles::open(const std::string& path) {
  const auto place = find(path);
  if (!place) return tl::make_unexpected(place.error());
  auto file = reopen(*place, O_RDONLY, path);
  if (!file) return tl::make_unexpected(file.error());
  return std::make_unique<HeldFile>(std::move(*file), path, host_);
}

void SandboxedFiles::keep(const std::string& owner, std::unique_ptr<env::OpenFile> file) {
  const MutexLock lock(mutex_);
  drop_old();
  if (kept_.size() == kKeptMax) kept_.erase(kept_.begin());
  kept_.push_back({std::chrono::steady_clock::now(), owner, std::move(file)});
  if (dropper_) return;
  dropper_ = std::make_unique<Repeater>("kept files", kept_for_ / 4, [this] {
    const MutexLock looking(mutex_);
    drop_old();
  });
}

std::vector<std::unique_ptr<env::OpenFile>> SandboxedFiles::kept(const std::string& owner) {
  const MutexLock lock(mutex_);
  drop_old();
  std::vector<std::unique_ptr<env::OpenFile>> files;
  std::erase_if(kept_, [&](Kept& one) {
    if (one.owner != owner) return false;
    files.push_back(std::move(one.file));
    return true;
  });
  return files;
}

void SandboxedFiles::drop_old() {
  const auto before = std::chrono::steady_clock::now() - kept_for_;
  std::erase_if(kept_, [&](const Kept& one) { return one.since < before; });
}

Result<std::string> SandboxedFiles::read(const std::string& path, uint64_t offset, size_t length) {
  const auto place = find(path);
  if (!place) return tl::make_unexpected(place.error());
  const auto file = reopen(*place, O_RDONLY, path);
  if (!file) return tl::make_unexpected(file.error());
  return read_at(file->get(), offset, length, path);
}

Result<std::vector<env::FileInfo>> SandboxedFiles::list(const std::string& directory) {
  const auto place = find(directory, O_DIRECTORY);
  if (!place) return tl::make_unexpected(place.error());
  const auto names = names_in(place->get(), directory);
  if (!names) return tl::make_unexpected(names.error());
  std::vector<env::FileInfo> files;
  for (const auto& name : *names) {
    const std::string path = (directory.ends_with("/") ? directory : directory + "/") + name;
    auto file = listed(place->get(), name, path);
    if (!file) return tl::make_unexpected(file.error());
    if (*file) files.push_back(std::move(**file));
  }
  return files;
}

// Nothing if the name is gone meanwhile, or no regular file has it.
Result<std::optional<env::FileInfo>> SandboxedFiles::listed(int directory, const std::string& name,
                                                            const std::string& path) const {
  const Descriptor file(::openat(directory, name.c_str(), O_PATH | O_CLOEXEC));
  if (!file) return unopened(directory, name, path);
  const auto status = look_at(file.get(), path);
  if (!status) return tl::make_unexpected(status.error());
  if (!S_ISREG(status->stx_mode)) return std::nullopt;
  if (auto inside = check_inside(file.get(), path); !inside) {
    if (inside.error().code != Code::unprocessable) return tl::make_unexpected(inside.error());
    return env::FileInfo{.path = path, .host = host_, .trouble = inside.error().message};
  }
  return info_from(*status, path, host_);
}

// `errno` says why. A link may lead to an unusable place for ever: this is told about the link, and
// does not keep other files from the list. Any other error may pass.
Result<std::optional<env::FileInfo>> SandboxedFiles::unopened(int directory,
                                                              const std::string& name,
                                                              const std::string& path) const {
  const int why = errno;
  const Error error = system_error("open", path);
  if (why == EMFILE || why == ENFILE || why == ENOMEM) return tl::make_unexpected(error);
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return unexpected_system("stat", path);
  }
  if (S_ISLNK(status.st_mode)) {
    return env::FileInfo{.path = path, .host = host_, .trouble = error.message};
  }
  if (why == ENOENT) return std::nullopt;  // It was made just now: the next look finds it.
  return tl::make_unexpected(error);
}

// Where the file system allows it, the file has no name until it is whole: a process that is killed
// meanwhile leaves nothing. `aside` is its name before it replaces a file.
Result<void> SandboxedFiles::write_aside(int directory, const std::string& aside,
                                         const std::string& name, const std::string& content,
                                         const std::string& path, bool replace) const {
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
    if (errno == EEXIST && !replace) return taken(path);
    if (errno != EEXIST || !link_as(aside)) return unexpected_system("write", path);
  }
  if (!replace) return name_it(directory, aside, name, path);
  if (::renameat(directory, aside.c_str(), directory, name.c_str()) != 0) {
    return unexpected_system("write", path);
  }
  return {};
}

Result<void> SandboxedFiles::put(int directory, const std::string& name, const std::string& content,
                                 const std::string& path, bool replace) {
  const std::string aside =
      fmt::format("{}{}-{}-{:016x}", kAside, ::getpid(), ++asides_, entropy64());
  auto written = write_aside(directory, aside, name, content, path, replace);
  if (!written) {
    ::unlinkat(directory, aside.c_str(), 0);
    return written;
  }
  return sync_directory(fmt::format("/proc/self/fd/{}", directory));
}

Result<void> SandboxedFiles::write(const std::string& path, const std::string& content) {
  const auto parts = split(path);
  if (!parts) return tl::make_unexpected(parts.error());
  const auto directory = make_directory(parts->directory);
  if (!directory) return tl::make_unexpected(directory.error());
  return put(directory->get(), parts->name, content, path, true);
}

Result<void> SandboxedFiles::create(const std::string& path, const std::string& content) {
  const auto parts = split(path);
  if (!parts) return tl::make_unexpected(parts.error());
  const auto directory = make_directory(parts->directory);
  if (!directory) return tl::make_unexpected(directory.error());
  // A name that is taken is mostly found here, before all the writing and syncing.
  struct stat status {};
  const char* name = parts->name.c_str();
  if (::fstatat(directory->get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0) return taken(path);
  if (errno != ENOENT) return unexpected_system("write", path);
  return put(directory->get(), parts->name, content, path, false);
}

Result<void> SandboxedFiles::append(const std::string& path, BytesView content) {
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
      std::make_unique<SandboxedFiles>(std::move(*roots), options.host, options.kept_for));
}

}  // namespace databridge::platform
