#include "flow/processors/tail_reader.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "flow/session.h"

namespace databridge::flow {
namespace {

constexpr size_t kChunk = 1 << 20;    // The longest line that stays whole.
constexpr size_t kAhead = 256 << 10;  // The least that one read asks for.
constexpr size_t kEnough = 64 << 10;  // With this many bytes in the buffer, nothing is read.
constexpr uint64_t kScanMax = 64 << 20;
// A run of at least this many zeros is no text, wherever it is.
constexpr size_t kGapMin = 512;

// Where a run of at least kGapMin zeros begins, or npos.
size_t find_gap(BytesView text) {
  for (size_t from = text.find('\0'); from != BytesView::npos; from = text.find('\0', from)) {
    const size_t end = std::min(text.find_first_not_of('\0', from), text.size());
    if (end - from >= kGapMin) return from;
    from = end;
  }
  return BytesView::npos;
}

// Where text begins again after zeros, or nothing if no text follows yet: a program may have filled
// the space with zeros to write text there later.
Result<std::optional<uint64_t>> scan(env::OpenFile& file, Gap& gap, uint64_t from, uint64_t size) {
  uint64_t at = gap.from == from && gap.to > from ? gap.to : from;
  const uint64_t end = std::min(size, at + kScanMax);
  while (at < end) {
    const auto data = file.data_after(at);
    if (!data) return tl::make_unexpected(data.error());
    if (*data >= size) return std::nullopt;
    const auto bytes = file.read(*data, kAhead);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const size_t text = bytes->find_first_not_of('\0');
    if (text != std::string::npos) return *data + text;
    if (bytes->empty()) return std::nullopt;
    at = *data + bytes->size();
    gap = {from, at};
  }
  return std::nullopt;
}

}  // namespace

// All reads come before the first flow file: after a failed read it could not be taken back.
Result<uint64_t> TailReader::read(Session& session, World& world, Place& place, env::OpenFile& file,
                                  Gap& gap, uint64_t size, bool ends, TailBudget& budget,
                                  const std::function<void()>& emptied) {
  auto before = bytes_before(place.offset, file);
  if (!before) return tl::make_unexpected(before.error());
  if (place.offset > 0 && hash64(*before) != place.check) {
    emptied();
    before->clear();
  }
  auto head = head_of(place, file, size);
  if (!head) return tl::make_unexpected(head.error());
  Place next = place;  // It becomes `place` when nothing can fail any more.
  auto text = view(next, file, size, kEnough);
  if (!text) return tl::make_unexpected(text.error());
  uint64_t zeros = 0;
  if (!text->empty() && text->front() == '\0' && !CANARY(holes_are_text)) {
    drop();  // The zeros may be overwritten.
    const auto data = scan(file, gap, place.offset, size);
    if (!data) return tl::make_unexpected(data.error());
    if (!*data) {
      learn(place, *before, {}, *head);
      return 0;
    }
    zeros = **data - place.offset;
    if (place.offset > 0 && zeros < kGapMin) zeros = 0;
    next.offset += zeros;
    before = bytes_before(next.offset, file);
    if (!before) return tl::make_unexpected(before.error());
    text = view(next, file, size, kEnough);
    if (!text) return tl::make_unexpected(text.error());
  }
  auto used = lines_of(session, world, next, file, gap, size, *text, ends, budget);
  const bool more = next.offset + text->size() < size && text->size() < kChunk;
  if (used && *used == 0 && more && budget.left()) {  // A long line.
    text = view(next, file, size, kChunk);
    if (!text) return tl::make_unexpected(text.error());
    used = lines_of(session, world, next, file, gap, size, *text, ends, budget);
  }
  if (!used) return used;
  if (zeros > 0) {
    world.note(std::to_string(zeros) + " zeros in " + place.path +
               " are no text: they are passed over");
  }
  learn(next, *before, text->substr(0, *used), *head);
  if (std::exchange(stale_, false)) drop();
  const uint64_t passed = next.offset - place.offset;
  place = std::move(next);
  return passed;
}

Result<std::string> TailReader::bytes_before(uint64_t offset, env::OpenFile& file) {
  const uint64_t length = std::min(kCheckMax, offset);
  if (length == 0) return std::string();
  return file.read(offset - length, length);
}

// The first bytes of the file, or nothing if the place has enough of them.
Result<std::optional<std::string>> TailReader::head_of(const Place& place, env::OpenFile& file,
                                                       uint64_t size) {
  if (place.head_size >= std::min(kHeadMax, size)) return std::optional<std::string>();
  auto head = file.read(0, kHeadMax);
  if (!head) return tl::make_unexpected(head.error());
  return std::optional<std::string>(std::move(*head));
}

// Moves the place past `read`, with the fingerprints that go with the new offset. `before` is the
// text right before the old offset.
void TailReader::learn(Place& place, std::string before, BytesView read,
                       const std::optional<std::string>& head) {
  place.offset += read.size();
  uint64_t length = std::min(kCheckMax, place.offset);
  before.append(read.substr(read.size() - std::min<size_t>(length, read.size())));
  length = std::min<uint64_t>(length, before.size());  // The file may have been cut short just now.
  if (length > 0) place.check = hash64(BytesView(before).substr(before.size() - length));
  if (!head) return;
  place.head_size = head->size();
  place.head = hash64(*head);
}

Result<BytesView> TailReader::view(const Place& place, env::OpenFile& file, uint64_t size,
                                   size_t least) {
  const uint64_t end = at_ + bytes_.size();
  if (of_ == place.key && at_ <= place.offset && place.offset <= end &&
      (end - place.offset >= least || end >= size)) {
    return BytesView(bytes_).substr(place.offset - at_);
  }
  auto bytes = file.read(place.offset, std::max(least, kAhead));
  if (!bytes) return tl::make_unexpected(bytes.error());
  of_ = place.key;
  at_ = place.offset;
  bytes_ = std::move(*bytes);
  return BytesView(bytes_);
}

Result<uint64_t> TailReader::lines_of(Session& session, World& world, const Place& place,
                                      env::OpenFile& file, Gap& gap, uint64_t size, BytesView text,
                                      bool ends, TailBudget& budget) {
  const size_t zeros = find_gap(text);
  if (zeros == BytesView::npos) return emit(session, world, text, place, ends, budget);
  const auto next = scan(file, gap, place.offset + zeros, size);
  if (!next) return tl::make_unexpected(next.error());
  // If text follows the zeros, the text before them is complete. Otherwise it may still grow.
  const auto used = emit(session, world, text.substr(0, zeros), place, next->has_value(), budget);
  stale_ = true;  // The zeros may be overwritten.
  return used;
}

// Makes flow files of whole lines. Returns how many bytes went into them.
uint64_t TailReader::emit(Session& session, World& world, BytesView text, const Place& place,
                          bool ends, TailBudget& budget) const {
  uint64_t used = 0;
  const std::string name = name_of(place.path);
  const std::string host = world.files.machine();
  while (budget.left() && used < text.size()) {
    size_t end = used;
    uint64_t lines = 0;
    bool partial = false;
    while (lines < budget.lines_each) {
      const size_t newline = text.find('\n', end);
      if (newline != BytesView::npos) {
        end = newline + 1;
        ++lines;
        continue;
      }
      // A line without an end waits for the rest, unless no more comes or the line is too long.
      const bool too_long = used == 0 && end == 0 && text.size() >= kChunk;
      if (end < text.size() && (too_long || (ends && text.size() < kChunk))) {
        end = text.size();
        partial = too_long;
        ++lines;
      }
      break;
    }
    if (end == used) break;
    BytesView content = text.substr(used, end - used);
    if (content.back() == '\n') content.remove_suffix(1);
    FlowFile* made = session.create();
    made->content = std::string(content);
    made->attributes["path"] = place.path;
    made->attributes["filename"] = name;
    made->attributes["tail.offset"] = std::to_string(place.offset + used);
    made->attributes["tail.host"] = host;
    if (partial) made->attributes["tail.partial"] = "true";
    session.transfer(made, "success");
    used = end;
    budget.lines -= std::min(budget.lines, lines);
    --budget.files;
  }
  return used;
}

}  // namespace databridge::flow
