// Bytes that are shared and never change, in one part or in several.
//
// - Payload: a byte string, or a part of one. The log, the batch that is being synced and a message
//   to each follower hold the same bytes at the same time. None of them knows which one will be the
//   last, so the bytes are shared.
// - Pieces: a byte string in several pieces. Each piece is shared by itself, so bytes that two byte
//   strings have in common are held once. A copy costs one pointer.
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

  // The bytes [offset, offset + size), cut to what is there. The slice shares memory with this
  // payload.
  Payload slice(size_t offset, size_t size) const {
    Payload part(*this);
    part.view_ = offset < view_.size() ? view_.substr(offset, size) : BytesView();
    return part;
  }

  // True for the very same memory. It is cheap, since the bytes are not compared.
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
  // Leaves empty pieces out.
  explicit Pieces(std::vector<Payload> list);

  size_t size() const { return inside_ ? inside_->size : 0; }
  bool empty() const { return size() == 0; }
  const std::vector<Payload>& list() const;

  // The bytes [offset, offset + size), cut to what is there. The slice shares memory if the bytes
  // lie in one piece, else it is a copy.
  Payload slice(size_t offset, size_t size) const;
  // All bytes in one piece. This is a copy, unless there is only one piece.
  Payload joined() const { return slice(0, size()); }

  uint64_t hash() const;  // The hash64 of all bytes together; copies nothing.

  bool operator==(const Pieces& other) const;

 private:
  struct Inside {
    std::vector<Payload> list;
    std::vector<size_t> begins;  // The offset at which each piece begins.
    size_t size = 0;
  };
  std::shared_ptr<const Inside> inside_;
};

}  // namespace databridge
