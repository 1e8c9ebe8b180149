// Random deltas, cuts and bases on an owner and a copy, against a model that keeps each file by
// itself. Each run checks the invariants of docs/adr/0024 after every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/random.h"
#include "flow/contents.h"
#include "flow/partition.h"

namespace databridge::flow {
namespace {

constexpr Uuid kProcessor{1, 1};
const std::vector<Uuid> kIns{{2, 1}, {2, 2}};
const std::vector<Uuid> kOuts{{3, 1}, {3, 2}};

// A file of the model.
struct Item {
  Uuid id;
  Epoch origin;
  uint64_t sequence = 0;
  uint64_t arrival = 0;
  uint64_t size = 0;
  Content content;
  Bytes bytes;                 // The content; of a large one only its name counts.
  std::pair<Lsn, size_t> run;  // The delta, and the number of the operation in it.
  std::set<ContentId> needs;   // What its run holds.
};

struct Model {
  struct In {
    std::vector<Item> items;
    std::map<Epoch, uint64_t> marks;
    Epoch fence, floor;
    uint64_t arrivals = 0, consumed = 0;
  };
  struct Out {
    std::vector<Item> items;  // In the order of (origin, sequence).
    uint64_t sequence = 0;    // The last one of the present epoch.
    bool ever = false;        // Something was emitted.
  };
  Lsn last;
  std::map<Uuid, In> ins;
  std::map<Uuid, Out> outs;
  Content state;
  // What the newest delta brought, also if it went in the same delta: it is held until that is
  // safe.
  std::set<ContentId> brought;

  std::set<ContentId> needs() const {
    std::set<ContentId> all;
    for (const auto& [id, in] : ins)
      for (const Item& item : in.items) all.insert(item.needs.begin(), item.needs.end());
    for (const auto& [id, out] : outs)
      for (const Item& item : out.items) all.insert(item.needs.begin(), item.needs.end());
    if (state.length > 0) all.insert(state.id);
    return all;
  }
};

// A node with a copy of the partition. Its positions are its own.
struct Node {
  env::FileId file;
  Partition partition{kProcessor};
  Contents contents{1 << 16};

  explicit Node(env::FileId first_file) : file(first_file) {}
  void take(const Bytes& delta) {
    const DeltaView view = decode_delta(delta).value();
    const auto holds = partition.apply(view);
    ASSERT_TRUE(holds) << holds.error().message;
    contents.change(*holds);
    add(view.head.lsn, delta);
  }
  void add(const Lsn& lsn, const Bytes& delta) {
    contents.add(lsn, {file, 0, 0, static_cast<uint32_t>(delta.size())});
  }
};

class Storm {
 public:
  explicit Storm(uint64_t seed) : random_(seed) {}

  void run() {
    for (int step = 0; step < 150 && !testing::Test::HasFailure(); ++step) {
      const uint64_t dice = random_.below(20);
      if (dice < 12) {
        write();
      } else if (dice < 14) {
        refuse();
      } else if (dice < 16) {
        settle();
      } else if (dice < 18) {
        catch_up();
      } else if (dice < 19) {
        cut();
      } else {
        restart_copy();
      }
      check(owner_, models_.back());
    }
    catch_up();
    check(copy_, models_.back());
    EXPECT_EQ(owner_.partition.hash(), copy_.partition.hash());
    drain();
  }

 private:
  // ---- Deltas. Each operation is carried out on the model as it is written.
  DeltaHead head() const {
    const Lsn& last = models_.back().last;
    const Lsn next{epoch_, last.epoch == epoch_ ? last.sequence + 1 : 1};
    return {kProcessor, next, last, models_.front().last};
  }

  void write() {
    Model model = models_.back();
    const DeltaHead head = this->head();
    if (head.lsn.epoch != model.last.epoch) {
      for (auto& [id, out] : model.outs) out.sequence = 0;
    }
    model.last = head.lsn;
    model.brought.clear();
    DeltaWriter writer(head, 256);
    here_ = {};
    for (uint64_t op = random_.below(5); op > 0; --op) add_op(writer, model, op);
    take(writer.finish().value(), std::move(model));
  }

  void take(Bytes delta, Model model) {
    owner_.take(delta);
    log_[model.last] = std::move(delta);
    models_.push_back(std::move(model));
  }

