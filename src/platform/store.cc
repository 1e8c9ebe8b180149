#include "platform/store.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "base/time.h"
#include "platform/data_dir.h"
#include "platform/record_log.h"
#include "platform/reserve.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

constexpr std::array<const char*, env::kSpaces> kSpaceNames = {"meta",  "raft_log", "snapshot",
                                                               "queue", "state",    "event"};
// Its key in the default column family, which has no other.
constexpr BytesView kChainKey = "chain";

// Several batches share one sync, up to about this size. Beyond it, the sync costs less than the
// data.
constexpr size_t kMergedBytesMax = 4u << 20;
constexpr auto kMarkSyncEvery = 1s;
constexpr auto kLookEvery =
    1s;  // At the room on the disk, and at whether the mark is to be synced.

// RocksDB's own files need room from the start, and it aborts if there is none.
constexpr uint64_t kRoomMin = 16u << 20;

constexpr const char* kRemedy =
    "this node must not go on with it: move the data directory aside and start again, it then "
    "joins as a new node and gets its state from the others (or restore a whole copy of it)";

Error to_error(const rocksdb::Status& status, const std::string& what) {
  if (status.IsCorruption()) {
    return {Code::corrupt, fmt::format("cannot {}: {}; {}", what, status.ToString(), kRemedy)};
  }
  return {Code::io, fmt::format("cannot {}: {}", what, status.ToString())};
}

size_t records_size(const env::Batch& batch) {
  size_t size = 0;
  for (const auto& record : batch.records) size += record.bytes.size() + env::kRecordBytes;
  return size;
}

// About the size of a batch in bytes.
size_t size_of(const env::Batch& batch) {
  size_t size = 256;
  for (const auto& write : batch.writes) size += write.key.size() + write.value.size() + 16;
  return size + records_size(batch);
}

rocksdb::Slice slice(BytesView bytes) { return {bytes.data(), bytes.size()}; }
BytesView view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Bytes encode_link(const ChainLink& link) {
  Bytes bytes;
  append_little64(bytes, link.sequence);
  append_little64(bytes, link.hash);
  return bytes;
}

rocksdb::DBOptions db_options(bool create) {
  rocksdb::DBOptions options;
  options.create_if_missing = create;
  options.create_missing_column_families = create;
  options.paranoid_checks = true;
  options.track_and_verify_wals_in_manifest = true;
  // Recovery stops at the first damaged record. The chain shows whether an acknowledged write was
  // lost; kAbsoluteConsistency would refuse a torn tail, which may be harmless.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.max_bgerror_resume_count = 0;  // A failed write is final: no retry may hide it.
  options.max_total_wal_size = 32u << 20;
  options.db_write_buffer_size = 8u << 20;
  options.allow_concurrent_memtable_write = false;  // There is one writer.
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = 1u << 20;
  options.keep_log_file_num = 2;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(const std::shared_ptr<rocksdb::Cache>& cache,
                                            bool busy) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // So memory has one bound.
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = busy ? 4u << 20 : 1u << 20;
  options.target_file_size_base = 8u << 20;
  options.max_bytes_for_level_base = 32u << 20;
  options.compression = rocksdb::kNoCompression;
  return options;
}

class RocksStore;

// RocksDB reports a failed flush or compaction only at the next write, and may give up before that.
class Listener : public rocksdb::EventListener {
 public:
  explicit Listener(RocksStore& store) : store_(store) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override;

 private:
  RocksStore& store_;
};

class RocksStore : public env::Store {
 public:
  ~RocksStore() override { close(); }

  Result<void> open(const std::string& directory);

  Result<void> replay(const Visit& visit) override;

  uint64_t submit(env::Batch batch) override {
    CHECK(batch.records.empty() || replayed_);
    CHECK(records_size(batch) <= env::kBatchRecordsMax);
    uint64_t number = 0;
    {
      const MutexLock lock(mutex_);
      number = ++submitted_;
      waiting_.push_back(std::move(batch));
    }
    wake_.notify_one();
    return number;
  }

  void on_durable(std::function<void(Result<Durable>)> told) override {
    const MutexLock lock(mutex_);
    CHECK(submitted_ == 0);
    told_ = std::move(told);
  }

  Result<std::optional<Bytes>> get(env::Space space, BytesView key) override;
  Result<void> scan(env::Space space, BytesView from, BytesView to,
                    const std::function<bool(BytesView, BytesView)>& visit) override;
  Result<Bytes> read(const env::Position& at) override;
  Room room() const override;
  void fail_later(const rocksdb::Status& status);  // Any thread.

