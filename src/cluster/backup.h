// A backup: the user's part of a state, as bytes (State::backup). Pure.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::cluster {

// A restore is one command, which travels in one frame (64 MiB at most).
inline constexpr size_t kBackupBytesMax = 48 << 20;

// Why those bytes cannot be restored; nullopt: they can. As slow as reading them.
std::optional<Error> why_not_restorable(BytesView backup);

}  // namespace databridge::cluster
