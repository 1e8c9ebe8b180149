// A backup: the user's part of a state, as bytes (State::backup). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/command.h"

namespace databridge {

class State;

// A restore is one command, which travels in one frame (64 MiB at most).
inline constexpr size_t kBackupBytesMax = 48 << 20;
// The limit after unpacking: a restore takes this much memory on each node, for a moment.
inline constexpr size_t kBackupUnpackedMax = 256 << 20;

struct BackupLimits {
  size_t packed = kBackupBytesMax;
  size_t unpacked = kBackupUnpackedMax;
};

// A backup packed with gzip, as it is saved and sent. `too_large`: it could not be restored, so it
// is not given out either.
Result<Bytes> pack_backup(Bytes backup, const BackupLimits& limits = {});

// Why these bytes, packed or not, cannot be restored; nullopt if they can. It takes as long as
// reading them.
std::optional<Error> why_not_restorable(BytesView backup);

// The changes that a restore makes to a state, by id: flows, processors that belong to no flow's
// list, and configuration keys.
struct RestoreChanges {
  struct List {
    std::vector<std::string> added;
    std::vector<std::string> replaced;
    std::vector<std::string> deleted;
  };
  List flows;
  List processors;
  List config;
  Strategy strategy_before{};
  Strategy strategy_after{};
};
Result<RestoreChanges> what_restore_changes(const State& state, BytesView backup);

}  // namespace databridge
