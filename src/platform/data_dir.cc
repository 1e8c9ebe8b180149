#include "platform/data_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

constexpr char kSettingAside[] = "/setting-aside";  // Names the folder until that is done.
// Format 2 has the same files as format 1. Only its number keeps older programs out.
constexpr uint32_t kFormat = 2;
constexpr std::string_view kFormatPrefix = "databridge data format ";

// Two slots, written in turn, each in a page of its own: a write to one cannot harm the other. Two
// more are for the mark of the log: `sequence` is the block, and `hash` says nothing.
constexpr off_t kSlotDistance = 4096;
constexpr off_t kLogSlots = 2;
constexpr size_t kSlotSize = 20;

Bytes encode_slot(const ChainLink& link) {
  Bytes slot;
  append_little64(slot, link.sequence);
  append_little64(slot, link.hash);
  append_little32(slot, crc32c(slot));
  return slot;
}

std::optional<ChainLink> decode_slot(BytesView slot) {
  if (slot.size() != kSlotSize || read_little32(slot.substr(16)) != crc32c(slot.substr(0, 16))) {
    return std::nullopt;
  }
  return ChainLink{read_little64(slot), read_little64(slot.substr(8))};
}

Result<void> make_directories(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0750) == 0) {
      const size_t parent_end = part.find_last_of('/');
      const std::string parent = parent_end == std::string::npos ? "."
                                 : parent_end == 0               ? "/"
                                                                 : part.substr(0, parent_end);
      if (auto synced = sync_directory(parent); !synced) return synced;
    } else if (errno != EEXIST) {
      return tl::make_unexpected(system_error("make the data directory", part));
    }
    if (slash == std::string::npos) return {};
  }
}

}  // namespace

DataDir::~DataDir() {
  if (mark_fd_ >= 0) ::close(mark_fd_);
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<void> DataDir::open(const std::string& path) {
  path_ = path;
  if (auto made = make_directories(path); !made) return made;
  if (auto locked = take_lock(); !locked) return locked;
  if (auto moved = finish_setting_aside(); !moved) return moved;
  if (auto known = read_format(); !known) return known;
  return read_mark();
}

Result<void> DataDir::take_lock() {
  const std::string file = path_ + "/lock";
  lock_fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_fd_ < 0) return tl::make_unexpected(system_error("open", file));
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    std::string holder = "unknown";
    if (auto text = read_file(file); text && !text->empty()) holder = *text;
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return fail(
        Code::conflict,
        fmt::format("data directory {} is in use by the process with pid {}: stop that one, "
                    "or give this one a --data-dir of its own",
                    path_, holder));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock_fd_, 0) != 0) return tl::make_unexpected(system_error("write", file));
  return write_all(lock_fd_, pid, file);
}

Result<void> DataDir::check_owner(const std::string& path) {
  struct stat info {};
  if (::stat((path + "/format").c_str(), &info) != 0) {
    return fail(Code::not_found, path + ": this is not the data directory of a node");
  }
  if (info.st_uid == ::geteuid()) return {};
  return fail(Code::forbidden,
              fmt::format("{} belongs to the user with the id {}: run this command as that user",
                          path, info.st_uid));
}

Result<std::string> DataDir::set_aside(const std::string& path, const std::string& heritage) {
  DataDir directory;
  directory.path_ = path;
  if (auto locked = directory.take_lock(); !locked) return tl::make_unexpected(locked.error());
  if (auto moved = directory.finish_setting_aside(); !moved) {
    return tl::make_unexpected(moved.error());
  }
  std::string folder;
  for (int n = 1; folder.empty(); ++n) {
    const std::string name = fmt::format("older-copy-{}", n);
    if (::mkdir((path + "/" + name).c_str(), 0750) == 0) {
      folder = name;
    } else if (errno != EEXIST) {
      return tl::make_unexpected(system_error("make", path + "/" + name));
    }
  }
  if (auto put = write_whole_file(heritage_path(path), heritage); !put) {
    return tl::make_unexpected(put.error());
  }
  if (auto put = write_whole_file(path + kSettingAside, folder); !put) {
    return tl::make_unexpected(put.error());
  }
  if (auto moved = directory.finish_setting_aside(); !moved) {
    return tl::make_unexpected(moved.error());
  }
  return path + "/" + folder;
}

Result<void> DataDir::finish_setting_aside() {
  const std::string plan = path_ + kSettingAside;
  const auto folder = read_file(plan);
  if (!folder && folder.error().code == Code::not_found) return {};
  if (!folder) return tl::make_unexpected(folder.error());
  for (const char* name : {"/db", "/log", "/mark", "/format"}) {
    const std::string from = path_ + name;
    const std::string to = path_ + "/" + *folder + name;
    if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return tl::make_unexpected(system_error("set aside", from));
    }
  }
  if (auto synced = sync_directory(path_ + "/" + *folder); !synced) return synced;
  if (::unlink(plan.c_str()) != 0) return tl::make_unexpected(system_error("remove", plan));
  return sync_directory(path_);
}

