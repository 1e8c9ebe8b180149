// Records on disk: a format byte, then fields one after the other, then a hash.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/uuid.h"
#include "model/ids.h"

namespace databridge::flow {

class RecordWriter {
 public:
  // `size`: the expected number of bytes.
  explicit RecordWriter(uint8_t format, size_t size = 0) {
    bytes_.reserve(size);
    bytes_.push_back(static_cast<char>(format));
  }

  void number(uint64_t value) { append_little64(bytes_, value); }
  void text(BytesView value) {
    append_little32(bytes_, static_cast<uint32_t>(value.size()));
    bytes_.append(value);
  }
  void epoch(Epoch value) {
    append_little32(bytes_, value.generation);
    number(value.index);
  }
  void uuid(const Uuid& value) {
    number(value.high);
    number(value.low);
  }
  Bytes seal() {
    append_little64(bytes_, hash64(bytes_));
    return std::move(bytes_);
  }

 private:
  Bytes bytes_;
};

// Reads a record, in the order in which it was written. After an error every field is zero;
// finish() returns the error.
class RecordReader {
 public:
  RecordReader(BytesView bytes, uint8_t format) {
    ok_ =
        bytes.size() >= 9 && static_cast<uint8_t>(bytes[0]) == format &&
        hash64(bytes.substr(0, bytes.size() - 8)) == read_little64(bytes.substr(bytes.size() - 8));
    if (ok_) rest_ = bytes.substr(1, bytes.size() - 9);
  }

  uint64_t number() { return has(8) ? read_little64(cut(8)) : 0; }
  BytesView text() {
    const size_t size = has(4) ? read_little32(cut(4)) : 0;
    return has(size) ? cut(size) : BytesView{};
  }
  Epoch epoch() {
    const uint32_t generation = has(4) ? read_little32(cut(4)) : 0;
    return {generation, number()};
  }
  Uuid uuid() {
    const uint64_t high = number();
    return {high, number()};
  }
  // The number of items that follow. Each has at least `item_size` bytes, so a false number cannot
  // make the reader reserve much memory.
  uint64_t count(size_t item_size) {
    const uint64_t count = number();
    if (count > rest_.size() / item_size) ok_ = false;
    return ok_ ? count : 0;
  }
  Result<void> finish(const char* what) const {
    if (ok_ && rest_.empty()) return {};
    return fail(Code::corrupt, std::string("a damaged record: ") + what);
  }

 private:
  bool has(size_t size) {
    ok_ = ok_ && rest_.size() >= size;
    return ok_;
  }
  BytesView cut(size_t size) {
    const BytesView front = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return front;
  }

  BytesView rest_;
  bool ok_ = false;
};

// Parts of keys. They sort like their values.
inline void append_key(Bytes& key, const Uuid& id) {
  append_big64(key, id.high);
  append_big64(key, id.low);
}
inline void append_key(Bytes& key, Epoch epoch) {
  append_big64(key, epoch.generation);
  append_big64(key, epoch.index);
}

}  // namespace databridge::flow
