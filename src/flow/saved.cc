#include "flow/saved.h"

#include <utility>

#include "flow/record.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 2;
constexpr uint8_t kFormerFormat = 1;  // It has no owners, and at most kFormerEpochs epochs.
constexpr size_t kFormerEpochs = 64;

uint8_t format_of(BytesView bytes) {
  return !bytes.empty() && bytes[0] == kFormerFormat ? kFormerFormat : kFormat;
}

}  // namespace

std::optional<uint64_t> History::last(Epoch epoch) const {
  const auto it = epochs_.find(epoch);
  if (it == epochs_.end()) return std::nullopt;
  return it->second.commit;
}

void History::forget_if(const std::function<bool(Epoch, const Last&)>& known) {
  std::erase_if(epochs_, [&](const auto& one) { return known(one.first, one.second); });
}

struct SavedCodec {
  static void write(const Saved& saved, RecordWriter& to) {
    to.epoch(saved.history.anew_);
    to.epoch(saved.history.unknown_);
    to.number(saved.history.epochs_.size());
    for (const auto& [epoch, last] : saved.history.epochs_) {
      to.epoch(epoch);
      to.number(last.commit);
      to.number(last.owner.value);
    }
    to.text(saved.state);
    to.number(saved.by.value);
  }
  static Saved read(RecordReader& from, uint8_t format) {
    Saved saved;
    History& history = saved.history;
    history.anew_ = from.epoch();
    const bool former = format == kFormerFormat;
    if (!former) history.unknown_ = from.epoch();
    for (uint64_t n = from.count(former ? 20 : 28); n > 0; --n) {
      const Epoch epoch = from.epoch();
      const uint64_t commit = from.number();
      history.epochs_[epoch] = {commit, former ? Incarnation{} : Incarnation{from.number()}};
    }
    saved.state = Bytes(from.text());
    if (!former) {
      saved.by = Incarnation{from.number()};
    } else if (history.epochs_.size() >= kFormerEpochs) {
      history.unknown_ = std::exchange(history.anew_, {});
    }
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
    saved.history.begin_anew(checkpoint.epoch);
    return saved;
  }
  const uint8_t format = format_of(checkpoint.bytes);
  RecordReader from(checkpoint.bytes, format);
  Saved saved = SavedCodec::read(from, format);
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
  const uint8_t format = format_of(bytes);
  RecordReader from(bytes, format);
  ProcessorRecord record;
  record.epoch = from.epoch();
  record.commit = from.number();
  for (uint64_t n = from.count(24); n > 0; --n) {
    const Uuid connection = from.uuid();
    record.sequences[connection] = from.number();
  }
  record.saved = SavedCodec::read(from, format);
  if (auto whole = from.finish("what a processor keeps"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return record;
}

}  // namespace databridge::flow
