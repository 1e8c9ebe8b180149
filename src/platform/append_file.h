// - Owns: a file to which lines are appended, such as the access log.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace databridge::platform {

class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // Any thread; may wait for the disk. Lines that cannot be written are dropped.
  virtual void append(std::string_view lines) = 0;
  // Opens the path again, after a rotation. Keeps the old file if that fails.
  virtual Result<void> reopen() = 0;
};

// Makes the file if it is missing, readable for its owner and group.
Result<std::unique_ptr<AppendFile>> open_append_file(std::string path);

}  // namespace databridge::platform