  void add_op(DeltaWriter& writer, Model& model, size_t number) {
    switch (random_.below(9)) {
      case 0:
        return fence(writer, model);
      case 1:
      case 2:
        return enqueue(writer, model, number);
      case 3:
      case 4:
        return consume(writer, model);
      case 5:
        return emit(writer, model, number);
      case 6:
        return deliver(writer, model);
      case 7:
        return erase(writer, model);
      default:
        return state(writer, model);
    }
  }

  void fence(DeltaWriter& writer, Model& model) {
    const Uuid& to = kIns[random_.below(kIns.size())];
    Model::In& in = model.ins[to];
    in.fence.index += 1 + random_.below(2);
    if (random_.chance(0.5)) in.floor.index = random_.between(in.floor.index, in.fence.index);
    writer.fence({to, in.fence, in.floor});
    std::erase_if(in.marks, [&](const auto& mark) { return mark.first < in.floor; });
  }

  void enqueue(DeltaWriter& writer, Model& model, size_t number) {
    const Uuid& to = kIns[random_.below(kIns.size())];
    Model::In& in = model.ins[to];
    if (!in.fence) fence(writer, model);
    if (!in.fence) return;
    const Epoch origin{0, random_.between(std::max<uint64_t>(1, in.floor.index), in.fence.index)};
    uint64_t& mark = in.marks[origin];
    writer.enqueue(to, origin, mark + 1);
    std::vector<Item> made = files(writer, model, number);
    for (Item& item : made) {
      item.origin = origin;
      item.sequence = ++mark;
      item.arrival = ++in.arrivals;
      in.items.push_back(item);
    }
  }

  void emit(DeltaWriter& writer, Model& model, size_t number) {
    const Uuid& to = kOuts[random_.below(kOuts.size())];
    Model::Out& out = model.outs[to];
    writer.emit(to, out.sequence + 1);
    out.ever = true;
    std::vector<Item> made = files(writer, model, number);
    for (Item& item : made) {
      item.origin = epoch_;
      item.sequence = ++out.sequence;
      out.items.push_back(item);
    }
  }

  std::vector<Item> files(DeltaWriter& writer, Model& model, size_t number) {
    std::vector<Item> made;
    std::set<ContentId> needs{content_of(model.last)};
    for (uint64_t i = random_.between(1, 5); i > 0; --i) {
      Item item;
      item.id = {9, ++files_};
      item.run = {model.last, number};
      const Attributes attributes =
          random_.chance(0.5) ? Attributes{} : Attributes{{"name", std::to_string(files_)}};
      add_file(writer, model, attributes, item);
      item.size = kFileBytes + item.content.length;
      for (const auto& [name, value] : attributes) item.size += 8 + name.size() + value.size();
      needs.insert(item.content.id);
      made.push_back(std::move(item));
    }
    for (Item& item : made) item.needs = needs;
    model.brought.insert(needs.begin(), needs.end());
    return made;
  }

  // A new content here, an earlier one here, one that passes through, or a large one.
  void add_file(DeltaWriter& writer, Model& model, const Attributes& attributes, Item& item) {
    const uint64_t dice = random_.below(6);
    const std::vector<Item>& waiting = model.ins[kIns[random_.below(kIns.size())]].items;
    const Item* same = dice == 1                       ? &here_
                       : dice == 2 && !waiting.empty() ? &waiting[random_.below(waiting.size())]
                                                       : nullptr;
    if (same != nullptr && same->content.length > 0) {
      item.content = same->content;
      item.bytes = same->bytes;
    } else if (dice == 3) {
      item.content = large();
    } else {
      item.bytes = Bytes(random_.below(30), static_cast<char>('a' + files_ % 26));
      item.content = writer.file(item.id, attributes, item.bytes);
      here_ = item;
      return;
    }
    writer.file(item.id, attributes, item.content);
  }

  // Two chunks, which both nodes have before any delta names them.
  Content large() {
    const ContentId id{epoch_, ContentId::kLarge | ++large_};
    larges_.insert(id);
    for (Node* node : {&owner_, &copy_}) add_chunks(*node, id);
    return {id, 0, kChunkBytes + 10};
  }
  static void add_chunks(Node& node, const ContentId& id) {
    for (const auto& [offset, bytes] :
         {std::pair(0u, kLargeBytes - 90), std::pair(kChunkBytes, 90u)}) {
      const ChunkView chunk{id, kChunkBytes + 10, offset, ""};
      EXPECT_TRUE(node.contents.add(chunk, {node.file, 0, 0, bytes}));
    }
  }

