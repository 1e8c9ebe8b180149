#include "flow/partition.h"

#include <algorithm>
#include <string>
#include <utility>

namespace databridge::flow {
namespace {

using Queue = PartitionIndex::Queue;
using Outbox = PartitionIndex::Outbox;

std::string words(const Lsn& lsn) {
  return std::to_string(lsn.epoch.number()) + "/" + std::to_string(lsn.sequence);
}

void move_to(std::vector<ContentId>& to, std::vector<ContentId>& from) {
  to.insert(to.end(), from.begin(), from.end());
  from.clear();
}

// The first file of a run, from that one on, that is not gone.
uint32_t present(const Run& run, uint32_t from) {
  while (from < run.count && !run.gone.empty() && run.gone[from]) ++from;
  return from;
}

// Makes pieces of files of one run, until there are enough.
class Pieces {
 public:
  explicit Pieces(uint64_t count) : left_(count) {}

  bool enough() const { return left_ == 0; }
  // Adds the files from number `first` on. `arrival`: of the first file of the run; 0: it has none.
  void add(const Run& run, uint32_t first, uint64_t arrival) {
    for (first = present(run, first); first < run.count && !enough(); first = present(run, first)) {
      uint32_t end = first + 1;
      while (end < run.count && end - first < left_ && (run.gone.empty() || !run.gone[end])) ++end;
      pieces_.push_back({run.delta, run.offset, first, end - first, run.origin,
                         run.sequence + first, arrival == 0 ? 0 : arrival + first});
      left_ -= end - first;
      first = end;
    }
  }
  std::vector<Piece> take() { return std::move(pieces_); }

 private:
  uint64_t left_;
  std::vector<Piece> pieces_;
};

}  // namespace

uint64_t room(const Depth& depth, uint64_t count_max, uint64_t bytes_max) {
  return depth.bytes >= bytes_max || depth.count >= count_max ? 0 : count_max - depth.count;
}

Partition::Partition(const ProcessorId& processor) { index_.processor = processor; }

Bytes Partition::base() const { return encode(unsafe_.empty() ? index_ : unsafe_.front().before); }

Result<Partition> Partition::from_base(BytesView bytes) {
  auto index = decode_index(bytes);
  if (!index) return tl::make_unexpected(index.error());
  return Partition(std::move(*index));
}

uint64_t Partition::hash() const { return hash64(encode(index_)); }

// ---- The log

const Lsn& Partition::safe() const {
  return unsafe_.empty() ? index_.last : unsafe_.front().before.last;
}

Result<Holds> Partition::apply(const DeltaView& delta) {
  PartitionIndex next = index_;
  auto holds = next.apply(delta);
  if (!holds) {
    return fail(Code::conflict, "the delta " + words(delta.head.lsn) + " of " +
                                    delta.head.processor.text() + " does not fit after " +
                                    words(index_.last) + ": " + holds.error().message);
  }
  Holds changed = settle(delta.head.safe);
  changed.held = holds->held;
  unsafe_.push_back({std::exchange(index_, std::move(next)), delta.head.lsn, std::move(*holds)});
  return changed;
}

Holds Partition::settle(const Lsn& safe) {
  Holds changed;
  const auto at = std::ranges::find(unsafe_, safe, &Unsafe::lsn);
  if (at == unsafe_.end()) return changed;
  for (auto each = unsafe_.begin(); each != at + 1; ++each) {
    move_to(changed.released, each->holds.released);
  }
  unsafe_.erase(unsafe_.begin(), at + 1);
  return changed;
}

Result<Holds> Partition::cut(const Lsn& last) {
  Holds changed;
  if (last == index_.last) return changed;
  const auto at =
      std::ranges::find(unsafe_, last, [](const Unsafe& each) { return each.before.last; });
  if (at == unsafe_.end()) {
    return fail(Code::conflict, "the log of " + index_.processor.text() + " cannot be cut at " +
                                    words(last) + ": it reaches from " + words(safe()) + " to " +
                                    words(index_.last));
  }
  index_ = std::move(at->before);
  for (auto each = at; each != unsafe_.end(); ++each) move_to(changed.released, each->holds.held);
  unsafe_.erase(at, unsafe_.end());
  return changed;
}

// ---- Queues

Depth Partition::queued(const Uuid& connection) const {
  const Queue* queue = index_.queues.find(connection);
  if (queue == nullptr) return {};
  Depth depth{queue->count, queue->bytes, 0};
  if (const auto [last, run] = queue->runs.nth(0); run != nullptr) {
    depth.oldest = *last - run->count + 1 + present(*run, 0);
  }
  return depth;
}

std::vector<Piece> Partition::waiting(const Uuid& connection, uint64_t arrival,
                                      uint64_t count) const {
  Pieces pieces(count);
  const Queue* queue = index_.queues.find(connection);
  if (queue == nullptr) return {};
  queue->runs.visit_from(arrival, [&](uint64_t last, const Run& run) {
    const uint64_t first = last - run.count + 1;
    pieces.add(run, arrival > first ? static_cast<uint32_t>(arrival - first) : 0, first);
    return !pieces.enough();
  });
  return pieces.take();
}

Receipt Partition::receipt(const Uuid& connection, Epoch sender, Epoch origin,
                           uint64_t first) const {
  const Queue* queue = index_.queues.find(connection);
  if (queue == nullptr) return first == 1 ? Receipt::next : Receipt::gap;
  if (sender < queue->fence) return Receipt::replaced;
  if (origin < queue->floor) return Receipt::seen;
  const uint64_t received = mark(connection, origin);
  if (first <= received) return Receipt::seen;
  return first == received + 1 ? Receipt::next : Receipt::gap;
}

uint64_t Partition::mark(const Uuid& connection, Epoch origin) const {
  const Queue* queue = index_.queues.find(connection);
  const uint64_t* mark = queue == nullptr ? nullptr : queue->marks.find(origin);
  return mark == nullptr ? 0 : *mark;
}

Epoch Partition::fence(const Uuid& connection) const {
  const Queue* queue = index_.queues.find(connection);
  return queue == nullptr ? Epoch{} : queue->fence;
}

// ---- The outbox

Depth Partition::outgoing(const Uuid& connection) const {
  const Outbox* outbox = index_.outboxes.find(connection);
  return outbox == nullptr ? Depth{} : Depth{outbox->count, outbox->bytes, 0};
}

std::vector<Piece> Partition::undelivered(const Uuid& connection, Epoch origin, uint64_t sequence,
                                          uint64_t count) const {
  Pieces pieces(count);
  const Outbox* outbox = index_.outboxes.find(connection);
  if (outbox == nullptr) return {};
  outbox->runs.visit_from({origin, sequence}, [&](const auto& key, const Run& run) {
    if (key.first != origin) return false;
    const uint64_t gone = run.count - run.left;
    const uint64_t before = sequence > run.sequence ? sequence - run.sequence : 0;
    pieces.add(run, static_cast<uint32_t>(std::max(gone, before)), 0);
    return !pieces.enough();
  });
  return pieces.take();
}

uint64_t Partition::emitted(const Uuid& connection, Epoch epoch) const {
  const Outbox* outbox = index_.outboxes.find(connection);
  return outbox != nullptr && outbox->epoch == epoch ? outbox->sequence : 0;
}

Epoch Partition::floor(const Uuid& connection) const {
  const Outbox* outbox = index_.outboxes.find(connection);
  if (outbox == nullptr || outbox->runs.empty()) return index_.last.epoch;
  return outbox->runs.nth(0).first->first;
}

}  // namespace databridge::flow
