// Bytes that are shared and never change, in one part or in several.
//
// - Payload: a byte string, or a part of one. The log, the batch that is being synced and a message
//   to each follower hold the same bytes at the same time, and none of them knows which will let go
//   last: therefore shared.
// - Pieces: a byte string in pieces, each shared on its own: what two of them have in common is
//   held once. A copy costs one pointer.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace databridge {

class Payload {
 public:
  Payload() = default;
  explicit Payload(Bytes bytes)
      : owner_(std::make_shared<const Bytes>(std::move(bytes))), view_(*owner_) {}

  BytesView view() const { return view_; }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

  // The bytes [offset, offset + size), cut to what is there; shares them.
  Payload slice(size_t offset, size_t size) const {
    Payload part(*this);
    part.view_ = offset < view_.size() ? view_.substr(offset, size) : BytesView();
    return part;
  }

  // The very same memory: equal without a look at the bytes.
  bool is_same(const Payload& other) const {
    return view_.data() == other.view_.data() && view_.size() == other.view_.size();
  }
  bool operator==(const Payload& other) const { return view_ == other.view_; }

 private:
  std::shared_ptr<const Bytes> owner_;
  BytesView view_;
};

class Pieces {
 public:
  Pieces() = default;
  explicit Pieces(Bytes whole) : Pieces(std::vector<Payload>{Payload(std::move(whole))}) {}
  // Empty ones are left out.
  explicit Pieces(std::vector<Payload> list);

  size_t size() const { return inside_ ? inside_->size : 0; }
  bool empty() const { return size() == 0; }
  const std::vector<Payload>& list() const;

  // The bytes [offset, offset + size), cut to what is there. Shares them where they lie in one
  // piece, and else copies them.
  Payload slice(size_t offset, size_t size) const;
  // All of them in one piece: a copy, unless there is but one.
  Payload joined() const { return slice(0, size()); }

  uint64_t hash() const;  // As hash64 of all bytes in one piece; copies nothing.

  bool operator==(const Pieces& other) const;

 private:
  struct Inside {
    std::vector<Payload> list;
    std::vector<size_t> begins;  // Of each, from 0.
    size_t size = 0;
  };
  std::shared_ptr<const Inside> inside_;
};

}  // namespace databridge
