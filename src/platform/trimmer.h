// Gives memory that was freed back to the system.
//
// - Hides: that the C library keeps freed memory in one arena for each thread, and when it is cheap
//   to give that back: an arena is locked meanwhile, which does not matter in an idle process.
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"
#include "platform/repeater.h"

namespace databridge::platform {

void release_freed_memory();

// Calls `trim` on a thread of its own, at most every `interval`: if the process has used less than
// a twentieth of a core since the last look, and holds 2 MiB more memory of its own than after the
// last trim.
std::unique_ptr<Repeater> trim_when_quiet(Duration interval,
                                          std::function<void()> trim = release_freed_memory);

}  // namespace databridge::platform
