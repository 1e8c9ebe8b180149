// AppendLog: the newest items of a sequence that only grows, whose copies share structure. A copy
// costs two pointers, and an append writes one item: so what happens all the time can be published
// all the time. (Of two copies that both go on, one copies the newest part.)
//
// Items have positions, which go on for ever: begin() is that of the oldest one kept. They lie in
// parts of 128, each of which is written once and never changed.
//
// Not thread-safe to change; copies may be read on any thread while the original goes on changing.
// References stay valid while some copy that holds them lives unchanged.
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
  static constexpr uint64_t kPart = 128;  // Items of a part.

  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // `position`: from begin() to before end().
  const Item& at(uint64_t position) const {
    return (*parts_.find(position / kPart))->slot(position % kPart);
  }
  const Item& front() const { return at(begin_); }
  const Item& back() const { return at(end_ - 1); }

  // Visits in order, from that position or the oldest item on, until `visit(position, item)`
  // returns false.
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

  // The first item shall have that position. Only while there never was one.
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

  // The bytes of all items in order, in pieces: `encode(bytes, position, item)` adds those of one.
  // Those of a full part are made once, whichever copy is asked first: all calls must encode alike.
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
  // Slots are raw memory until they are appended to: a log of few items takes little.
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
    std::atomic<uint64_t> used;  // The slots from `first` to before this one.
    std::atomic<const Payload*> encoded = nullptr;  // Owned; of a full part that was encoded once.
    alignas(Item) std::array<std::byte, kPart * sizeof(Item)> memory;
  };

  void use(std::shared_ptr<Part> part) {
    tail_ = part.get();
    parts_.set(end_ / kPart, std::move(part));
  }

  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  Part* tail_ = nullptr;  // The newest of `parts_`.
  PersistentMap<uint64_t, std::shared_ptr<Part>> parts_;
};

}  // namespace databridge