  void consume(DeltaWriter& writer, Model& model) {
    const Uuid& from = kIns[random_.below(kIns.size())];
    Model::In& in = model.ins[from];
    Consume op{from, {}};
    std::vector<Item> left;
    const bool in_order = random_.chance(0.5);
    size_t some = random_.below(in.items.size() + 1);
    std::pair<Lsn, size_t> run;
    for (const Item& item : in.items) {
      if (in_order ? some-- == 0 : random_.chance(0.5)) {
        left.push_back(item);
        some = 0;
        continue;
      }
      const bool new_range = op.ranges.empty() || run != item.run ||
                             op.ranges.back().first + op.ranges.back().count != item.arrival;
      if (new_range) op.ranges.push_back({item.arrival, 0, 0});
      op.ranges.back().count += 1;
      op.ranges.back().bytes += item.size;
      ++in.consumed;
      run = item.run;
    }
    in.items = std::move(left);
    if (!op.ranges.empty()) writer.consume(op);
  }

  void deliver(DeltaWriter& writer, Model& model) {
    const Uuid& to = kOuts[random_.below(kOuts.size())];
    Model::Out& out = model.outs[to];
    if (out.items.empty()) return;
    const Item chosen = out.items[random_.below(out.items.size())];
    Delivered op{to, chosen.origin, chosen.sequence, 0};
    std::erase_if(out.items, [&](const Item& item) {
      const bool leaves = item.origin == op.origin && item.sequence <= op.upto;
      op.bytes += leaves ? item.size : 0;
      return leaves;
    });
    writer.delivered(op);
  }

  void erase(DeltaWriter& writer, Model& model) {
    if (random_.chance(0.7)) return;
    const size_t at = random_.below(2);
    const Uuid& connection = random_.chance(0.5) ? kIns[at] : kOuts[at];
    // In the model a connection may be there that has had nothing yet.
    const auto in = model.ins.find(connection);
    const auto out = model.outs.find(connection);
    const bool had = (in != model.ins.end() && in->second.fence) ||
                     (out != model.outs.end() && out->second.ever);
    if (!had) return;
    model.ins.erase(connection);
    model.outs.erase(connection);
    writer.erase({connection});
  }

  void state(DeltaWriter& writer, Model& model) {
    if (random_.chance(0.3)) {
      model.state = large();
      writer.state(model.state);
    } else {
      model.state = writer.state(Bytes(random_.below(20), 's'));
      if (model.state.length == 0) model.state = {};
    }
    if (model.state.length > 0) model.brought.insert(model.state.id);
  }

  // ---- Deltas that do not fit. The first operation fits, and must leave no trace.
  void refuse() {
    DeltaHead head = this->head();
    const uint64_t kind = random_.below(15);
    if (kind == 1 && !head.previous.epoch) return;  // That would be malformed, too.
    if (kind == 0) head.processor = {1, 2};
    if (kind == 1) {
      head.lsn = {{0, epoch_.index + 1}, 1};
      head.previous.sequence += 1;
    }
    const Uuid& to = kIns[random_.below(kIns.size())];
    Model::In& in = models_.back().ins[to];
    const Epoch fence{0, in.fence.index + 1};
    std::pair<Epoch, uint64_t> origin{fence, 2};
    if (!in.marks.empty()) origin = *in.marks.rbegin();
    DeltaWriter writer(head, 256);
    writer.fence({to, fence, in.floor});
    const auto enqueue = [&](Epoch of, uint64_t first) {
      writer.enqueue(to, of, first);
      writer.file({9, 0}, {}, "x");
    };
    if (kind == 2) writer.fence({to, fence, in.floor});
    if (kind == 3) writer.fence({to, in.fence.index > 0 ? in.fence : fence, in.floor});
    if (kind == 4) enqueue(origin.first, origin.second + 2);
    if (kind == 5) enqueue(origin.first, origin.second);
    if (kind == 6) enqueue({0, fence.index + 1}, 1);
    if (kind == 7) writer.consume({to, {{in.arrivals + 1, 1, 49}}});
    if (kind == 8) {
      writer.emit(kOuts[0], models_.back().outs[kOuts[0]].sequence + 2);
      writer.file({9, 0}, {}, "x");
    }
    if (kind == 9) writer.delivered({kOuts[0], {0, 1u << 20}, 1, 49});
    if (kind == 14 && in.floor.index > 1) enqueue({0, in.floor.index - 1}, 1);
    if (kind == 14 ? in.floor.index < 2 : kind > 9 && in.items.empty()) return;
    const Item item = in.items.empty() ? Item{} : in.items.front();
    if (kind == 10) writer.consume({to, {{item.arrival, 1, UINT64_MAX}}});
    if (kind == 11) writer.consume({to, {{item.arrival, 1, kFileBytes - 1}}});
    if (kind == 12) {
      writer.consume({to, {{item.arrival, 1, item.size}}});
      writer.consume({to, {{item.arrival, 1, item.size}}});
    }
    if (kind == 13) writer.consume({to, {{item.arrival, 1000, item.size}}});
    const Bytes delta = writer.finish().value();
    const uint64_t before = owner_.partition.hash();
    const auto refused = owner_.partition.apply(decode_delta(delta).value());
    ASSERT_FALSE(refused) << "kind " << kind;
    EXPECT_EQ(refused.error().code, Code::conflict);
    EXPECT_EQ(owner_.partition.hash(), before) << refused.error().message;
  }

