#include "platform/segment_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <map>

#include "base/mutex.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

constexpr std::string_view kSuffix = ".segment";

class Files final : public env::SegmentFiles {
 public:
  explicit Files(std::string directory) : directory_(std::move(directory)) {}

  Result<void> open() {
    if (::mkdir(directory_.c_str(), 0750) == 0) {
      const size_t slash = directory_.find_last_of('/');
      const std::string parent = slash == std::string::npos ? "." : directory_.substr(0, slash + 1);
      if (auto synced = sync_directory(parent); !synced) return synced;
    } else if (errno != EEXIST) {
      return tl::make_unexpected(system_error("make the folder", directory_));
    }
    return open_all();
  }

  Result<std::vector<Slot>> list() override {
    const MutexLock lock(mutex_);
    std::vector<Slot> slots;
    for (const auto& [slot, file] : files_) slots.push_back(slot);
    return slots;
  }
  Result<void> make(Slot slot) override {
    if (auto opened = open_file(slot, O_CREAT | O_EXCL); !opened) return opened;
    return sync_directory(directory_);
  }
  Result<void> remove(Slot slot) override {
    {
      const MutexLock lock(mutex_);
      files_.erase(slot);
    }
    const std::string path = path_of(slot);
    if (::unlink(path.c_str()) != 0) return tl::make_unexpected(system_error("remove", path));
    return {};
  }
  Result<void> write(Slot slot, uint64_t offset, BytesView bytes) override {
    const auto file = file_of(slot);
    if (!file) return tl::make_unexpected(file.error());
    while (!bytes.empty()) {
      const ssize_t n =
          ::pwrite((*file)->get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return tl::make_unexpected(system_error("write", path_of(slot)));
      bytes.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }
  Result<void> sync(Slot slot) override {
    const auto file = file_of(slot);
    if (!file) return tl::make_unexpected(file.error());
    if (::fdatasync((*file)->get()) != 0) {
      return tl::make_unexpected(system_error("sync", path_of(slot)));
    }
    return {};
  }
  Result<Bytes> read(Slot slot, uint64_t offset, size_t length) override {
    const auto file = file_of(slot);
    if (!file) return tl::make_unexpected(file.error());
    struct stat now {};
    if (::fstat((*file)->get(), &now) != 0) {
      return tl::make_unexpected(system_error("read", path_of(slot)));
    }
    const auto size = static_cast<uint64_t>(now.st_size);
    Bytes bytes(std::min<uint64_t>(length, size - std::min(size, offset)), '\0');
    size_t have = 0;
    while (have < bytes.size()) {
      const ssize_t n = ::pread((*file)->get(), bytes.data() + have, bytes.size() - have,
                                static_cast<off_t>(offset + have));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return tl::make_unexpected(system_error("read", path_of(slot)));
      if (n == 0) break;
      have += static_cast<size_t>(n);
    }
    bytes.resize(have);
    return bytes;
  }

 private:
  using File = std::shared_ptr<const Descriptor>;  // A reader may hold it while it is removed.

  std::string path_of(Slot slot) const { return fmt::format("{}/{}{}", directory_, slot, kSuffix); }
  Result<File> file_of(Slot slot) const {
    const MutexLock lock(mutex_);
    const auto found = files_.find(slot);
    if (found != files_.end()) return found->second;
    return fail(Code::not_found, "there is no file " + path_of(slot));
  }
  Result<void> open_file(Slot slot, int flags) {
    const std::string path = path_of(slot);
    Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0640));
    if (!file) return tl::make_unexpected(system_error("open", path));
    const MutexLock lock(mutex_);
    files_[slot] = std::make_shared<const Descriptor>(std::move(file));
    return {};
  }
  Result<void> open_all() {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(directory_.c_str()), ::closedir);
    if (folder == nullptr) return tl::make_unexpected(system_error("read", directory_));
    while (const dirent* entry = ::readdir(folder.get())) {
      const std::string_view name = entry->d_name;
      Slot slot = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), slot);
      if (error != std::errc() || std::string_view(end) != kSuffix) continue;
      if (auto opened = open_file(slot, 0); !opened) return opened;
    }
    return {};
  }

  const std::string directory_;
  mutable Mutex mutex_;
  std::map<Slot, File> files_ GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<env::SegmentFiles>> open_segment_files(const std::string& directory) {
  auto files = std::make_unique<Files>(directory);
  if (auto opened = files->open(); !opened) return tl::make_unexpected(opened.error());
  return files;
}

}  // namespace databridge::platform
