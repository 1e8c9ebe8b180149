#include "flow/partition_index.h"

#include <algorithm>
#include <string>
#include <utility>

namespace databridge::flow {
namespace {

using Queue = PartitionIndex::Queue;
using Outbox = PartitionIndex::Outbox;

tl::unexpected<Error> misfit(std::string words) { return fail(Code::conflict, std::move(words)); }

// Adds the contents that a run holds.
void add_holds(std::vector<ContentId>& to, const Run& run) {
  to.push_back(content_of(run.delta));
  to.insert(to.end(), run.elsewhere.begin(), run.elsewhere.end());
}

// The first item whose key is not below `from`; the pointers are null if there is none.
template <typename Key>
std::pair<const Key*, const Run*> run_from(const PersistentMap<Key, Run>& runs, const Key& from) {
  std::pair<const Key*, const Run*> found;
  runs.visit_from(from, [&](const Key& key, const Run& run) {
    found = {&key, &run};
    return false;
  });
  return found;
}

// Carries out the operations of one delta.
class Change {
 public:
  Change(PartitionIndex& index, const DeltaHead& head) : index_(index), head_(head) {}

  Result<void> operator()(const Fence& op) {
    return in(index_.queues, op.connection, [&](Queue& queue) { return fence(queue, op); });
  }
  Result<void> operator()(const Enqueue& op) {
    return in(index_.queues, op.connection, [&](Queue& queue) { return enqueue(queue, op); });
  }
  Result<void> operator()(const Consume& op) {
    return in(index_.queues, op.connection, [&](Queue& queue) -> Result<void> {
      for (const Consume::Range& range : op.ranges) {
        if (auto done = consume(queue, range); !done) return done;
      }
      return {};
    });
  }
  Result<void> operator()(const Emit& op) {
    return in(index_.outboxes, op.connection, [&](Outbox& outbox) { return emit(outbox, op); });
  }
  Result<void> operator()(const Delivered& op) {
    return in(index_.outboxes, op.connection, [&](Outbox& outbox) { return deliver(outbox, op); });
  }
  Result<void> operator()(const SetState& op) {
    if (index_.state.length > 0) holds_.released.push_back(index_.state.id);
    index_.state = op.content.length > 0 ? op.content : Content{};
    if (op.content.length > 0) holds_.held.push_back(op.content.id);
    return {};
  }

  Result<void> operator()(const Erase& op) {
    const bool queue = erase(index_.queues, op.connection);
    const bool outbox = erase(index_.outboxes, op.connection);
    if (!queue && !outbox) return misfit("an erased connection is not there");
    return {};
  }

  Holds take_holds() { return std::move(holds_); }

 private:
  template <typename Part, typename Do>
  static Result<void> in(PersistentMap<Uuid, Part>& parts, const Uuid& connection, Do&& act) {
    if (!parts.contains(connection)) parts.set(connection, {});
    Result<void> done;
    parts.change(connection, [&](Part& part) { done = act(part); });
    return done;
  }

  // Returns false if the connection is not there.
  template <typename Part>
  bool erase(PersistentMap<Uuid, Part>& parts, const Uuid& connection) {
    const Part* part = parts.find(connection);
    if (part == nullptr) return false;
    part->runs.each([&](const auto&, const Run& run) { add_holds(holds_.released, run); });
    return parts.erase(connection);
  }

  static Result<void> fence(Queue& queue, const Fence& op) {
    if (op.epoch < queue.fence || op.floor < queue.floor ||
        (op.epoch == queue.fence && op.floor == queue.floor)) {
      return misfit("a fence does not rise");
    }
    queue.fence = op.epoch;
    queue.floor = op.floor;
    std::vector<Epoch> below;
    queue.marks.visit([&](const Epoch& origin, uint64_t) {
      if (origin < op.floor) below.push_back(origin);
      return origin < op.floor;
    });
    for (const Epoch& origin : below) queue.marks.erase(origin);
    return {};
  }

  Result<void> enqueue(Queue& queue, const Enqueue& op) {
    if (op.origin > queue.fence) return misfit("files are of an origin above the fence");
    if (op.origin < queue.floor) return misfit("files are of an origin below the floor");
    const uint64_t* mark = queue.marks.find(op.origin);
    const uint64_t next = (mark == nullptr ? 0 : *mark) + 1;
    if (op.first != next) {
      return misfit("files begin with sequence " + std::to_string(op.first) + ", and " +
                    std::to_string(next) + " is the next one");
    }
    if (queue.arrivals + op.files.count >= kNumberMax) return misfit("arrivals are used up");
    queue.arrivals += op.files.count;
    queue.runs.set(queue.arrivals, begin(queue, op.origin, op.first, op.files));
    queue.marks.set(op.origin, op.first + op.files.count - 1);
    return {};
  }

