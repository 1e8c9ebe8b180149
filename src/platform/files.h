// - Owns: the user's files below the allowed roots.
// - Hides: how a path is kept inside them. The kernel resolves the path once, and the real place of
//   the opened descriptor decides.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "env/files.h"

namespace databridge::platform {

struct FilesOptions {
  // Directories that exist. If there are none, every path is forbidden.
  std::vector<std::string> roots;
  std::string host;                              // The machine's name, for FileInfo.
  Duration kept_for = std::chrono::seconds(60);  // How long keep() holds a file.
};

// The paths of the directories with all links resolved. Fails if one does not exist.
Result<std::vector<std::string>> real_directories(const std::vector<std::string>& directories);

Result<std::unique_ptr<env::Files>> make_files(const FilesOptions& options);

}  // namespace databridge::platform
