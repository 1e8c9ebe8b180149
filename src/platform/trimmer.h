// Gives memory that was freed back to the system.
//
// - Hides: that the C library keeps what is freed in one arena a thread, and when it is cheap to
//   ask for it: an arena is locked meanwhile, which nobody notices in a process that rests.
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"
#include "platform/repeater.h"

namespace databridge::platform {

void release_freed_memory();

// Every `interval`, on a thread of its own: `trim`, if the process has used less than a twentieth
// of a core since the last look, and holds 2 MiB more of its own than after the last trim.
std::unique_ptr<Repeater> trim_when_quiet(Duration interval,
                                          std::function<void()> trim = release_freed_memory);

}  // namespace databridge::platform
