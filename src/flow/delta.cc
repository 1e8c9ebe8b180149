#include "flow/delta.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "flow/flat.h"

namespace databridge::flow {
namespace {

constexpr uint32_t kDeltaFormat = 1;
constexpr size_t kOpsAt = 4;
constexpr size_t kLsnAt = 24;
constexpr size_t kHeadBytes = 84;
constexpr size_t kContentBytes = 28;
constexpr size_t kRangeBytes = 20;
enum Kind : uint32_t {
  kFence = 1,
  kEnqueue = 2,
  kConsume = 3,
  kEmit = 4,
  kDelivered = 5,
  kState = 6,
  kErase = 7,
};

void set_little32(Bytes& bytes, size_t at, uint32_t value) {
  Bytes number;
  append_little32(number, value);
  bytes.replace(at, number.size(), number);
}

void append(Bytes& to, const Content& content) {
  append_flat(to, content.id.epoch);
  append_little64(to, content.id.counter);
  append_little32(to, content.offset);
  append_little32(to, content.length);
}

ContentId content_id(FlatReader& from) {
  const Epoch epoch = from.epoch();
  return {epoch, from.number64()};
}

// Reads the fields of a content, without its bytes.
Content content_fields(FlatReader& from) {
  Content content;
  content.id = content_id(from);
  content.offset = from.number32();
  content.length = from.number32();
  return content;
}

// The delta that is read.
struct Reading {
  Lsn lsn;
  // The offset and length of each content that stands in it, as far as it was read. nullopt: only a
  // part is read, of a delta that was checked before.
  std::optional<std::vector<std::pair<uint32_t, uint32_t>>> contents;