 private:
  Result<void> open_db();
  Result<void> check_files();
  Result<void> check_chain();
  void close();
  void run();
  // Writes batches from `next` on, as many as fit one synced write.
  struct Written {
    size_t batches = 0;
    std::vector<env::Position> positions;
  };
  Result<Written> write_some(const std::vector<env::Batch>& batches, size_t next);
  Result<std::vector<env::Position>> write_records(std::span<const env::Batch> batches);
  Result<void> write_keys(rocksdb::WriteBatch& merged);
  Result<void> sync_mark_if_due();
  void add(const env::Batch& batch, rocksdb::WriteBatch& merged);
  rocksdb::ColumnFamilyHandle* family(env::Space space) const {
    return families_[static_cast<size_t>(space)];
  }

  // Before so many bytes are written.
  void mind_the_room(uint64_t bytes);

  DataDir directory_;
  Reserve reserve_;
  // Made in open(). It is written by the store thread only, once that runs, and read by any thread:
  // a position is known only after it was told.
  std::unique_ptr<RecordLog> log_;
  bool replayed_ = false;
  std::shared_ptr<rocksdb::Cache> cache_;  // RocksDB's interface asks for shared ownership.
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;  // By Space; then the default one.

  // Used only by the store thread, once it runs.
  ChainLink chain_;
  bool mark_unsynced_ = false;
  bool failed_ = false;  // A write failed. Others read it after the thread has ended.
  std::chrono::steady_clock::time_point mark_synced_at_;

  Mutex mutex_;
  ConditionVariable wake_;
  std::vector<env::Batch> waiting_ GUARDED_BY(mutex_);
  uint64_t submitted_ GUARDED_BY(mutex_) = 0;
  bool closing_ GUARDED_BY(mutex_) = false;
  std::optional<Error> broken_ GUARDED_BY(mutex_);  // RocksDB's own background error.
  std::function<void(Result<Durable>)> told_;       // Set before the first submit.
  std::thread thread_;
};

Result<void> RocksStore::open(const std::string& directory) {
  if (auto opened = directory_.open(directory); !opened) return opened;
  const std::string reserve = directory + "/reserve";
  if (const Room now = room(); now.total != 0) reserve_.open(reserve, now.total, now.free);
  if (const Room now = room(); now.total != 0 && now.free + reserve_.held() < kRoomMin) {
    return fail(Code::io,
                fmt::format("{} has {} KiB of free space: a node needs {} MiB to start", directory,
                            (now.free + reserve_.held()) >> 10, kRoomMin >> 20));
  }
  if (auto opened = open_db(); !opened) return opened;
  if (auto whole = check_chain(); !whole) return whole;
  if (auto settled = directory_.settle(); !settled) return settled;
  log_ = std::make_unique<RecordLog>(directory_.log_path());
  thread_ = start_thread("store", [this] { run(); });
  return {};
}

Result<void> RocksStore::open_db() {
  cache_ = rocksdb::NewLRUCache(4u << 20);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (size_t i = 0; i < kSpaceNames.size(); ++i) {
    const auto space = static_cast<env::Space>(i);
    const bool busy = space == env::Space::raft_log || space == env::Space::queue;
    descriptors.emplace_back(kSpaceNames[i], family_options(cache_, busy));
  }
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, family_options(cache_, false));

  rocksdb::DB* db = nullptr;
  rocksdb::DBOptions options = db_options(directory_.is_new());
  options.listeners.push_back(std::make_shared<Listener>(*this));
  const auto status =
      rocksdb::DB::Open(options, directory_.db_path(), descriptors, &families_, &db);
  db_.reset(db);
  if (status.ok()) return check_files();
  // In a directory that was in use, a missing file is a loss like any other.
  const bool lost = status.IsCorruption() || status.IsPathNotFound() ||
                    status.IsInvalidArgument() || status.IsNotFound();
  if (lost && !directory_.is_new()) {
    return fail(Code::corrupt, fmt::format("the store in {} is damaged ({}): {}", directory_.path(),
                                           status.ToString(), kRemedy));
  }
  return tl::make_unexpected(to_error(status, "open the store in " + directory_.db_path()));
}

// Where a range was erased, an iterator may silently skip a file that it cannot read (RocksDB
// before 8.5.3). So all files are read once before their data is used.
Result<void> RocksStore::check_files() {
  const auto status = db_->VerifyChecksum();
  if (status.ok()) return {};
  return tl::make_unexpected(to_error(status, "read the store in " + directory_.path()));
}

