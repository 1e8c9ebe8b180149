#include "platform/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/check.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

struct ProcessStat {
  char state = '?';
  uint64_t start = 0;
};

// /proc/<pid>/stat (proc(5)): the name in parentheses may have any characters, so fields count from
// the last parenthesis: 3 is the state, 22 the start time.
std::optional<ProcessStat> parse_stat(BytesView text) {
  const size_t close = text.rfind(')');
  if (close == BytesView::npos) return std::nullopt;
  text.remove_prefix(close + 1);
  ProcessStat stat;
  for (int field = 3; field <= 22; ++field) {
    const size_t begin = text.find_first_not_of(' ');
    if (begin == BytesView::npos) return std::nullopt;
    text.remove_prefix(begin);
    const BytesView word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    if (field == 3) stat.state = word.front();
    if (field == 22) {
      const auto parsed = std::from_chars(word.data(), word.data() + word.size(), stat.start);
      if (parsed.ec != std::errc()) return std::nullopt;
    }
  }
  return stat;
}

uint64_t namespace_inode(const char* path) {
  struct stat info {};
  return ::stat(path, &info) == 0 ? info.st_ino : 0;
}

// The leader of a killed process may show as a zombie while its other threads still run.
bool has_other_threads(const std::string& directory) {
  std::error_code error;
  int count = 0;
  for (std::filesystem::directory_iterator at(directory + "/task", error), end; !error && at != end;
       at.increment(error)) {
    ++count;
  }
  return count > 1;
}

}  // namespace

uint64_t entropy64() {
  uint64_t value = 0;
  CHECK(::getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

Result<std::string> machine_name(const std::string& data_dir, const std::string& machine_id) {
  const auto line = [](const Result<Bytes>& text) {
    return text ? text->substr(0, text->find('\n')) : std::string();
  };
  const std::string id = line(read_file(machine_id));
  const bool fine = id.size() == 32 && id.find_first_not_of("0123456789abcdef") == Bytes::npos;
  if (fine) return id;
  const std::string file = data_dir + "/machine";
  std::string name = line(read_file(file));
  if (!name.empty()) return name;
  name = fmt::format("dir-{:016x}", entropy64());
  const std::string aside = file + ".new";
  {
    const Descriptor out(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (!out) return tl::make_unexpected(system_error("open", aside));
    if (auto written = write_all(out.get(), name + "\n", aside); !written) {
      return tl::make_unexpected(written.error());
    }
    if (::fsync(out.get()) != 0) return tl::make_unexpected(system_error("sync", aside));
  }
  if (::rename(aside.c_str(), file.c_str()) != 0) {
    return tl::make_unexpected(system_error("rename", aside));
  }
  if (auto synced = sync_directory(data_dir); !synced) return tl::make_unexpected(synced.error());
  return name;
}

std::string sha256(BytesView bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  return to_hex(BytesView(reinterpret_cast<const char*>(digest), size));
}

env::Greeting this_process(const std::string& data_dir) {
  env::Greeting self;
  struct stat directory {};
  if (!data_dir.empty() && ::stat(data_dir.c_str(), &directory) == 0) {
    self.device = directory.st_dev;
    self.inode = directory.st_ino;
  }
  if (auto id = read_file("/proc/sys/kernel/random/boot_id")) {
    self.host_boot_id = id->substr(0, id->find('\n'));
  }
  self.netns = namespace_inode("/proc/self/ns/net");
  self.pidns = namespace_inode("/proc/self/ns/pid");
  self.pid = static_cast<uint64_t>(::getpid());
  if (auto text = read_file("/proc/self/stat")) {
    if (const auto stat = parse_stat(*text)) self.pid_start = stat->start;
  }
  return self;
}

bool is_gone(const env::Greeting& peer, const env::Greeting& self) {
  if (peer.host_boot_id.empty() || peer.netns == 0 || peer.pidns == 0 || peer.pid == 0 ||
      peer.pid_start == 0) {
    return false;
  }
  if (peer.host_boot_id != self.host_boot_id || peer.netns != self.netns ||
      peer.pidns != self.pidns) {
    return false;
  }
  const std::string directory = "/proc/" + std::to_string(peer.pid);
  const auto text = read_file(directory + "/stat");
  if (!text) {
    // Only "no such process" is a proof, and only if /proc shows processes at all. A process that
    // ends while its file is read gives another error, and the next dial finds out.
    return text.error().code == Code::not_found && read_file("/proc/self/stat").has_value();
  }
  const auto stat = parse_stat(*text);
  if (!stat) return false;
  if (stat->start != peer.pid_start) return true;  // The pid belongs to another process now.
  return (stat->state == 'Z' || stat->state == 'X') && !has_other_threads(directory);
}

}  // namespace databridge::platform
