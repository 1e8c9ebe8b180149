#include "flow/saved.h"

#include <algorithm>

#include "flow/record.h"

namespace databridge::flow {
namespace {
constexpr uint8_t kFormat = 1;
}

void History::add(Epoch epoch, uint64_t commit) {
  commits_[epoch] = commit;
  while (commits_.size() > kEpochsMax) {
    forgotten_ = std::max(forgotten_, commits_.begin()->first);
    commits_.erase(commits_.begin());
  }
}

void History::forget(Epoch up_to) { forgotten_ = std::max(forgotten_, up_to); }

std::optional<uint64_t> History::last(Epoch epoch) const {
  const auto it = commits_.find(epoch);
  if (it == commits_.end()) return std::nullopt;
  return it->second;
}

struct SavedCodec {
  static void write(const Saved& saved, RecordWriter& to) {
    to.epoch(saved.history.forgotten_);
    to.number(saved.history.commits_.size());
    for (const auto& [epoch, commit] : saved.history.commits_) {
      to.epoch(epoch);
      to.number(commit);
    }
    to.text(saved.state);
  }
  static Saved read(RecordReader& from) {
    Saved saved;
    saved.history.forgotten_ = from.epoch();
    for (uint64_t n = from.count(20); n > 0; --n) {
      const Epoch epoch = from.epoch();
      saved.history.commits_[epoch] = from.number();
    }
    saved.state = Bytes(from.text());
    return saved;
  }
};

Bytes encode(const Saved& saved) {
  RecordWriter to(kFormat);
  SavedCodec::write(saved, to);
  return to.seal();
}

Result<Saved> decode_saved(const Checkpoint& checkpoint) {
  if (checkpoint.bytes.empty()) {
    Saved saved;
    saved.history.forget(checkpoint.epoch);
    return saved;
  }
  RecordReader from(checkpoint.bytes, kFormat);
  Saved saved = SavedCodec::read(from);
  if (auto whole = from.finish("a checkpoint"); !whole) return tl::make_unexpected(whole.error());
  return saved;
}

Bytes encode(const ProcessorRecord& record) {
  RecordWriter to(kFormat);
  to.epoch(record.epoch);
  to.number(record.commit);
  to.number(record.sequences.size());
  for (const auto& [connection, sequence] : record.sequences) {
    to.uuid(connection);
    to.number(sequence);
  }
  SavedCodec::write(record.saved, to);
  return to.seal();
}

Result<ProcessorRecord> decode_record(BytesView bytes) {
  RecordReader from(bytes, kFormat);
  ProcessorRecord record;
  record.epoch = from.epoch();
  record.commit = from.number();
  for (uint64_t n = from.count(24); n > 0; --n) {
    const Uuid connection = from.uuid();
    record.sequences[connection] = from.number();
  }
  record.saved = SavedCodec::read(from);
  if (auto whole = from.finish("what a processor keeps"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return record;
}

}  // namespace databridge::flow
