// - Owns: the files of a segment log in one folder, which are named by their slots.
#pragma once

#include <memory>
#include <string>

#include "env/segment_files.h"

namespace databridge::platform {

// Makes the folder if it is missing. Files in it with other names are left alone.
Result<std::unique_ptr<env::SegmentFiles>> open_segment_files(const std::string& directory);

}  // namespace databridge::platform
