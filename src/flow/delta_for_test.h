// For tests and fuzzers: writes a delta again from what a reader sees of it.
#pragma once

#include "base/check.h"
#include "flow/delta.h"

namespace databridge::flow {

class Rewriter {
 public:
  Rewriter(const DeltaView& delta, BytesView bytes)
      : bytes_(bytes), own_(content_of(delta.head.lsn)), writer_(delta.head, bytes.size()) {
    for (const Op& op : delta.ops) std::visit([&](const auto& each) { add(each); }, op);
  }
  Bytes finish() { return writer_.finish().value(); }

 private:
  void add(const Fence& op) { writer_.fence(op); }
  void add(const Consume& op) { writer_.consume(op); }
  void add(const Delivered& op) { writer_.delivered(op); }
  void add(const Erase& op) { writer_.erase(op); }
  void add(const Enqueue& op) {
    writer_.enqueue(op.connection, op.origin, op.first);
    add(op.files);
  }
  void add(const Emit& op) {
    writer_.emit(op.connection, op.first);
    add(op.files);
  }
  void add(const SetState& op) {
    // A content that stands earlier ends at or before `behind_`.
    if (op.content.id == own_ && op.content.offset >= behind_) {
      writer_.state(bytes_.substr(op.content.offset, op.content.length));
      behind_ = op.content.offset + size_t{op.content.length};
    } else {
      writer_.state(op.content);
    }
  }
  void add(const Files& files) {
    const auto views = read_files(bytes_, files.offset, 0, files.count);
    CHECK(views.has_value());
    uint64_t sum = 0;
    for (const FileView& file : *views) {
      sum += file.size();
      behind_ =
          static_cast<size_t>(file.attributes.data() + file.attributes.size() - bytes_.data());
      if (file.content.id == own_ && file.content.offset == behind_) {
        writer_.file(file.id, attributes_of(file), bytes_.substr(behind_, file.content.length));
        behind_ += file.content.length;
      } else {
        writer_.file(file.id, attributes_of(file), file.content);
      }
    }
    CHECK(sum == files.bytes);
  }

  BytesView bytes_;
  size_t behind_ = 0;  // Behind the last file or content.
  ContentId own_;
  DeltaWriter writer_;
};

}  // namespace databridge::flow
