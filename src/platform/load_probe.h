// - Owns: measuring CPU and memory from /proc and the cgroup.
// - Hides: their formats, and which limit counts: the lower of the machine's and the cgroup's
//   (version 2 or 1).
#pragma once

#include <memory>
#include <string>

#include "env/clock.h"
#include "env/load_probe.h"

namespace databridge::platform {

// `root` is put before /proc and /sys: empty for the real ones, a directory of fixtures in tests.
std::unique_ptr<env::LoadProbe> make_load_probe(const env::Clock& clock, std::string root = "");

}  // namespace databridge::platform
