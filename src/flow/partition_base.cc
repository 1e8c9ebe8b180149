// The bytes of an index. All parts are in the order of their keys, so equal indexes have equal
// bytes.
#include <map>

#include "flow/flat.h"
#include "flow/partition_index.h"

namespace databridge::flow {
namespace {

using Queue = PartitionIndex::Queue;
using Outbox = PartitionIndex::Outbox;

constexpr uint32_t kFormat = 1;
constexpr size_t kIdBytes = 20;
constexpr size_t kMarkBytes = 20;
constexpr size_t kRunBytes = 72;     // Without ids and bits.
constexpr size_t kQueueBytes = 56;   // Without marks and runs.
constexpr size_t kOutboxBytes = 40;  // Without runs.

// ---- Encoding

void append(Bytes& to, const ContentId& id) {
  append_flat(to, id.epoch);
  append_little64(to, id.counter);
}

void append_count(Bytes& to, size_t count) { append_little32(to, static_cast<uint32_t>(count)); }

void append(Bytes& to, uint64_t last, const Run& run, bool bits) {
  append_little64(to, last);
  append_flat(to, run.delta);
  append_little32(to, run.offset);
  append_little32(to, run.count);
  append_little32(to, run.left);
  append_flat(to, run.origin);
  append_little64(to, run.sequence);
  append_little64(to, run.bytes);
  append_count(to, run.elsewhere.size());
  for (const ContentId& id : run.elsewhere) append(to, id);
  if (!bits || run.left == run.count) return;
  const size_t at = to.size();
  to.resize(at + (run.count + 7) / 8);
  for (size_t i = 0; i < run.count; ++i) {
    if (run.gone[i]) to[at + i / 8] = static_cast<char>(to[at + i / 8] | (1 << (i % 8)));
  }
}

// ---- Decoding

ContentId content_id(FlatReader& from) {
  const Epoch epoch = from.epoch();
  const ContentId id{epoch, from.number64()};
  from.refuse_if(!id.epoch || id.counter == 0, "a content has no name");
  return id;
}

void decode_bits(FlatReader& from, Run& run) {
  if (run.left == run.count) return;
  const BytesView bits = from.cut((run.count + 7) / 8);
  run.gone.resize(from.ok() ? bits.size() * 8 : 0);
  uint32_t gone = 0;
  for (size_t i = 0; i < run.gone.size(); ++i) {
    run.gone[i] = (static_cast<uint8_t>(bits[i / 8]) >> (i % 8) & 1) != 0;
    if (!run.gone[i]) continue;
    ++gone;
    from.refuse_if(i >= run.count, "a file is gone that never was");
  }
  from.refuse_if(gone != run.count - run.left, "the number of files that are gone is wrong");
  if (from.ok()) run.gone.resize(run.count);
}

struct KeyedRun {
  uint64_t last = 0;  // The arrival or the sequence of the last file.
  Run run;
};

KeyedRun decode_run(FlatReader& from, const Lsn& newest, bool bits) {
  KeyedRun read;
  Run& run = read.run;
  read.last = from.number64();
  run.delta = from.lsn();
  run.offset = from.number32();
  run.count = from.number32();
  run.left = from.number32();
  run.origin = from.epoch();
  run.sequence = from.number64();
  run.bytes = from.number64();
  from.refuse_if(!run.delta.epoch || run.delta.sequence == 0 || run.delta > newest,
                 "a run is of a delta that is not there");
  from.refuse_if(run.count > kDeltaMax / kFileBytes || run.left == 0 || run.left > run.count ||
                     run.offset > kDeltaMax,
                 "a run has a wrong number of files");
  from.refuse_if(!run.origin || run.sequence == 0 || run.sequence >= kNumberMax ||
                     read.last >= kNumberMax || read.last < run.count,
                 "a sequence or arrival is out of range");
  from.refuse_if(run.bytes < uint64_t{kFileBytes} * run.left ||
                     run.bytes > (kDeltaMax + uint64_t{kLargeContentMax}) * run.count,
                 "the bytes of a run are out of range");
  run.elsewhere.resize(from.count(kIdBytes));
  ContentId before;
  for (ContentId& id : run.elsewhere) {
    id = content_id(from);
    from.refuse_if(id == content_of(run.delta) || id <= before,
                   "the contents of a run do not ascend");
    before = id;
  }
  if (bits) decode_bits(from, run);
  return read;
}

// Adds the run to a queue or an outbox.
template <typename Part, typename Key>
void add(Part& part, const Key& key, KeyedRun read) {
  part.count += read.run.left;
  part.bytes += read.run.bytes;
  part.runs.set(key, std::move(read.run));
}

void decode_marks(FlatReader& from, Queue& queue) {
  Epoch before;
  for (uint32_t i = from.count(kMarkBytes); i > 0 && from.ok(); --i) {
    const Epoch origin = from.epoch();
    const uint64_t mark = from.number64();
    from.refuse_if(origin <= before || origin < queue.floor || origin > queue.fence,
                   "the origins of marks do not ascend from floor to fence");
    from.refuse_if(mark == 0 || mark >= kNumberMax, "a mark is out of range");
    queue.marks.set(origin, mark);
    before = origin;
  }
}

Queue decode_queue(FlatReader& from, const Lsn& newest) {
  Queue queue;
  queue.fence = from.epoch();
  queue.floor = from.epoch();
  queue.arrivals = from.number64();
  from.refuse_if(!queue.fence || queue.floor > queue.fence, "a fence is zero or below its floor");
  from.refuse_if(queue.arrivals >= kNumberMax, "a number of arrivals is out of range");
  decode_marks(from, queue);
  uint64_t before = 0;
  std::map<Epoch, uint64_t> sequences;  // Of each origin, the last one.
  for (uint32_t i = from.count(kRunBytes); i > 0 && from.ok(); --i) {
    KeyedRun read = decode_run(from, newest, true);
    const Run& run = read.run;
    uint64_t& sequence = sequences[run.origin];
    from.refuse_if(read.last - run.count < before || read.last > queue.arrivals,
                   "the arrivals of a queue do not ascend");
    from.refuse_if(run.origin > queue.fence || run.sequence <= sequence,
                   "the sequences of an origin do not ascend");
    before = read.last;
    sequence = run.sequence + run.count - 1;
    const uint64_t* mark = queue.marks.find(run.origin);
    from.refuse_if(run.origin >= queue.floor && (mark == nullptr || *mark < sequence),
                   "a run is above the mark of its origin");
    if (from.ok()) add(queue, before, std::move(read));
  }
  return queue;
}

Outbox decode_outbox(FlatReader& from, const Lsn& newest) {
  Outbox outbox;
  outbox.epoch = from.epoch();
  outbox.sequence = from.number64();
  from.refuse_if(!outbox.epoch || outbox.epoch > newest.epoch || outbox.sequence == 0 ||
                     outbox.sequence >= kNumberMax,
                 "the last output is out of range");
  std::pair<Epoch, uint64_t> before;
  for (uint32_t i = from.count(kRunBytes); i > 0 && from.ok(); --i) {
    KeyedRun read = decode_run(from, newest, false);
    const std::pair<Epoch, uint64_t> key{read.run.origin, read.last};
    from.refuse_if(read.run.origin != read.run.delta.epoch ||
                       read.last != read.run.sequence + read.run.count - 1,
                   "an output is not of the epoch of its delta");
    const bool follows = read.run.left == read.run.count && read.run.sequence == before.second + 1;
    from.refuse_if(key.first < before.first || (key.first == before.first && !follows),
                   "the sequences of an outbox do not ascend without gaps");
    before = key;
    if (from.ok()) add(outbox, key, std::move(read));
  }
  const std::pair<Epoch, uint64_t> newest_output{outbox.epoch, outbox.sequence};
  from.refuse_if(
      before > newest_output || (before.first == outbox.epoch && before != newest_output),
      "an outbox does not end with the last output");
  return outbox;
}

Content decode_state(FlatReader& from) {
  Content state;
  state.id.epoch = from.epoch();
  state.id.counter = from.number64();
  state.offset = from.number32();
  state.length = from.number32();
  if (state.length == 0) {
    from.refuse_if(state != Content{}, "an empty state has a place");
    return state;
  }
  from.refuse_if(!state.id.epoch || state.id.counter == 0, "the state has no name");
  from.refuse_if(state.length > (state.id.is_large() ? kPartitionStateMax : kContentInDeltaMax) ||
                     state.offset > (state.id.is_large() ? 0 : kDeltaMax - state.length),
                 "the state is out of range");
  return state;
}

template <typename Part, typename Decode>
void decode_parts(FlatReader& from, size_t part_bytes, PersistentMap<Uuid, Part>& parts,
                  const Lsn& newest, Decode&& decode) {
  Uuid before;
  for (uint32_t i = from.count(part_bytes); i > 0 && from.ok(); --i) {
    const Uuid connection = from.uuid();
    from.refuse_if(connection <= before, "the connections do not ascend");
    Part part = decode(from, newest);
    if (from.ok()) parts.set(connection, std::move(part));
    before = connection;
  }
}

}  // namespace

Bytes encode(const PartitionIndex& index) {
  Bytes to;
  append_little32(to, kFormat);
  append_flat(to, index.processor);
  append_flat(to, index.last);
  append_flat(to, index.state.id.epoch);
  append_little64(to, index.state.id.counter);
  append_little32(to, index.state.offset);
  append_little32(to, index.state.length);
  append_count(to, index.queues.size());
  index.queues.each([&](const Uuid& connection, const Queue& queue) {
    append_flat(to, connection);
    append_flat(to, queue.fence);
    append_flat(to, queue.floor);
    append_little64(to, queue.arrivals);
    append_count(to, queue.marks.size());
    queue.marks.each([&](const Epoch& origin, uint64_t mark) {
      append_flat(to, origin);
      append_little64(to, mark);
    });
    append_count(to, queue.runs.size());
    queue.runs.each([&](uint64_t last, const Run& run) { append(to, last, run, true); });
  });
  append_count(to, index.outboxes.size());
  index.outboxes.each([&](const Uuid& connection, const Outbox& outbox) {
    append_flat(to, connection);
    append_flat(to, outbox.epoch);
    append_little64(to, outbox.sequence);
    append_count(to, outbox.runs.size());
    outbox.runs.each([&](const auto& key, const Run& run) { append(to, key.second, run, false); });
  });
  return to;
}

Result<PartitionIndex> decode_index(BytesView bytes) {
  FlatReader from(bytes);
  from.refuse_if(from.number32() != kFormat, "its format is unknown");
  PartitionIndex index;
  index.processor = from.uuid();
  index.last = from.lsn();
  from.refuse_if(index.processor.empty(), "it names no processor");
  from.refuse_if(!index.last.epoch != (index.last.sequence == 0), "its place is out of range");
  index.state = decode_state(from);
  decode_parts(from, kQueueBytes, index.queues, index.last, decode_queue);
  decode_parts(from, kOutboxBytes, index.outboxes, index.last, decode_outbox);
  from.refuse_if(!index.last.epoch &&
                     !(index.state == Content{} && index.queues.empty() && index.outboxes.empty()),
                 "it has data of no delta");
  if (auto whole = from.finish("a base"); !whole) return tl::make_unexpected(whole.error());
  return index;
}

}  // namespace databridge::flow
