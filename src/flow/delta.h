// One delta in the log of a partition: its bytes, which are the same on the disk and on the wire
// (docs/adr/0024).
//
// - Owns: nothing. A view points into the bytes that it was decoded from.
// - Hides: the form of the bytes. There is one form for each value, and no other one is taken.
// - Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "flow/chunk.h"
#include "model/ids.h"
#include "model/lsn.h"

namespace databridge::flow {

// Limits and sizes are in bytes.
inline constexpr size_t kDeltaMax = 16 << 20;
inline constexpr size_t kContentsInDeltaMax = 4 << 20;    // All contents in one delta.
inline constexpr uint32_t kContentInDeltaMax = 64 << 10;  // A larger one is written in chunks.
inline constexpr uint32_t kFileBytes = 48;  // Of a file, without attributes and content.
inline constexpr uint32_t kPartitionStateMax = 16 << 20;
// Sequences and arrivals stay below this, so that sums of them do not overflow.
inline constexpr uint64_t kNumberMax = uint64_t{1} << 62;

using Attributes = std::map<std::string, std::string>;

struct FileView {
  Uuid id;
  Content content;
  BytesView attributes;   // Encoded; see attributes_of().
  uint32_t end = 0;       // Its end in the delta, where the next file of the operation begins.
  uint64_t size() const;  // In bytes, as limits of connections count it.
};
Attributes attributes_of(const FileView& file);

// The files of one operation. They are read one by one with read_files().
struct Files {
  uint32_t offset = 0;  // Of the first file, in the delta.
  uint32_t count = 0;   // At least 1.
  uint64_t bytes = 0;   // The sum of their sizes.
  // The contents that are not in this delta, without repeats, ascending.
  std::vector<ContentId> elsewhere;
};

struct Fence {
  Uuid connection;
  Epoch epoch;  // Deliveries of senders below it are refused.
  Epoch floor;  // Nothing of origins below it is taken any more.
};
struct Enqueue {
  Uuid connection;
  Epoch origin;  // At most the fence of the connection: a Fence of a newer sender comes first.
  uint64_t first = 0;  // The sequence of the first file, within (connection, origin).
  Files files;
};
struct Consume {
  struct Range {  // Of arrivals; all are of one run.
    uint64_t first = 0;
    uint32_t count = 0;
    uint64_t bytes = 0;  // The sum of the sizes of these files.
  };
  Uuid connection;
  std::vector<Range> ranges;  // Ascending.
};
struct Emit {
  Uuid connection;
  uint64_t first = 0;  // The sequence of the first file; the origin is the epoch of the delta.
  Files files;
};
struct Delivered {
  Uuid connection;
  Epoch origin;
  uint64_t upto = 0;   // The receiver has this sequence, and all before it.
  uint64_t bytes = 0;  // The sum of the sizes of the files that leave the outbox by this.
};
struct SetState {
  Content content;
};
// The connection is deleted. All that waits on it is given up, and its id is never used again.
struct Erase {
  Uuid connection;
};
using Op = std::variant<Fence, Enqueue, Consume, Emit, Delivered, SetState, Erase>;

struct DeltaHead {
  ProcessorId processor;
  Lsn lsn;
  Lsn previous;
  // The newest delta that the writer knew to be safe under an opened epoch.
  Lsn safe;
};

struct DeltaView {
  DeltaHead head;
  std::vector<Op> ops;
};

// True if a delta at `lsn` may follow the one at `previous` in a log.
bool follows(const Lsn& lsn, const Lsn& previous);

// Code `corrupt`: the bytes are malformed. The message says how and where.
Result<DeltaView> decode_delta(BytesView bytes);

// The files first … first + count - 1 of the operation of that delta whose files begin at
// `offset`. The files before them are walked over; who reads on begins at the `end` of the last
// one. Code `corrupt`: they are not there.
Result<std::vector<FileView>> read_files(BytesView delta, uint32_t offset, uint32_t first,
                                         uint32_t count);

// Encodes one delta into one buffer. Operations apply in the order of the calls.
class DeltaWriter {
 public:
  // `size`: the expected number of bytes.
  DeltaWriter(const DeltaHead& head, size_t size);

  void fence(const Fence& op);
  void consume(const Consume& op);
  void delivered(const Delivered& op);
  void erase(const Erase& op);

  // Begins an operation with files. At least one call of file() follows.
  void enqueue(const Uuid& connection, Epoch origin, uint64_t first);
  void emit(const Uuid& connection, uint64_t first);
  // The content stands in this delta; fits() must be true for it. Returns where, for other files
  // with the same content.
  Content file(const Uuid& id, const Attributes& attributes, BytesView content);
  // The content stands elsewhere, or earlier in this delta.
  void file(const Uuid& id, const Attributes& attributes, const Content& content);

  // The new state, in this delta or in chunks.
  Content state(BytesView content);
  void state(const Content& content);

  // True if a content of that length may stand in this delta. If not, its chunks are written before
  // the delta.
  bool fits(size_t length) const;

  // Code `too_large`: there is more than kDeltaMax. The writer is used up.
  Result<Bytes> finish();

 private:
  void begin(uint32_t kind);
  void begin_files();
  void end_files();
  // The place of a content that will stand that many bytes behind what is written.
  Content here(size_t behind, BytesView content) const;
  void entry(const Uuid& id, const Attributes& attributes, size_t length, const Content& content);
  void put(BytesView content);

  Lsn lsn_;
  Bytes bytes_;
  uint32_t ops_ = 0;
  size_t contents_ = 0;  // Bytes of contents in this delta.
  size_t count_at_ = 0;  // The place of the number of files, while these are written; else 0.
  uint32_t files_ = 0;   // Their number so far.
};

}  // namespace databridge::flow
