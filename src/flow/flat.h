// Flat bytes: numbers of fixed width, little-endian, one after the other.
//
// - Hides: where the reader stands, and how a malformed form is named.
// - Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/uuid.h"
#include "model/ids.h"
#include "model/lsn.h"

namespace databridge::flow {

inline void append_flat(Bytes& to, Epoch value) {
  append_little32(to, value.generation);
  append_little64(to, value.index);
}
inline void append_flat(Bytes& to, const Lsn& value) {
  append_flat(to, value.epoch);
  append_little64(to, value.sequence);
}
inline void append_flat(Bytes& to, const Uuid& value) {
  append_little64(to, value.high);
  append_little64(to, value.low);
}

// Reads fields in the order in which they were written. After refuse() every field is zero.
class FlatReader {
 public:
  explicit FlatReader(BytesView bytes, size_t at = 0)
      : bytes_(bytes), at_(std::min(at, bytes.size())) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  bool ok() const { return wrong_ == nullptr; }

  // The input is malformed. `words` say how, and must outlive the reader. The first one counts.
  void refuse(const char* words) {
    if (ok()) wrong_ = words;
  }
  void refuse_if(bool wrong, const char* words) {
    if (wrong) refuse(words);
  }

  BytesView cut(size_t size) {
    refuse_if(size > left(), "it is too short");
    if (!ok()) return {};
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  uint32_t number32() {
    const BytesView bytes = cut(4);
    return ok() ? read_little32(bytes) : 0;
  }
  uint64_t number64() {
    const BytesView bytes = cut(8);
    return ok() ? read_little64(bytes) : 0;
  }
  Epoch epoch() {
    const uint32_t generation = number32();
    return {generation, number64()};
  }
  Lsn lsn() {
    const Epoch of = epoch();
    const Lsn lsn{of, number64()};
    // Zero has one form, and sums do not overflow.
    refuse_if(lsn.sequence == 0 ? lsn != Lsn{} : !of || lsn.sequence >= uint64_t{1} << 62,
              "its place is out of range");
    return lsn;
  }
  Uuid uuid() {
    const uint64_t high = number64();
    return {high, number64()};
  }
  // The number of items that follow. Each has at least `item_size` bytes, so a false number makes
  // nobody reserve much memory.
  uint32_t count(size_t item_size) {
    const uint32_t count = number32();
    refuse_if(count > left() / item_size, "a number of items is too large");
    return ok() ? count : 0;
  }

  // An error with the code `corrupt` if anything was refused, or if bytes are left.
  Result<void> finish(const char* what) {
    refuse_if(left() > 0, "bytes follow its end");
    if (ok()) return {};
    return fail(Code::corrupt,
                std::string(what) + ": " + wrong_ + ", at byte " + std::to_string(at_));
  }

 private:
  BytesView bytes_;
  size_t at_;
  const char* wrong_ = nullptr;
};

}  // namespace databridge::flow
