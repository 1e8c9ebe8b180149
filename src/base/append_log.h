// AppendLog: the newest items of a sequence that only grows. Copies share structure: a copy costs
// two pointers, and an append writes one item. So a log that changes all the time can be published
// all the time. (If a log and its copy both append, one of them copies the newest part.)
//
// Each item has a position, which never changes: begin() is the position of the oldest item that is
// kept. Items lie in parts of 128. A slot of a part is written once and never changed.
//
// Changes are not thread-safe. Copies may be read on any thread while the original goes on
// changing. References stay valid while some copy that holds them lives unchanged.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/payload.h"
#include "base/persistent_map.h"

namespace databridge {

template <typename Item>
class AppendLog {
 public:
  static constexpr uint64_t kPart = 128;  // The number of items in a part.

  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // `position` must be in [begin(), end()).
  const Item& at(uint64_t position) const {
    return (*parts_.find(position / kPart))->slot(position % kPart);
  }
  const Item& front() const { return at(begin_); }
  const Item& back() const { return at(end_ - 1); }

  // Visits items in order until `visit(position, item)` returns false. Begins at `position`, or at
  // the oldest item if that is later.
  template <typename Visit>
  void visit_from(uint64_t position, Visit&& visit) const {
    for (position = std::max(position, begin_); position < end_;) {
      Part& part = **parts_.find(position / kPart);
      const uint64_t next = std::min(end_, (position / kPart + 1) * kPart);
      for (; position < next; ++position) {
        if (!visit(position, std::as_const(part.slot(position % kPart)))) return;
      }
    }
  }
  template <typename Visit>
  void each(Visit&& visit) const {
    visit_from(begin_, [&](uint64_t position, const Item& item) {
      visit(position, item);
      return true;
    });
  }

  // Sets the position of the first item. Allowed only before the first append.
  void start_at(uint64_t position) {
    CHECK(end_ == 0);
    begin_ = end_ = position;
  }

  void append(Item item) {
    const uint64_t slot = end_ % kPart;
    if (tail_ == nullptr || slot == 0) {
      use(std::make_shared<Part>(slot));
    }
    uint64_t expected = slot;
    if (!tail_->used.compare_exchange_strong(expected, slot + 1)) {
      use(tail_->copy(slot));  // Another copy of this log has appended there.
      tail_->used = slot + 1;
    }
    new (tail_->place(slot)) Item(std::move(item));
    ++end_;
  }

  void pop_front() {
    CHECK(!empty());
    const uint64_t part = begin_++ / kPart;
    if (begin_ % kPart != 0) return;
    parts_.erase(part);
    if (begin_ == end_) tail_ = nullptr;
  }

  // The bytes of all items in order, in pieces. `encode(bytes, position, item)` appends the bytes
  // of one item. A full part is encoded only once, for all copies, so all calls must encode alike.
  template <typename Encode>
  void encode(std::vector<Payload>& pieces, Encode&& encode_one) const {
    for (uint64_t position = begin_; position < end_;) {
      Part& part = **parts_.find(position / kPart);
      const uint64_t first = position % kPart;
      const uint64_t last = std::min(kPart, first + end_ - position);
      const auto bytes = [&] {
        Bytes made;
        for (uint64_t slot = first; slot < last; ++slot) {
          encode_one(made, position + slot - first, std::as_const(part.slot(slot)));
        }
        return Payload(std::move(made));
      };
      if (first == part.first && last == kPart) {
        const Payload* known = part.encoded.load();
        if (known == nullptr) {
          auto made = std::make_unique<const Payload>(bytes());
          if (part.encoded.compare_exchange_strong(known, made.get())) known = made.release();
        }
        pieces.push_back(*known);
      } else {
        pieces.push_back(bytes());
      }
      position += last - first;
    }
  }

 private:
  // Slots are raw memory until they are appended to, so a log of few items takes little memory.
  struct Part {
    explicit Part(uint64_t from) : first(from), used(from) {}
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part() {
      for (uint64_t at = first; at < used; ++at) slot(at).~Item();
      delete encoded.load();
    }
    void* place(uint64_t at) { return memory.data() + at * sizeof(Item); }
    Item& slot(uint64_t at) { return *std::launder(static_cast<Item*>(place(at))); }
    std::shared_ptr<Part> copy(uint64_t upto) {
      auto made = std::make_shared<Part>(first);
      for (uint64_t at = first; at < upto; ++at) {
        new (made->place(at)) Item(std::as_const(slot(at)));
        made->used = at + 1;
      }
      return made;
    }

    const uint64_t first;        // The first slot in use: the log may have begun in the middle.
    std::atomic<uint64_t> used;  // The end of the slots in use.
    // Owned. Set once the part is full and was encoded.
    std::atomic<const Payload*> encoded = nullptr;
    alignas(Item) std::array<std::byte, kPart * sizeof(Item)> memory;
  };

  void use(std::shared_ptr<Part> part) {
    tail_ = part.get();
    parts_.set(end_ / kPart, std::move(part));
  }

  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  Part* tail_ = nullptr;  // The newest part in `parts_`.
  PersistentMap<uint64_t, std::shared_ptr<Part>> parts_;
};

}  // namespace databridge
