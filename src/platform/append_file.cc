#include "platform/append_file.h"

#include <fcntl.h>

#include <utility>

#include "base/mutex.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

class LogFile final : public AppendFile {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)) {}

  void append(std::string_view lines) override {
    const MutexLock lock(mutex_);
    (void)write_all(file_.get(), lines, path_);
  }

  Result<void> reopen() override {
    Descriptor file(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!file) return tl::make_unexpected(system_error("open", path_));
    const MutexLock lock(mutex_);
    file_ = std::move(file);
    return {};
  }

 private:
  std::string path_;
  Mutex mutex_;
  Descriptor file_ GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<AppendFile>> open_append_file(std::string path) {
  auto file = std::make_unique<LogFile>(std::move(path));
  if (auto opened = file->reopen(); !opened) return tl::make_unexpected(opened.error());
  return file;
}

}  // namespace databridge::platform
