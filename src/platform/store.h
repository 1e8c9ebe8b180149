// - Owns: the data directory: its lock, its format version, the ordered keys in RocksDB and the log
//   of records; one thread that writes and syncs both.
// - Hides: RocksDB and the segment log.
//
// The directory has the files `lock` (flock; the holder's pid), `format` (one number), `db/`
// (RocksDB), `log/` (platform/record_log.h), `reserve` (room for a full disk: platform/reserve.h)
// and `mark`.
//
// Why a mark: if its log is damaged, RocksDB recovers silently by dropping all writes after the
// damage. A node that forgot what it had acknowledged must not vote (safety.md 5.7). So every
// synced write contains, in the same atomic write, the next link of a chain {sequence, hash of all
// writes so far}. After the sync the link is also written to `mark` (kept twice, checksummed, and
// synced at most once a second, which costs nothing). On open the database must contain the marked
// link or a later one; otherwise open fails with Code::corrupt. A torn write that was never
// acknowledged leaves the chain at the mark or after it, and is dropped. Damage in table files is
// found by their checksums: reads return Code::corrupt, never wrong bytes. `mark` also names the
// newest block of the log that was durable, for the same reason.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "env/store.h"

namespace databridge::platform {

struct StoreOptions {
  std::string directory;  // It is made if it is missing.
};

// Codes: conflict (another process has the directory open; the message names its pid),
// unprocessable (a newer version wrote it), corrupt (acknowledged data are missing or damaged), io.
// Messages tell the remedy. The destructor first makes durable all that was submitted.
Result<std::unique_ptr<env::Store>> open_store(const StoreOptions& options);

}  // namespace databridge::platform
