// Owns a file that lines are appended to: the access log.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace databridge::platform {

class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // Any thread; may wait for the disk. What cannot be written is dropped.
  virtual void append(std::string_view lines) = 0;
  // Opens the path anew: after a rotation. Keeps the old file when that fails.
  virtual Result<void> reopen() = 0;
};

// Made when missing, readable for its owner and group.
Result<std::unique_ptr<AppendFile>> open_append_file(std::string path);

}  // namespace databridge::platform
