#include "platform/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace databridge::platform {

void Reserve::open(const std::string& path, uint64_t disk_total, uint64_t disk_free) {
  wanted_ = std::min(kMost, disk_total / 10 / kSlice * kSlice);
  file_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!file_) {
    wanted_ = 0;
    return;
  }
  struct stat now {};
  if (::fstat(file_.get(), &now) == 0) {
    // Only allocated blocks count: a copy of the directory may have made the file a hole.
    held_ =
        std::min(static_cast<uint64_t>(now.st_size), static_cast<uint64_t>(now.st_blocks) * 512);
  }
  keep(disk_free);
}

bool Reserve::keep(uint64_t disk_free) {
  const uint64_t before = held_;
  uint64_t held = before;
  if (disk_free < kLow) {
    const uint64_t lacking = (kLow - disk_free + kSlice - 1) / kSlice * kSlice;
    held -= std::min(held, lacking);
  } else if (held < wanted_ && disk_free > kLow + kSlice + (wanted_ - held)) {
    // It needs one slice more than it takes, so that it is not given up again at once.
    held = wanted_;
  }
  return held != before && resize(held);
}

// It allocates blocks and does not only set a length: a hole would reserve nothing.
bool Reserve::resize(uint64_t size) {
  const auto length = static_cast<off_t>(size);
  if (size > held_) {
    if (::fallocate(file_.get(), 0, 0, length) != 0) {
      // This is no error to report: the file system cannot do it, or the room was used in between.
      if (errno == EOPNOTSUPP) wanted_ = held_.load();
      return false;
    }
  } else if (::ftruncate(file_.get(), length) != 0) {
    return false;
  }
  held_ = size;
  return true;
}

}  // namespace databridge::platform