  // ---- Copies
  void catch_up() {
    for (auto delta = log_.upper_bound(copy_.partition.last()); delta != log_.end(); ++delta) {
      copy_.take(delta->second);
    }
  }

  void settle() {
    const Lsn safe = models_[random_.below(models_.size())].last;
    owner_.contents.change(owner_.partition.settle(safe));
    copy_.contents.change(copy_.partition.settle(safe));
    while (models_.front().last < safe) models_.pop_front();
  }

  // A new epoch begins behind a delta that is not known to be safe, or behind the last safe one.
  void cut() {
    catch_up();
    models_.resize(random_.below(models_.size()) + 1);
    const Lsn last = models_.back().last;
    log_.erase(log_.upper_bound(last), log_.end());
    for (Node* node : {&owner_, &copy_}) {
      const auto holds = node->partition.cut(last);
      ASSERT_TRUE(holds) << holds.error().message;
      node->contents.change(*holds);
      EXPECT_EQ(node->partition.last(), last);
    }
    EXPECT_EQ(owner_.partition.hash(), copy_.partition.hash());
    if (owner_.partition.safe() != Lsn{}) {
      EXPECT_FALSE(owner_.partition.cut(Lsn{})) << "what is safe is never cut";
    }
    epoch_.index += 1 + random_.below(3);
  }

  // The copy begins anew with the base of the owner and the records of the log, in another file.
  void restart_copy() {
    const Bytes base = owner_.partition.base();
    auto partition = Partition::from_base(base);
    ASSERT_TRUE(partition) << partition.error().message;
    EXPECT_EQ(partition->base(), base);
    EXPECT_EQ(partition->last(), owner_.partition.safe());
    Node node(copy_.file + 1);
    node.partition = std::move(*partition);
    node.partition.each_hold([&](const ContentId& id) { node.contents.hold(id); });
    for (const auto& [lsn, delta] : log_) {
      if (lsn <= node.partition.last()) node.add(lsn, delta);
    }
    for (const ContentId& id : larges_) add_chunks(node, id);
    copy_ = std::move(node);
    catch_up();
    copy_.contents.abandon_unheld();
    check_holds(copy_);
  }

  // ---- Checks
  void check(Node& node, const Model& model) {
    EXPECT_EQ(node.partition.last(), model.last);
    EXPECT_EQ(node.partition.state(), model.state);
    for (const Uuid& id : kIns) {
      EXPECT_TRUE(model.ins.contains(id) || node.partition.queued(id).count == 0);
    }
    for (const auto& [id, in] : model.ins) {
      const Depth depth = node.partition.queued(id);
      EXPECT_EQ(depth.count, in.arrivals - in.consumed);
      EXPECT_EQ(depth.oldest, in.items.empty() ? 0 : in.items.front().arrival);
      check_items(depth, node.partition.waiting(id, 0, UINT64_MAX), in.items);
      for (const auto& [origin, mark] : in.marks) {
        EXPECT_EQ(node.partition.mark(id, origin), mark);
        EXPECT_EQ(node.partition.receipt(id, in.fence, origin, mark), Receipt::seen);
        EXPECT_EQ(node.partition.receipt(id, in.fence, origin, mark + 1), Receipt::next);
        EXPECT_EQ(node.partition.receipt(id, in.fence, origin, mark + 2), Receipt::gap);
      }
    }
    for (const auto& [id, out] : model.outs) {
      std::vector<Piece> pieces;
      std::set<Epoch> origins;
      for (const Item& item : out.items) origins.insert(item.origin);
      for (const Epoch& origin : origins) {
        for (const Piece& piece : node.partition.undelivered(id, origin, 0, UINT64_MAX))
          pieces.push_back(piece);
      }
      check_items(node.partition.outgoing(id), pieces, out.items);
      EXPECT_EQ(node.partition.floor(id), out.items.empty() ? model.last.epoch : *origins.begin());
    }
    check_holds(node);
  }