  Result<void> emit(Outbox& outbox, const Emit& op) {
    const Epoch origin = head_.lsn.epoch;
    if (op.first != (outbox.epoch == origin ? outbox.sequence : 0) + 1) {
      return misfit("emitted files do not follow the last ones");
    }
    outbox.epoch = origin;
    outbox.sequence = op.first + op.files.count - 1;
    outbox.runs.set({origin, outbox.sequence}, begin(outbox, origin, op.first, op.files));
    return {};
  }

  // Makes the run, and counts its files.
  template <typename Part>
  Run begin(Part& part, Epoch origin, uint64_t first, const Files& files) {
    Run run;
    run.delta = head_.lsn;
    run.offset = files.offset;
    run.count = run.left = files.count;
    run.origin = origin;
    run.sequence = first;
    run.bytes = files.bytes;
    run.elsewhere = files.elsewhere;
    part.count += files.count;
    part.bytes += files.bytes;
    add_holds(holds_.held, run);
    return run;
  }

  // Takes `count` files with these bytes out of a run, and the run out of the map if none is left.
  // Returns false if the bytes cannot be right.
  template <typename Part, typename Key, typename Mark>
  bool leave(Part& part, Key key, const Run& run, uint32_t count, uint64_t bytes, Mark&& mark) {
    const uint64_t least = uint64_t{kFileBytes} * (run.left - count);
    if (bytes < uint64_t{kFileBytes} * count || bytes > run.bytes || run.bytes - bytes < least ||
        (count == run.left && bytes != run.bytes)) {
      return false;
    }
    part.count -= count;
    part.bytes -= bytes;
    if (count == run.left) {
      add_holds(holds_.released, run);
      part.runs.erase(key);
      return true;
    }
    part.runs.change(key, [&](Run& changed) {
      changed.left -= count;
      changed.bytes -= bytes;
      mark(changed);
    });
    return true;
  }

  Result<void> consume(Queue& queue, const Consume::Range& range) {
    const auto [last, run] = run_from(queue.runs, range.first);
    if (run == nullptr || range.first <= *last - run->count ||
        range.count > *last - range.first + 1) {
      return misfit("consumed files are not there, or are of several runs");
    }
    const auto from = static_cast<size_t>(range.first - (*last - run->count + 1));
    for (size_t i = from; i < from + range.count && !run->gone.empty(); ++i) {
      if (run->gone[i]) return misfit("a consumed file is gone already");
    }
    const bool fits = leave(queue, *last, *run, range.count, range.bytes, [&](Run& changed) {
      changed.gone.resize(changed.count);
      for (size_t i = from; i < from + range.count; ++i) changed.gone[i] = true;
    });
    if (!fits) return misfit("the bytes of consumed files are not those of the run");
    return {};
  }

  Result<void> deliver(Outbox& outbox, const Delivered& op) {
    const Run* end = run_from(outbox.runs, {op.origin, op.upto}).second;
    if (end == nullptr || end->origin != op.origin ||
        op.upto < end->sequence + (end->count - end->left)) {
      return misfit("delivered files are not in the outbox");
    }
    uint64_t bytes = op.bytes;  // Of the files that are still to leave.
    for (bool ends = false; !ends;) {
      const auto [key, run] = run_from(outbox.runs, {op.origin, 1});
      ends = key->second >= op.upto;
      const uint64_t upto = std::min(key->second, op.upto);
      const auto count = static_cast<uint32_t>(upto + 1 - run->sequence) - (run->count - run->left);
      const uint64_t these = ends ? bytes : run->bytes;
      if (these > bytes || !leave(outbox, *key, *run, count, these, [](Run&) {})) {
        return misfit("the bytes of delivered files are not those of the runs");
      }
      bytes -= these;
    }
    return {};
  }

  PartitionIndex& index_;
  const DeltaHead& head_;
  Holds holds_;
};

}  // namespace

Result<Holds> PartitionIndex::apply(const DeltaView& delta) {
  const DeltaHead& head = delta.head;
  if (head.processor != processor) return misfit("it is a delta of another processor");
  if (head.previous != last) return misfit("it does not follow the newest delta");
  Change change(*this, head);
  for (const Op& op : delta.ops) {
    if (auto done = std::visit(change, op); !done) return tl::make_unexpected(done.error());
  }
  last = head.lsn;
  return change.take_holds();
}

}  // namespace databridge::flow
