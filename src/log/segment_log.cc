#include "log/segment_log.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"

namespace databridge::log {
namespace {

// The first record of each file: the older files that are needed, and where each of them ends.
constexpr uint8_t kList = 0;
constexpr size_t kListedBytes = 32;

struct Listed {
  FileId file = 0;
  uint64_t end = 0;
  uint64_t last = 0;
  uint64_t last_hash = 0;
};

void append(Bytes& to, const Listed& listed) {
  append_little64(to, listed.file);
  append_little64(to, listed.end);
  append_little64(to, listed.last);
  append_little64(to, listed.last_hash);
}

std::optional<std::vector<Listed>> decode_list(BytesView bytes) {
  if (bytes.size() % kListedBytes != 0) return std::nullopt;
  std::vector<Listed> list;
  for (; !bytes.empty(); bytes.remove_prefix(kListedBytes)) {
    list.push_back({read_little64(bytes), read_little64(bytes.substr(8)),
                    read_little64(bytes.substr(16)), read_little64(bytes.substr(24))});
  }
  return list;
}

std::string in_file(FileId file, env::SegmentFiles::Slot slot, uint64_t offset) {
  return " in file " + std::to_string(file) + " of the segment log (" + std::to_string(slot) +
         ".segment), at byte " + std::to_string(offset) + ",";
}

}  // namespace

// ---- What is there at the start

class SegmentLog::Recovery {
 public:
  // `durable`: a block that is known to have been durable.
  Recovery(SegmentLog& log, uint64_t durable, const Visit& visit)
      : log_(log), durable_(durable), visit_(visit) {}

  Result<void> run();

 private:
  // A walk over the blocks of a file, from the first one.
  struct Walk {
    File file;
    std::optional<uint64_t> previous;  // The hash of the block before, if it is known.
    uint64_t next = 0;                 // The number of the next block.
  };

  Result<void> find_heads();
  Result<void> find_newest();
  Result<void> check_headless() const;
  Result<void> drop_beginnings();
  Result<Bytes> load(Slot slot) const {
    return log_.files_.read(slot, 0, log_.options_.file_bytes);
  }
  // The next block of the walk, or nothing if there is none that is whole.
  std::optional<Block> next_block(BytesView bytes, FileId id, const Walk& walk) const;
  Result<void> take(const Block& block, FileId id, Walk& walk) const;
  Result<void> read_older(const Listed& listed);
  Result<void> read_newest();
  Result<void> settle_end();
  bool shows_loss(BytesView bytes, FileId id, uint64_t from, uint64_t number) const;

