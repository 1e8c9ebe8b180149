// Owns the user's files below the allowed roots. Hides how a path is kept inside: the
// kernel resolves it once, and where the opened descriptor really is decides.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "env/files.h"

namespace databridge::platform {

struct FilesOptions {
  std::vector<std::string> roots;  // Directories that exist. None: every path is forbidden.
  std::string host;                // For FileInfo: this machine's name.
  Duration kept_for = std::chrono::seconds(60);  // How long `keep` holds a file.
};

// What the directories are called when all links are resolved. An error if one is not there.
Result<std::vector<std::string>> real_directories(const std::vector<std::string>& directories);

Result<std::unique_ptr<env::Files>> make_files(const FilesOptions& options);

}  // namespace databridge::platform