Result<void> DataDir::read_format() {
  const std::string file = path_ + "/format";
  const auto text = read_file(file);
  if (!text && text.error().code == Code::not_found) return {};  // New, as far as can be seen.
  if (!text) return tl::make_unexpected(text.error());
  uint32_t version = 0;
  bool readable = text->starts_with(kFormatPrefix) && text->ends_with("\n");
  if (readable) {
    const char* end = text->data() + text->size() - 1;
    const auto parsed = std::from_chars(text->data() + kFormatPrefix.size(), end, version);
    readable = parsed.ec == std::errc() && parsed.ptr == end && version > 0;
  }
  if (!readable) {
    return fail(Code::corrupt, fmt::format("{} is damaged: it should read \"{}{}\"; if the rest of "
                                           "the directory is whole, write that line into it",
                                           file, kFormatPrefix, 1));
  }
  if (version > kFormat) {
    return fail(
        Code::unprocessable,
        fmt::format("data directory {} has format {}, this program knows up to {}: start the "
                    "newer program that wrote it, or use another --data-dir",
                    path_, version, kFormat));
  }
  format_ = version;
  is_new_ = false;
  return {};
}

Result<void> DataDir::read_mark() {
  if (auto opened = open_mark(false); !opened) {
    if (opened.error().code == Code::not_found && is_new_) return {};
    if (opened.error().code != Code::not_found) return opened;
    return fail(Code::corrupt,
                fmt::format("{}/mark is missing, so this node cannot know what it had "
                            "acknowledged: move the data directory aside and let the "
                            "node join again as a new one",
                            path_));
  }
  std::optional<ChainLink> newest;
  for (off_t slot = 0; slot < 2; ++slot) {
    const auto bytes = read_slot(slot);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto link = decode_slot(*bytes);
    if (link && (!newest || link->sequence > newest->sequence)) newest = link;
  }
  if (newest) mark_ = *newest;
  if (auto read = read_log_mark(); !read) return read;
  if (is_new_ ? mark_.sequence > 0 || has_log_mark_ : !newest) {
    return fail(
        Code::corrupt,
        fmt::format("{}/{} is damaged, so this node cannot know what it had acknowledged: "
                    "move the data directory aside and let the node join again as a new one",
                    path_, is_new_ ? "format" : "mark"));
  }
  return {};
}

Result<void> DataDir::read_log_mark() {
  bool is_damaged = false;
  for (off_t slot = 0; slot < 2; ++slot) {
    const auto bytes = read_slot(kLogSlots + slot);
    if (!bytes) return tl::make_unexpected(bytes.error());
    if (bytes->find_first_not_of('\0') == Bytes::npos) continue;  // Never written.
    const auto link = decode_slot(*bytes);
    is_damaged |= !link;
    has_log_mark_ |= link.has_value();
    if (!link || link->sequence < log_mark_) continue;
    log_mark_ = link->sequence;
    log_slot_ = slot;
  }
  if (!is_damaged || has_log_mark_) return {};
  return fail(
      Code::corrupt,
      fmt::format("{}/mark is damaged, so this node cannot know what of its log was durable: "
                  "move the data directory aside and let the node join again as a new one",
                  path_));
}

Result<Bytes> DataDir::read_slot(off_t slot) const {
  Bytes bytes(kSlotSize, '\0');
  const ssize_t got = ::pread(mark_fd_, bytes.data(), bytes.size(), slot * kSlotDistance);
  if (got < 0) return tl::make_unexpected(system_error("read", path_ + "/mark"));
  bytes.resize(static_cast<size_t>(got));
  return bytes;
}

Result<void> DataDir::open_mark(bool create) {
  const std::string file = path_ + "/mark";
  mark_fd_ = ::open(file.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0640);
  if (mark_fd_ < 0) return tl::make_unexpected(system_error("open", file));
  return {};
}

Result<void> DataDir::settle() {
  if (mark_fd_ < 0) {
    if (auto opened = open_mark(true); !opened) return opened;
  }
  if (auto put = put_mark(mark_); !put) return put;
  if (auto synced = sync_mark(); !synced) return synced;
  if (auto written = write_format(); !written) return written;
  is_new_ = false;
  return {};
}

Result<void> DataDir::write_format() {
  return write_whole_file(path_ + "/format", fmt::format("{}{}\n", kFormatPrefix, format_));
}

Result<void> DataDir::fence_older() {
  if (std::exchange(format_, kFormat) == kFormat) return {};
  return write_format();
}

Result<void> DataDir::put_mark(const ChainLink& link) {
  mark_ = link;
  return write_slot(static_cast<off_t>(link.sequence & 1), link);
}

Result<void> DataDir::begin_log_mark() {
  for (int slot = 0; slot < 2; ++slot) {
    if (auto put = put_log_mark(0); !put) return put;
  }
  has_log_mark_ = true;
  return sync_mark();
}

Result<void> DataDir::put_log_mark(uint64_t block) {
  log_mark_ = block;
  log_slot_ = 1 - log_slot_;
  return write_slot(kLogSlots + log_slot_, {block, 0});
}

Result<void> DataDir::write_slot(off_t slot, const ChainLink& link) {
  const Bytes bytes = encode_slot(link);
  const ssize_t put = ::pwrite(mark_fd_, bytes.data(), bytes.size(), slot * kSlotDistance);
  if (put == static_cast<ssize_t>(bytes.size())) return {};
  return tl::make_unexpected(system_error("write", path_ + "/mark"));
}

Result<void> DataDir::sync_mark() {
  if (::fdatasync(mark_fd_) != 0) {
    return tl::make_unexpected(system_error("sync", path_ + "/mark"));
  }
  return {};
}

}  // namespace databridge::platform
