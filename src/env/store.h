// The durable store: ordered keys in a few spaces. Batches are written atomically.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::env {

// One space for each kind of data; a column family in RocksDB.
enum class Space : uint8_t { meta, raft_log, snapshot, queue, state, event };
inline constexpr int kSpaces = 6;

struct Write {
  enum class Kind : uint8_t { put, erase, erase_range };
  Kind kind;
  Space space;
  Bytes key;    // For erase_range: the first key that is erased.
  Bytes value;  // For erase_range: the first key that stays.
};

struct Batch {
  std::vector<Write> writes;

  bool empty() const { return writes.empty(); }
  void put(Space space, Bytes key, Bytes value) {
    writes.push_back({Write::Kind::put, space, std::move(key), std::move(value)});
  }
  void erase(Space space, Bytes key) {
    writes.push_back({Write::Kind::erase, space, std::move(key), {}});
  }
  void erase_range(Space space, Bytes from, Bytes to) {
    writes.push_back({Write::Kind::erase_range, space, std::move(from), std::move(to)});
  }
};

class Store {
 public:
  virtual ~Store() = default;

  // Takes the batch and returns its number (1, 2, 3 …) at once. The store makes batches durable in
  // that order, each one whole or not at all, and several with one sync if it can. Then it calls
  // `on_durable` with the highest durable number, on a thread of its own. `on_durable` is set once,
  // before the first submit. A failure is final: `on_durable` gets the error, nothing later is
  // written, and the node must stop. Engine thread only.
  virtual uint64_t submit(Batch batch) = 0;
  virtual void on_durable(std::function<void(Result<uint64_t>)> told) = 0;

  // Reads see what is durable, and may see what was submitted. They may wait for the disk, so they
  // are for the start of a node and for worker threads, not for the engine's turn.
  virtual Result<std::optional<Bytes>> get(Space space, BytesView key) = 0;

  // Visits the keys in [from, to) in order until `visit` returns false. An empty `to` means the end
  // of the space. The views are valid during the call only.
  virtual Result<void> scan(Space space, BytesView from, BytesView to,
                            const std::function<bool(BytesView key, BytesView value)>& visit) = 0;

  // The free and total bytes of the disk. `reserve_used`: so little is free that room reserved for
  // consensus has been given up. Any thread.
  struct Room {
    uint64_t free = 0;
    uint64_t total = 0;
    bool reserve_used = false;
  };
  virtual Room room() const = 0;
};

}  // namespace databridge::env
