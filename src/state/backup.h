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
// Once it is unpacked: so much memory a restore takes on each node, for a moment.
inline constexpr size_t kBackupUnpackedMax = 256 << 20;

struct BackupLimits {
  size_t packed = kBackupBytesMax;
  size_t unpacked = kBackupUnpackedMax;
};

// A backup packed (gzip), as it is saved and as it travels. `too_large`: it could not be restored,
// so it is not given either.
Result<Bytes> pack_backup(Bytes backup, const BackupLimits& limits = {});

// Why those bytes, packed or not, cannot be restored; nullopt: they can. As slow as reading them.
std::optional<Error> why_not_restorable(BytesView backup);

// What a restore does to that state, by id: flows, processors that belong to no flow's list, keys.
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
