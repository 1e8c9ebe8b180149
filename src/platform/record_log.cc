#include "platform/record_log.h"

#include <openssl/rand.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "platform/segment_files.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

constexpr size_t kIdentityBytes = 16;

Bytes encode_identity(const log::SegmentLog::Options& options) {
  Bytes bytes;
  append_little64(bytes, options.secret);
  append_little32(bytes, options.start);
  append_little32(bytes, crc32c(bytes));
  return bytes;
}

Result<void> nothing(uint8_t, const env::Position&, BytesView) { return {}; }

}  // namespace

Result<void> RecordLog::open(std::optional<uint64_t> durable, const log::SegmentLog::Visit& visit) {
  auto opened = open_if_there(durable.value_or(0), visit);
  if (opened && !durable && this->durable() > 0) {
    opened = fail(Code::corrupt, "the mark does not know of " + folder_);
  }
  refused_ = !opened;
  return opened;
}

Result<void> RecordLog::open_if_there(uint64_t durable, const log::SegmentLog::Visit& visit) {
  struct stat info {};
  if (::stat(folder_.c_str(), &info) == 0) return open_log(durable, visit);
  if (errno != ENOENT) return tl::make_unexpected(system_error("read", folder_));
  if (durable == 0) return {};
  return fail(Code::corrupt, folder_ + " is missing, and records in it were durable");
}

Result<void> RecordLog::open_log(uint64_t durable, const log::SegmentLog::Visit& visit) {
  auto files = open_segment_files(folder_);
  if (!files) return tl::make_unexpected(files.error());
  files_ = std::move(*files);
  const auto options = next_start();
  if (!options) return tl::make_unexpected(options.error());
  auto log = log::SegmentLog::open(*files_, *options, durable, visit);
  if (!log) return tl::make_unexpected(log.error());
  log_ = std::move(*log);
  return {};
}

// The number of the start is durable before the log is opened, so that no two starts have the same.
Result<log::SegmentLog::Options> RecordLog::next_start() {
  const std::string file = folder_ + "/identity";
  log::SegmentLog::Options options{.start = 0};
  const auto bytes = read_file(file);
  if (bytes) {
    options.secret = bytes->size() == kIdentityBytes ? read_little64(*bytes) : 0;
    options.start =
        bytes->size() == kIdentityBytes ? read_little32(BytesView(*bytes).substr(8)) : 0;
    if (encode_identity(options) != *bytes) return fail(Code::corrupt, file + " is damaged");
  } else if (bytes.error().code != Code::not_found) {
    return tl::make_unexpected(bytes.error());
  } else {
    const auto slots = files_->list();
    if (!slots) return tl::make_unexpected(slots.error());
    if (!slots->empty()) return fail(Code::corrupt, file + " is missing");
    unsigned char random[8];
    if (RAND_bytes(random, sizeof random) != 1) {
      return fail(Code::io, "cannot get random bytes for " + file);
    }
    options.secret = read_little64({reinterpret_cast<const char*>(random), sizeof random});
  }
  ++options.start;
  if (auto put = write_whole_file(file, encode_identity(options)); !put) {
    return tl::make_unexpected(put.error());
  }
  return options;
}

Result<std::vector<env::Position>> RecordLog::append(const std::vector<log::Record>& records) {
  if (refused_) return fail(Code::corrupt, folder_ + " was refused at the start");
  if (!log_) {
    if (auto made = open_log(0, nothing); !made) return tl::make_unexpected(made.error());
  }
  auto positions = log_->write(records);
  if (!positions) return positions;
  if (auto synced = log_->sync(); !synced) return tl::make_unexpected(synced.error());
  return positions;
}

Result<Bytes> RecordLog::read(const env::Position& at) const {
  if (log_) return log_->read(at);
  return fail(Code::corrupt, folder_ + " has no records");
}

void RecordLog::forget(env::FileId file) {
  if (log_) log_->forget(file);
}

}  // namespace databridge::platform