  bool is_own(const ContentId& id) const { return id == content_of(lsn); }
  bool knows(const Content& content) const {
    return !contents ||
           std::ranges::binary_search(*contents, std::pair(content.offset, content.length));
  }
};

// The reader stands where the content would be if it stands in this delta. Checks where it is, and
// skips it if it is here.
void skip_content(FlatReader& from, const Content& content, Reading& reading, uint32_t large_max) {
  if (reading.is_own(content.id) && content.offset == from.at()) {
    from.refuse_if(content.length > kContentInDeltaMax, "a content is too large for a delta");
    if (reading.contents) reading.contents->emplace_back(content.offset, content.length);
    from.cut(content.length);
    return;
  }
  from.refuse_if(content.length == 0, "an empty content stands elsewhere");
  from.refuse_if(!content.id.epoch, "a content has no epoch");
  if (content.id.is_large()) {
    from.refuse_if(content.offset != 0 || content.length > large_max,
                   "a large content with an offset, or above the limit");
  } else if (reading.is_own(content.id)) {
    from.refuse_if(!reading.knows(content), "a content is named that the delta does not have");
  } else {
    const Lsn& lsn = reading.lsn;
    const bool later = content.id.epoch == lsn.epoch && content.id.counter > lsn.sequence;
    from.refuse_if(content.id.counter == 0 || later, "a content is named that is not written yet");
    from.refuse_if(content.length > kContentInDeltaMax || content.offset < kHeadBytes ||
                       content.offset > kDeltaMax - content.length,
                   "a content lies outside its delta");
  }
}

// Checks that names ascend and that the lengths add up.
void check_attributes(FlatReader& from, BytesView attributes) {
  FlatReader parts(attributes);
  BytesView before;
  for (bool first = true; parts.left() > 0 && parts.ok(); first = false) {
    const BytesView name = parts.cut(parts.number32());
    parts.cut(parts.number32());
    from.refuse_if(!first && name <= before, "the names of attributes do not ascend");
    before = name;
  }
  from.refuse_if(!parts.ok(), "the lengths of attributes do not add up");
}

FileView file_view(FlatReader& from, Reading& reading) {
  FileView file;
  file.id = from.uuid();
  file.content = content_fields(from);
  file.attributes = from.cut(from.number32());
  check_attributes(from, file.attributes);
  skip_content(from, file.content, reading, kLargeContentMax);
  file.end = static_cast<uint32_t>(from.at());
  return file;
}

Files files(FlatReader& from, Reading& reading) {
  Files files;
  files.count = from.count(kFileBytes);
  from.refuse_if(files.count == 0, "an operation has no files");
  files.offset = static_cast<uint32_t>(from.at());
  for (uint32_t i = 0; i < files.count && from.ok(); ++i) {
    const FileView file = file_view(from, reading);
    files.bytes += file.size();
    const ContentId& id = file.content.id;
    if (reading.is_own(id) || (!files.elsewhere.empty() && files.elsewhere.back() == id)) continue;
    files.elsewhere.push_back(id);
  }
  std::ranges::sort(files.elsewhere);
  files.elsewhere.erase(std::unique(files.elsewhere.begin(), files.elsewhere.end()),
                        files.elsewhere.end());
  files.elsewhere.shrink_to_fit();
  return files;
}

Uuid connection(FlatReader& from) {
  const Uuid id = from.uuid();
  from.refuse_if(id.empty(), "an operation names no connection");
  return id;
}
Epoch some_epoch(FlatReader& from) {
  const Epoch epoch = from.epoch();
  from.refuse_if(!epoch, "an operation names no epoch");
  return epoch;
}
uint64_t some_number(FlatReader& from) {
  const uint64_t number = from.number64();
  from.refuse_if(number == 0 || number >= kNumberMax, "a sequence or arrival is out of range");
  return number;
}

Consume consume(FlatReader& from) {
  Consume op;
  op.connection = connection(from);
  op.ranges.resize(from.count(kRangeBytes));
  from.refuse_if(op.ranges.empty(), "an operation has no ranges");
  uint64_t behind = 0;
  for (Consume::Range& range : op.ranges) {
    range.first = some_number(from);
    range.count = from.number32();
    range.bytes = from.number64();
    from.refuse_if(range.count == 0, "a range is empty");
    from.refuse_if(range.first < behind, "ranges do not ascend");
    behind = range.first + range.count;
  }
  return op;
}

Op operation(FlatReader& from, Reading& reading) {
  const uint32_t kind = from.number32();
  if (kind == kFence) {
    Fence op{connection(from), {}, {}};
    op.epoch = some_epoch(from);
    op.floor = from.epoch();
    from.refuse_if(op.floor > op.epoch, "a floor is above its fence");
    return op;
  }
  if (kind == kEnqueue) {
    Enqueue op{connection(from), {}, 0, {}};
    op.origin = some_epoch(from);
    op.first = some_number(from);
    op.files = files(from, reading);
    from.refuse_if(op.first + op.files.count > kNumberMax, "sequences are used up");
    return op;
  }
  if (kind == kConsume) return consume(from);
  if (kind == kEmit) {
    Emit op{connection(from), 0, {}};
    op.first = some_number(from);
    op.files = files(from, reading);
    from.refuse_if(op.first + op.files.count > kNumberMax, "sequences are used up");
    return op;
  }
  if (kind == kDelivered) {
    Delivered op{connection(from), {}, 0, 0};
    op.origin = some_epoch(from);
    op.upto = some_number(from);
    op.bytes = from.number64();
    return op;
  }
  if (kind == kErase) return Erase{connection(from)};
  from.refuse_if(kind != kState, "an operation of an unknown kind");
  SetState op{content_fields(from)};
  skip_content(from, op.content, reading, kPartitionStateMax);
  return op;
}

}  // namespace

uint64_t FileView::size() const { return kFileBytes + attributes.size() + content.length; }

Attributes attributes_of(const FileView& file) {
  Attributes attributes;
  FlatReader from(file.attributes);
  while (from.left() > 0 && from.ok()) {
    const BytesView name = from.cut(from.number32());
    attributes.emplace_hint(attributes.end(), name, from.cut(from.number32()));
  }
  return attributes;
}

bool follows(const Lsn& lsn, const Lsn& previous) {
  return lsn.epoch == previous.epoch ? lsn.sequence == previous.sequence + 1
                                     : lsn.epoch > previous.epoch && lsn.sequence == 1;
}

Result<DeltaView> decode_delta(BytesView bytes) {
  FlatReader from(bytes);
  from.refuse_if(bytes.size() > kDeltaMax, "it is too long");
  from.refuse_if(from.number32() != kDeltaFormat, "its format is unknown");
  const uint32_t ops = from.count(sizeof(uint32_t));
  DeltaView delta;
  DeltaHead& head = delta.head;
  head = {from.uuid(), from.lsn(), from.lsn(), from.lsn()};
  from.refuse_if(head.processor.empty(), "it names no processor");
  from.refuse_if(!head.lsn.epoch || head.lsn.sequence >= kNumberMax, "its place is out of range");
  from.refuse_if(!follows(head.lsn, head.previous), "its place does not follow the one before");
  from.refuse_if(head.safe > head.previous, "it names a later delta as safe");
  Reading reading{head.lsn, {{}}};
  for (uint32_t i = 0; i < ops && from.ok(); ++i) delta.ops.push_back(operation(from, reading));
  if (auto whole = from.finish("a delta"); !whole) return tl::make_unexpected(whole.error());
  return delta;
}

Result<std::vector<FileView>> read_files(BytesView delta, uint32_t offset, uint32_t first,
                                         uint32_t count) {
  Reading reading{FlatReader(delta, kLsnAt).lsn(), std::nullopt};
  FlatReader from(delta, offset);
  from.refuse_if(offset < kHeadBytes, "files begin in its head");
  from.refuse_if((uint64_t{first} + count) * kFileBytes > from.left(), "there are fewer files");
  std::vector<FileView> files;
  files.reserve(from.ok() ? count : 0);
  for (uint32_t i = 0; from.ok() && i < first + count; ++i) {
    const FileView file = file_view(from, reading);
    if (i >= first) files.push_back(file);
  }
  from.cut(from.left());  // Other operations follow.
  if (auto whole = from.finish("files in a delta"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return files;
}

// ---- Writing

DeltaWriter::DeltaWriter(const DeltaHead& head, size_t size) : lsn_(head.lsn) {
  CHECK(follows(head.lsn, head.previous) && head.safe <= head.previous);
  bytes_.reserve(size);
  append_little32(bytes_, kDeltaFormat);
  append_little32(bytes_, 0);  // The number of operations; finish() sets it.
  append_flat(bytes_, head.processor);
  append_flat(bytes_, head.lsn);
  append_flat(bytes_, head.previous);
  append_flat(bytes_, head.safe);
  CHECK(bytes_.size() == kHeadBytes);
}

void DeltaWriter::begin(uint32_t kind) {
  end_files();
  ++ops_;
  append_little32(bytes_, kind);
}

void DeltaWriter::fence(const Fence& op) {
  begin(kFence);
  append_flat(bytes_, op.connection);
  append_flat(bytes_, op.epoch);
  append_flat(bytes_, op.floor);
}

void DeltaWriter::consume(const Consume& op) {
  begin(kConsume);
  append_flat(bytes_, op.connection);
  append_little32(bytes_, static_cast<uint32_t>(op.ranges.size()));
  for (const Consume::Range& range : op.ranges) {
    append_little64(bytes_, range.first);
    append_little32(bytes_, range.count);
    append_little64(bytes_, range.bytes);
  }
}

void DeltaWriter::delivered(const Delivered& op) {
  begin(kDelivered);
  append_flat(bytes_, op.connection);
  append_flat(bytes_, op.origin);
  append_little64(bytes_, op.upto);
  append_little64(bytes_, op.bytes);
}

void DeltaWriter::erase(const Erase& op) {
  begin(kErase);
  append_flat(bytes_, op.connection);
}

void DeltaWriter::enqueue(const Uuid& connection, Epoch origin, uint64_t first) {
  begin(kEnqueue);
  append_flat(bytes_, connection);
  append_flat(bytes_, origin);
  append_little64(bytes_, first);
  begin_files();
}

void DeltaWriter::emit(const Uuid& connection, uint64_t first) {
  begin(kEmit);
  append_flat(bytes_, connection);
  append_little64(bytes_, first);
  begin_files();
}

void DeltaWriter::begin_files() {
  count_at_ = bytes_.size();
  append_little32(bytes_, 0);  // end_files() sets it.
}

void DeltaWriter::end_files() {
  if (count_at_ == 0) return;
  CHECK(files_ > 0);
  set_little32(bytes_, std::exchange(count_at_, 0), std::exchange(files_, 0));
}

bool DeltaWriter::fits(size_t length) const {
  return length <= kContentInDeltaMax && contents_ + length <= kContentsInDeltaMax;
}

Content DeltaWriter::here(size_t behind, BytesView content) const {
  CHECK(fits(content.size()));
  return {content_of(lsn_), static_cast<uint32_t>(bytes_.size() + behind),
          static_cast<uint32_t>(content.size())};
}

Content DeltaWriter::file(const Uuid& id, const Attributes& attributes, BytesView content) {
  size_t length = 0;
  for (const auto& [name, value] : attributes) length += 8 + name.size() + value.size();
  const Content at = here(kFileBytes + length, content);
  entry(id, attributes, length, at);
  put(content);
  return at;
}

void DeltaWriter::file(const Uuid& id, const Attributes& attributes, const Content& content) {
  CHECK(content.length > 0);
  size_t length = 0;
  for (const auto& [name, value] : attributes) length += 8 + name.size() + value.size();
  entry(id, attributes, length, content);
}

void DeltaWriter::entry(const Uuid& id, const Attributes& attributes, size_t length,
                        const Content& content) {
  CHECK(count_at_ > 0);
  ++files_;
  append_flat(bytes_, id);
  append(bytes_, content);
  append_little32(bytes_, static_cast<uint32_t>(length));
  for (const auto& [name, value] : attributes) {
    append_little32(bytes_, static_cast<uint32_t>(name.size()));
    bytes_.append(name);
    append_little32(bytes_, static_cast<uint32_t>(value.size()));
    bytes_.append(value);
  }
}

void DeltaWriter::put(BytesView content) {
  contents_ += content.size();
  bytes_.append(content);
}

Content DeltaWriter::state(BytesView content) {
  begin(kState);
  const Content at = here(kContentBytes, content);
  append(bytes_, at);
  put(content);
  return at;
}

void DeltaWriter::state(const Content& content) {
  CHECK(content.length > 0);
  begin(kState);
  append(bytes_, content);
}

Result<Bytes> DeltaWriter::finish() {
  end_files();
  if (bytes_.size() > kDeltaMax) {
    return fail(Code::too_large, "the changes of one trigger have " +
                                     std::to_string(bytes_.size()) + " bytes: at most " +
                                     std::to_string(kDeltaMax));
  }
  set_little32(bytes_, kOpsAt, ops_);
  return std::move(bytes_);
}

}  // namespace databridge::flow
