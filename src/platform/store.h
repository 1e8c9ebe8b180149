// Owns the data directory: its lock, its format version, and the ordered keys in RocksDB, with one
// thread that writes and syncs. Hides RocksDB.
//
// The directory holds `lock` (flock; the pid of the holder), `format` (one number), `db/`
// (RocksDB), `reserve` (room for a full disk: platform/reserve.h) and `mark`. Why a mark: RocksDB
// recovers from a damaged log by dropping what comes after the damage, in silence, and a node that
// forgot what it had acknowledged must not vote (safety.md 5.7). So every synced write carries the
// next link of a chain {sequence, hash of all writes so far} in the same atomic write, and once it
// is synced, the link is also written to `mark` (kept twice, checksummed; synced at most once a
// second, which costs nothing). On open the database must hold the marked link or a later one; else
// open fails with Code::corrupt. A torn write that was never acknowledged leaves the chain at the
// mark or after it, and is dropped. Damage in table files is found by their checksums: reads give
// Code::corrupt, never wrong bytes.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "env/store.h"

namespace databridge::platform {

struct StoreOptions {
  std::string directory;  // Made when missing.
};

// Errors: conflict (another process holds the directory; names its pid), unprocessable (written by
// a newer version), corrupt (acknowledged data are missing or damaged), io. Messages carry
// remedies. Destroying the store first makes durable all that was submitted.
Result<std::unique_ptr<env::Store>> open_store(const StoreOptions& options);

}  // namespace databridge::platform