Result<void> RocksStore::check_chain() {
  std::string value;
  const auto status = db_->Get({}, families_.back(), slice(kChainKey), &value);
  if (!status.ok() && !status.IsNotFound()) {
    return tl::make_unexpected(to_error(status, "read the chain in " + directory_.path()));
  }
  if (status.ok() && value.size() != 16) {
    return fail(Code::corrupt,
                fmt::format("the chain in {} is damaged: {}", directory_.path(), kRemedy));
  }
  if (status.ok()) chain_ = {read_little64(value), read_little64(BytesView(value).substr(8))};
  const ChainLink mark = directory_.mark();
  if (chain_.sequence < mark.sequence ||
      (chain_.sequence == mark.sequence && chain_.hash != mark.hash)) {
    return fail(Code::corrupt,
                fmt::format("the store in {} has lost writes that were acknowledged (it ends at "
                            "write {}, but {} was synced): {}",
                            directory_.path(), chain_.sequence, mark.sequence, kRemedy));
  }
  return directory_.is_new() ? Result<void>() : directory_.put_mark(chain_);
}

void RocksStore::close() {
  if (thread_.joinable()) {
    {
      const MutexLock lock(mutex_);
      closing_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  // Closing makes one more write, on which RocksDB aborts. Synced writes are safe without it.
  if (failed_) (void)db_.release();
  for (auto* handle : families_) {
    if (db_) db_->DestroyColumnFamilyHandle(handle);
  }
  families_.clear();
  db_.reset();
}

void RocksStore::run() {
  uint64_t durable = 0;
  std::vector<env::Batch> batches;
  for (;;) {
    batches.clear();
    {
      MutexLock lock(mutex_);
      const auto until = std::chrono::steady_clock::now() + kLookEvery;
      while (!closing_ && !broken_ && waiting_.empty()) {
        if (!wake_.wait_until(mutex_, until)) break;
      }
      if (closing_ && waiting_.empty()) break;
      if (broken_) {
        const Error error = *broken_;
        lock.unlock();
        failed_ = true;
        if (told_) told_(tl::make_unexpected(error));
        return;
      }
      batches.swap(waiting_);
    }
    mind_the_room(0);
    for (size_t next = 0; next < batches.size();) {
      auto written = write_some(batches, next);
      if (!written) {
        // This is final: submitted batches that are not safe yet never will be.
        failed_ = true;
        if (told_) told_(tl::make_unexpected(written.error()));
        return;
      }
      next += written->batches;
      durable += written->batches;
      if (told_) told_(Durable{durable, std::move(written->positions)});
    }
    if (const auto synced = sync_mark_if_due(); !synced) {
      if (told_) told_(tl::make_unexpected(synced.error()));
      return;
    }
  }
  if (mark_unsynced_) (void)directory_.sync_mark();  // At the end the mark need not succeed.
}

Result<void> RocksStore::sync_mark_if_due() {
  const auto now = std::chrono::steady_clock::now();
  if (!mark_unsynced_ || now - mark_synced_at_ < kMarkSyncEvery) return {};
  mark_unsynced_ = false;
  mark_synced_at_ = now;
  return directory_.sync_mark();
}

Result<RocksStore::Written> RocksStore::write_some(const std::vector<env::Batch>& batches,
                                                   size_t next) {
  size_t count = 0, size = 0;
  while (next + count < batches.size() && (count == 0 || size < kMergedBytesMax)) {
    size += size_of(batches[next + count]);
    ++count;
  }
  const auto chosen = std::span(batches).subspan(next, count);
  mind_the_room(size);
  if (std::ranges::any_of(chosen, &env::Batch::fences_older)) {
    if (auto fenced = directory_.fence_older(); !fenced) {
      return tl::make_unexpected(fenced.error());
    }
  }
  auto positions = write_records(chosen);
  if (!positions) return tl::make_unexpected(positions.error());

  rocksdb::WriteBatch merged(size);
  for (const env::Batch& batch : chosen) add(batch, merged);
  if (merged.Count() > 0) {
    if (auto written = write_keys(merged); !written) return tl::make_unexpected(written.error());
  }
  for (const env::Batch& batch : chosen) {
    for (const env::FileId file : batch.forgotten) log_->forget(file);
  }
  return Written{count, std::move(*positions)};
}

Result<std::vector<env::Position>> RocksStore::write_records(std::span<const env::Batch> batches) {
  std::vector<log::Record> records;
  for (const env::Batch& batch : batches) {
    for (const env::Record& record : batch.records) {
      records.push_back({record.kind, record.bytes.view()});
    }
  }
  if (records.empty()) return std::vector<env::Position>();
  if (!directory_.has_log_mark()) {
    // Programs from before the log would set its directory aside without it.
    if (auto fenced = directory_.fence_older(); !fenced) return tl::make_unexpected(fenced.error());
    if (auto begun = directory_.begin_log_mark(); !begun) return tl::make_unexpected(begun.error());
  }
  auto positions = log_->append(records);
  if (!positions) return positions;
  mark_unsynced_ = true;
  if (auto put = directory_.put_log_mark(log_->durable()); !put) {
    return tl::make_unexpected(put.error());
  }
  return positions;
}

Result<void> RocksStore::write_keys(rocksdb::WriteBatch& merged) {
  const ChainLink link{chain_.sequence + 1, hash64(merged.Data(), chain_.hash)};
  merged.Put(families_.back(), slice(kChainKey), encode_link(link));
  rocksdb::WriteOptions options;
  options.sync = true;
  if (const auto status = db_->Write(options, &merged); !status.ok()) {
    return tl::make_unexpected(to_error(status, "write to the store in " + directory_.path()));
  }
  chain_ = link;
  mark_unsynced_ = true;
  return directory_.put_mark(link);
}

Result<void> RocksStore::replay(const Visit& visit) {
  CHECK(!replayed_);
  replayed_ = true;
  std::optional<uint64_t> durable;
  if (directory_.has_log_mark()) durable = directory_.log_mark();
  auto opened = log_->open(durable, visit);
  if (opened || opened.error().code != Code::corrupt) return opened;
  return fail(Code::corrupt, fmt::format("the log in {} is damaged ({}): {}", directory_.log_path(),
                                         opened.error().message, kRemedy));
}

Result<Bytes> RocksStore::read(const env::Position& at) { return log_->read(at); }

// Frees room before a write finds none, since a failed write is final for RocksDB.
void RocksStore::mind_the_room(uint64_t bytes) {
  if (const Room now = room(); now.total != 0) reserve_.keep(now.free - std::min(now.free, bytes));
}

void RocksStore::fail_later(const rocksdb::Status& status) {
  {
    const MutexLock lock(mutex_);
    broken_ = to_error(status, "go on with the store in " + directory_.path());
  }
  wake_.notify_one();
}

void Listener::OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) {
  store_.fail_later(*status);
}

void RocksStore::add(const env::Batch& batch, rocksdb::WriteBatch& merged) {
  for (const auto& write : batch.writes) {
    auto* into = family(write.space);
    switch (write.kind) {
      case env::Write::Kind::put:
        merged.Put(into, slice(write.key), slice(write.value));
        break;
      case env::Write::Kind::erase:
        merged.Delete(into, slice(write.key));
        break;
      case env::Write::Kind::erase_range:
        if (write.key < write.value) merged.DeleteRange(into, slice(write.key), slice(write.value));
        break;
    }
  }
}

Result<std::optional<Bytes>> RocksStore::get(env::Space space, BytesView key) {
  Bytes value;
  const auto status = db_->Get({}, family(space), slice(key), &value);
  if (status.IsNotFound()) return std::optional<Bytes>();
  if (!status.ok()) {
    return tl::make_unexpected(to_error(status, "read from the store in " + directory_.path()));
  }
  return std::optional<Bytes>(std::move(value));
}

Result<void> RocksStore::scan(env::Space space, BytesView from, BytesView to,
                              const std::function<bool(BytesView, BytesView)>& visit) {
  rocksdb::ReadOptions options;
  const rocksdb::Slice end = slice(to);
  if (!to.empty()) options.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, family(space)));
  for (at->Seek(slice(from)); at->Valid(); at->Next()) {
    if (!visit(view(at->key()), view(at->value()))) return {};
  }
  if (!at->status().ok()) {
    return tl::make_unexpected(to_error(at->status(), "scan the store in " + directory_.path()));
  }
  return {};
}

env::Store::Room RocksStore::room() const {
  struct statvfs disk {};
  if (::statvfs(directory_.path().c_str(), &disk) != 0) return {};
  return {disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize,
          reserve_.held() < reserve_.wanted()};
}

}  // namespace

Result<std::unique_ptr<env::Store>> open_store(const StoreOptions& options) {
  auto store = std::make_unique<RocksStore>();
  if (auto opened = store->open(options.directory); !opened) {
    return tl::make_unexpected(opened.error());
  }
  return std::unique_ptr<env::Store>(std::move(store));
}

}  // namespace databridge::platform
