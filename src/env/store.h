// The durable store: ordered keys in a few spaces, and a log of records beside them (ADR 23).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/payload.h"
#include "base/result.h"
#include "env/segment_files.h"

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

// A record of the log. Its bytes are shared, as they may be on their way to other nodes, too.
struct Record {
  uint8_t kind = 1;  // From 1 on, as the user likes.
  Payload bytes;
};

// The bytes of the records of one batch, at most; each counts kRecordBytes more.
inline constexpr uint64_t kBatchRecordsMax = 16u << 20;
inline constexpr uint64_t kRecordBytes = 16;

struct Batch {
  std::vector<Write> writes;
  std::vector<Record> records;
  // Files of the log in which nothing is needed once this batch is durable. The newest file stays,
  // since later records go there: name it again in a later batch.
  std::vector<FileId> forgotten;
  // Before it is written, the data directory is marked so that programs from before feature gates
  // refuse it. That costs a write once.
  bool fences_older = false;

  bool empty() const {
    return writes.empty() && records.empty() && forgotten.empty() && !fences_older;
  }
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

  // Gets each record that is in the log, in the order of writing. Called once at most, before the
  // first submit; a user that writes records must call it. Records of files that were forgotten
  // since the newest file was begun may be among them. An error of `visit` ends it. After an error
  // no records can be written.
  using Visit = std::function<Result<void>(uint8_t kind, const Position&, BytesView)>;
  virtual Result<void> replay(const Visit& visit) = 0;

  // Takes the batch and returns its number (1, 2, 3 …) at once. The store makes batches durable in
  // that order, and several with one sync if it can. The writes of a batch are durable as a whole
  // or not at all, its records likewise; after a crash its records may be there without its writes,
  // and never its writes without its records. Then it calls `on_durable` on a thread of its own.
  // `on_durable` is set once, before the first submit. A failure is final: `on_durable` gets the
  // error, nothing later is written, and the node must stop. Engine thread only.
  virtual uint64_t submit(Batch batch) = 0;
  struct Durable {
    uint64_t number = 0;  // The highest durable batch.
    // Of the records of all batches that are new among the durable ones, in order.
    std::vector<Position> positions;
  };
  virtual void on_durable(std::function<void(Result<Durable>)> told) = 0;

  // The bytes of a record that is durable. Code `corrupt`: they are damaged, or were forgotten.
  // After replay(), on any thread; it may wait for the disk.
  virtual Result<Bytes> read(const Position& at) = 0;

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