  void check_items(const Depth& depth, const std::vector<Piece>& pieces,
                   const std::vector<Item>& items) {
    uint64_t bytes = 0;
    size_t at = 0;
    for (const Piece& piece : pieces) {
      const Bytes& delta = log_.at(piece.delta);
      const auto files = read_files(delta, piece.offset, piece.first, piece.count);
      ASSERT_TRUE(files && at + files->size() <= items.size());
      for (uint32_t i = 0; i < piece.count; ++i) {
        const Item& item = items[at++];
        const FileView& file = (*files)[i];
        EXPECT_EQ(file.id, item.id);
        EXPECT_EQ(file.size(), item.size);
        EXPECT_EQ(file.content, item.content);
        EXPECT_EQ(piece.origin, item.origin);
        EXPECT_EQ(piece.sequence + i, item.sequence);
        EXPECT_EQ(piece.arrival == 0 ? 0 : piece.arrival + i, item.arrival);
        if (!file.content.id.is_large()) {
          const Lsn written{file.content.id.epoch, file.content.id.counter};
          EXPECT_EQ(log_.at(written).substr(file.content.offset, file.content.length), item.bytes);
        }
        bytes += item.size;
      }
    }
    EXPECT_EQ(at, items.size());
    EXPECT_EQ(depth.count, items.size());
    EXPECT_EQ(depth.bytes, bytes);
  }

  // All that the model needs, now or after a cut, is there. The owner has nothing else.
  void check_holds(const Node& node) {
    std::set<ContentId> needs;
    for (const Model& model : models_) {
      needs.merge(model.needs());
      if (&model != &models_.front()) needs.insert(model.brought.begin(), model.brought.end());
    }
    uint64_t bytes = 0;
    for (const ContentId& id : needs) {
      EXPECT_TRUE(node.contents.find(id, 0)) << id.epoch.index << " " << id.counter;
      bytes += id.is_large() ? kLargeBytes : log_.at({id.epoch, id.counter}).size();
    }
    uint64_t live = 0;
    for (const auto& [file, of_file] : node.contents.live()) live += of_file;
    EXPECT_TRUE(node.contents.missing().empty());
    EXPECT_TRUE(&node == &owner_ ? live == bytes : live >= bytes) << live << " " << bytes;
  }

  // When all is consumed, delivered and safe, nothing is held.
  void drain() {
    Model model = models_.back();
    const DeltaHead head = this->head();
    model.last = head.lsn;
    DeltaWriter writer(head, 256);
    for (auto& [from, in] : model.ins) {
      for (const Item& item : in.items) writer.consume({from, {{item.arrival, 1, item.size}}});
    }
    for (auto& [to, out] : model.outs) {
      for (const Item& item : out.items)
        writer.delivered({to, item.origin, item.sequence, item.size});
    }
    writer.state("");
    const Bytes delta = writer.finish().value();
    for (Node* node : {&owner_, &copy_}) {
      node->take(delta);
      node->contents.change(node->partition.settle(head.lsn));
      EXPECT_TRUE(node->contents.live().empty());
    }
    EXPECT_EQ(owner_.partition.base(), copy_.partition.base());
  }

  static constexpr uint32_t kLargeBytes = 990;  // Of its two records.

  Random random_;
  Epoch epoch_{0, 1};
  Node owner_{1}, copy_{1000};
  std::map<Lsn, Bytes> log_;      // All deltas that were not cut.
  std::deque<Model> models_{{}};  // At the last safe delta, and at each one behind it.
  std::set<ContentId> larges_;
  Item here_;  // A file whose content stands in the delta that is written.
  uint64_t files_ = 0, large_ = 0;
};

TEST(PartitionStorm, AgreesWithAModelOfSingleFiles) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm(seed).run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace databridge::flow