  SegmentLog& log_;
  const uint64_t durable_;
  const Visit& visit_;
  std::map<FileId, std::pair<Slot, FileHead>> heads_;
  std::vector<Slot> headless_;         // Their heads are not whole.
  std::vector<Slot> torn_beginnings_;  // Files that were begun and never durable.
  FileId newest_ = 0;                  // 0: there is none.
  Bytes newest_bytes_;
  // In the newest file: where the blocks begin that are not known to have been durable.
  uint64_t uncertain_from_ = 0;
  std::vector<Listed> list_;
};

Result<void> SegmentLog::Recovery::find_heads() {
  const auto slots = log_.files_.list();
  if (!slots) return tl::make_unexpected(slots.error());
  for (const Slot slot : *slots) {
    log_.slots_.insert(slot);
    const auto bytes = log_.files_.read(slot, 0, kFileHeadBytes);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto head = decode_file_head(*bytes, log_.options_.secret);
    if (head && heads_.try_emplace(head->file, slot, *head).second) continue;
    headless_.push_back(slot);
    log_.spares_.push_back(slot);
  }
  return {};
}

// A file whose list is not whole was begun and never durable, unless a later block in it says that
// it was.
Result<void> SegmentLog::Recovery::find_newest() {
  while (!heads_.empty()) {
    const auto [id, found] = *heads_.rbegin();
    auto bytes = load(found.first);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto block =
        bytes->size() < kFileHeadBytes
            ? std::nullopt
            : decode_block(BytesView(*bytes).substr(kFileHeadBytes), id, log_.options_.secret);
    if (block && block->head.number == found.second.first && block->parts.size() == 1 &&
        block->parts[0].kind == kList) {
      if (auto list = decode_list(block->parts[0].bytes)) {
        newest_ = id;
        newest_bytes_ = std::move(*bytes);
        list_ = std::move(*list);
        return {};
      }
    }
    if (shows_loss(*bytes, id, kFileHeadBytes, found.second.first)) {
      return fail(Code::corrupt, "the list" + in_file(id, found.first, kFileHeadBytes) +
                                     " was durable and is damaged");
    }
    torn_beginnings_.push_back(found.first);
    heads_.erase(id);
  }
  return {};
}

// A file without a head may have been the newest one. Then its later blocks say so. The id and the
// number of its first block stand in that block, too.
Result<void> SegmentLog::Recovery::check_headless() const {
  for (const Slot slot : headless_) {
    const auto bytes = load(slot);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto head =
        peek_block_head(BytesView(*bytes).substr(std::min<size_t>(bytes->size(), kFileHeadBytes)),
                        log_.options_.secret);
    if (!head || head->file <= newest_) continue;
    if (shows_loss(*bytes, head->file, kFileHeadBytes, head->number)) {
      return fail(Code::corrupt,
                  "the head" + in_file(head->file, slot, 0) + " was durable and is damaged");
    }
  }
  return {};
}

// A later use of the slot may write the bytes that the list lacks, and a crash may bring back the
// head: the file would be the newest, and hide what was written to others meanwhile.
Result<void> SegmentLog::Recovery::drop_beginnings() {
  for (const Slot slot : torn_beginnings_) {
    auto written = log_.files_.write(slot, 0, Bytes(kFileHeadBytes, '\0'));
    if (!written) return written;
    if (auto synced = log_.files_.sync(slot); !synced) return synced;
    log_.spares_.push_back(slot);
  }
  return {};
}

std::optional<Block> SegmentLog::Recovery::next_block(BytesView bytes, FileId id,
                                                      const Walk& walk) const {
  if (walk.file.end >= bytes.size()) return std::nullopt;
  auto block = decode_block(bytes.substr(walk.file.end), id, log_.options_.secret);
  if (!block || block->head.number != walk.next) return std::nullopt;
  if (walk.previous && block->head.previous != *walk.previous) return std::nullopt;
  return block;
}

Result<void> SegmentLog::Recovery::take(const Block& block, FileId id, Walk& walk) const {
  for (const Block::Part& part : block.parts) {
    if (part.kind == kList) continue;
    const Position at{id, walk.file.slot, static_cast<uint32_t>(walk.file.end + part.offset),
                      static_cast<uint32_t>(part.bytes.size())};
    if (auto taken = visit_(part.kind, at, part.bytes); !taken) return taken;
  }
  walk.file.end += block.length;
  walk.file.last = block.head.number;
  walk.file.last_hash = block.hash;
  walk.previous = block.hash;
  walk.next = block.head.number + 1;
  return {};
}

// Every block of it was durable before the next file was begun.
Result<void> SegmentLog::Recovery::read_older(const Listed& listed) {
  const auto head = heads_.find(listed.file);
  if (head == heads_.end()) {
    return fail(Code::corrupt, "file " + std::to_string(listed.file) +
                                   " of the segment log is needed and is missing or damaged");
  }
  const Slot slot = head->second.first;
  const auto bytes = load(slot);
  if (!bytes) return tl::make_unexpected(bytes.error());
  Walk walk{{slot, kFileHeadBytes, 0, 0}, std::nullopt, head->second.second.first};
  while (walk.file.end < listed.end) {
    const auto block = next_block(*bytes, listed.file, walk);
    if (!block) {
      return fail(Code::corrupt, "block " + std::to_string(walk.next) +
                                     in_file(listed.file, slot, walk.file.end) +
                                     " was durable and is damaged");
    }
    if (auto taken = take(*block, listed.file, walk); !taken) return taken;
  }
  if (walk.file.last != listed.last || walk.file.last_hash != listed.last_hash) {
    return fail(Code::corrupt, "file " + std::to_string(listed.file) +
                                   " of the segment log has other blocks than it had");
  }
  log_.needed_[listed.file] = walk.file;
  return {};
}

// A block behind the damaged one may tell that the damaged one was durable.
bool SegmentLog::Recovery::shows_loss(BytesView bytes, FileId id, uint64_t from,
                                      uint64_t number) const {
  for (uint64_t at = from; at + kBlockHeadBytes <= bytes.size(); at += 8) {
    const auto block = decode_block(bytes.substr(at), id, log_.options_.secret);
    if (block && block->head.number > number && block->head.durable >= number) return true;
  }
  return false;
}

Result<void> SegmentLog::Recovery::read_newest() {
  const auto& [slot, head] = heads_.at(newest_);
  Walk walk{{slot, kFileHeadBytes, 0, 0}, std::nullopt, head.first};
  for (const Listed& listed : list_) {
    if (listed.last + 1 == head.first) walk.previous = listed.last_hash;
  }
  while (const auto block = next_block(newest_bytes_, newest_, walk)) {
    if (block->head.number <= durable_) uncertain_from_ = walk.file.end + block->length;
    if (auto taken = take(*block, newest_, walk); !taken) return taken;
  }
  if (walk.next == head.first) {
    return fail(Code::corrupt, "file " + std::to_string(newest_) +
                                   " of the segment log does not follow the files that it lists");
  }
  if (shows_loss(newest_bytes_, newest_, walk.file.end, walk.next)) {
    return fail(Code::corrupt, "block " + std::to_string(walk.next) +
                                   in_file(newest_, slot, walk.file.end) +
                                   " was durable and is damaged");
  }
  log_.newest_id_ = newest_;
  log_.newest_ = walk.file;
  return {};
}

// What was read from the newest file is durable afterwards. After a sync that has failed, the
// system may show bytes that are not on the disk, and take them for written: so they are written
// again.
//
// The head of a torn block becomes zeros: later blocks may have the bytes that it lacks, and a
// crash may bring back the others. It would be whole then.
Result<void> SegmentLog::Recovery::settle_end() {
  const auto& [slot, end, last, hash] = log_.newest_;
  Bytes bytes = newest_bytes_.substr(uncertain_from_, end - uncertain_from_);
  const BytesView rest = BytesView(newest_bytes_).substr(end, kBlockHeadBytes);
  if (rest.find_first_not_of('\0') != BytesView::npos) bytes.append(rest.size(), '\0');
  if (!bytes.empty()) {
    if (auto written = log_.files_.write(slot, uncertain_from_, bytes); !written) return written;
  }
  return log_.files_.sync(slot);
}

// All is judged before anything is changed: what is refused stays as it is.
Result<void> SegmentLog::Recovery::run() {
  if (auto found = find_heads(); !found) return found;
  if (auto found = find_newest(); !found) return found;
  if (auto checked = check_headless(); !checked) return checked;
  if (newest_ != 0) {
    for (const Listed& listed : list_) {
      if (auto read = read_older(listed); !read) return read;
    }
    if (auto read = read_newest(); !read) return read;
  }
  if (log_.newest_.last < durable_) {
    return fail(Code::corrupt, "the segment log ends with block " +
                                   std::to_string(log_.newest_.last) + ", and block " +
                                   std::to_string(durable_) + " was durable");
  }
  if (auto dropped = drop_beginnings(); !dropped) return dropped;
  if (newest_ != 0) {
    if (auto settled = settle_end(); !settled) return settled;
  }
  log_.durable_ = log_.newest_.last;
  if (newest_ != 0) log_.needed_[newest_] = log_.newest_;
  for (const auto& [id, found] : heads_) {
    if (!log_.needed_.contains(id)) log_.spares_.push_back(found.first);
  }
  return {};
}

Result<std::unique_ptr<SegmentLog>> SegmentLog::open(env::SegmentFiles& files, Options options,
                                                     uint64_t durable, const Visit& visit) {
  std::unique_ptr<SegmentLog> log(new SegmentLog(files, options));
  if (auto read = Recovery(*log, durable, visit).run(); !read) {
    return tl::make_unexpected(read.error());
  }
  return log;
}

// ---- Writing

Result<std::vector<Position>> SegmentLog::write(const std::vector<Record>& records) {
  if (failed_) return fail(Code::io, "a write of the segment log has failed before");
  for (const Record& record : records) CHECK(record.kind != kList);
  const uint64_t bytes = block_bytes(records);
  if (bytes > block_bytes_max()) {
    return fail(Code::invalid, "a block of " + std::to_string(bytes) +
                                   " bytes is larger than half of a file of the segment log");
  }
  if (newest_id_ == 0 || newest_.end + bytes > options_.file_bytes) {
    if (auto begun = begin_file(); !begun) {
      failed_ = true;
      return tl::make_unexpected(begun.error());
    }
  }
  auto written = write_block(records);
  failed_ = !written;
  return written;
}

Result<std::vector<Position>> SegmentLog::write_block(const std::vector<Record>& records) {
  const bool is_first = newest_.end == 0;
  Bytes bytes;
  if (is_first) bytes = encode(FileHead{newest_id_, newest_.last + 1}, options_.secret);
  const BlockHead head{options_.start, newest_id_, newest_.last + 1, newest_.last_hash, durable_};
  std::vector<Position> positions;
  uint64_t at = newest_.end + bytes.size() + kBlockHeadBytes;
  for (const Record& record : records) {
    positions.push_back({newest_id_, newest_.slot, static_cast<uint32_t>(at),
                         static_cast<uint32_t>(record.bytes.size())});
    at += kRecordHeadBytes + record.bytes.size();
  }
  uint64_t hash = 0;
  append_block(bytes, head, records, options_.secret, hash);
  if (auto written = files_.write(newest_.slot, newest_.end, bytes); !written) {
    return tl::make_unexpected(written.error());
  }
  newest_.end += bytes.size();
  newest_.last = head.number;
  newest_.last_hash = hash;
  needed_[newest_id_] = newest_;
  return positions;
}

// The older files are durable before the new one can be read, so damage in them is always a loss.
Result<void> SegmentLog::begin_file() {
  if (newest_id_ != 0) {
    if (auto synced = sync(); !synced) return synced;
  }
  const auto slot = free_slot();
  if (!slot) return tl::make_unexpected(slot.error());
  Bytes list;
  for (const auto& [id, file] : needed_) append(list, {id, file.end, file.last, file.last_hash});
  if (block_bytes({{kList, list}}) > block_bytes_max()) {
    return fail(Code::unprocessable, "the segment log has " +
                                         std::to_string(list.size() / kListedBytes) +
                                         " files, and no more are possible");
  }
  unlisted_.insert(unlisted_.end(), forgotten_.begin(), forgotten_.end());
  forgotten_.clear();
  // A file that was begun and lost before may have the next number, but not of this start.
  newest_id_ = std::max(newest_id_ + 1, FileId{options_.start} << 32);
  newest_ = {*slot, 0, newest_.last, newest_.last_hash};
  const auto written = write_block({{kList, list}});
  if (!written) return tl::make_unexpected(written.error());
  return {};
}

Result<SegmentLog::Slot> SegmentLog::free_slot() {
  if (!spares_.empty()) {
    const Slot slot = spares_.back();
    spares_.pop_back();
    return slot;
  }
  Slot slot = 0;
  while (slots_.contains(slot)) ++slot;
  if (auto made = files_.make(slot); !made) return tl::make_unexpected(made.error());
  slots_.insert(slot);
  return slot;
}

Result<void> SegmentLog::sync() {
  if (failed_) return fail(Code::io, "a write of the segment log has failed before");
  if (durable_ == newest_.last) return {};
  const uint64_t written = newest_.last;
  if (auto synced = files_.sync(newest_.slot); !synced) {
    failed_ = true;
    return synced;
  }
  durable_ = written;
  auto released = release_unlisted();
  failed_ = !released;
  return released;
}

Result<void> SegmentLog::release_unlisted() {
  spares_.insert(spares_.end(), unlisted_.begin(), unlisted_.end());
  unlisted_.clear();
  while (spares_.size() > options_.spares_max) {
    const Slot slot = spares_.back();
    if (auto removed = files_.remove(slot); !removed) return removed;
    spares_.pop_back();
    slots_.erase(slot);
  }
  return {};
}

// ---- Reading, and what is not needed

Result<Bytes> SegmentLog::read(const Position& at) const {
  auto bytes = files_.read(at.slot, at.offset, kRecordHeadBytes + size_t{at.length});
  if (!bytes && bytes.error().code != Code::not_found) return bytes;
  const auto record = bytes ? decode_record(*bytes, at, options_.secret) : std::nullopt;
  if (!record) {
    return fail(Code::corrupt,
                "a record" + in_file(at.file, at.slot, at.offset) + " is damaged or was forgotten");
  }
  return Bytes(*record);
}

void SegmentLog::forget(FileId file) {
  if (file == newest_id_) return;
  const auto found = needed_.find(file);
  if (found == needed_.end()) return;
  forgotten_.push_back(found->second.slot);
  needed_.erase(found);
}

std::vector<FileId> SegmentLog::files() const {
  std::vector<FileId> ids;
  for (const auto& [id, file] : needed_) ids.push_back(id);
  return ids;
}

}  // namespace databridge::log
