#include "platform/load_probe.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  for (size_t at = 0; (at = line.find_first_not_of(" \t\n", at)) != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(" \t\n", at), line.size());
    found.push_back(line.substr(at, end - at));
    at = end;
  }
  return found;
}

std::vector<std::string_view> lines(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    found.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

// The number after `key` in a file of "key value" or "Key:  value kB" lines.
std::optional<uint64_t> value_of(std::string_view text, std::string_view key) {
  for (const auto line : lines(text)) {
    const auto parts = words(line);
    if (parts.size() >= 2 && parts[0] == key) return parse_number(parts[1]);
  }
  return std::nullopt;
}

// "0-3,6" → {0, 1, 2, 3, 6}.
std::set<uint64_t> parse_list(std::string_view text) {
  std::set<uint64_t> found;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    const auto first = parse_number(part);
    const size_t dash = part.find('-');
    const auto last = dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1));
    if (!first || !last || *last - *first > 4096) continue;
    for (uint64_t i = *first; i <= *last; ++i) found.insert(i);
  }
  return found;
}

struct Ticks {
  uint64_t busy = 0;
  uint64_t total = 0;
};

// A limit may stand in the cgroup or in one above it, and the tightest counts.
struct Limits {
  std::optional<double> cores;
  std::optional<uint64_t> memory_bytes;
  std::optional<uint64_t> memory_used_bytes;  // In the cgroup of that limit.
  std::optional<uint64_t> cpu_used_ns;        // In the cgroup of that limit.
};

class ProcLoadProbe : public env::LoadProbe {
 public:
  ProcLoadProbe(const env::Clock& clock, std::string root) : clock_(clock), root_(std::move(root)) {
    const auto status = text("/proc/self/status");
    for (const auto line : lines(status)) {
      const auto parts = words(line);
      if (parts.size() == 2 && parts[0] == "Cpus_allowed_list:") allowed_ = parse_list(parts[1]);
    }
    find_cgroups();
    ticks_ = read_ticks();
    const auto limits = read_limits();
    cgroup_cpu_ns_ = limits.cpu_used_ns;
    sampled_at_ = clock_.now();
  }

  env::Machine machine() const override;
  std::optional<env::LoadSample> sample() override;

 private:
  Bytes text(const std::string& path) const { return read_file(root_ + path).value_or(""); }
  bool exists(const std::string& path) const { return read_file(root_ + path).has_value(); }
  void find_cgroups();
  std::string cgroup_directory(const std::string& mount, const std::string& path,
                               const std::string& probe) const;
  std::optional<Ticks> read_ticks() const;
  Limits read_limits() const;
  void read_limits_v2(Limits& limits) const;
  void read_limits_v1(Limits& limits) const;
  std::optional<double> host_memory_percent() const;
  double allowed_cores() const;

  const env::Clock& clock_;
  const std::string root_;
  std::set<uint64_t> allowed_;  // Empty: all.

  // Directories of this process's cgroups; empty if there is none of that kind.
  std::string unified_, unified_mount_;
  std::string v1_cpu_, v1_usage_, v1_memory_;

  std::optional<Ticks> ticks_;
  std::optional<uint64_t> cgroup_cpu_ns_;
  Instant sampled_at_;
  std::optional<double> cpu_percent_;  // The last one, for samples that come too fast.
};

// In a container the path may be the host's path, while the mount shows only the container's part.
std::string ProcLoadProbe::cgroup_directory(const std::string& mount, const std::string& path,
                                            const std::string& probe) const {
  for (const std::string& directory : {path == "/" ? mount : mount + path, mount}) {
    if (exists(directory + "/" + probe)) return directory;
  }
  return "";
}

// /proc/self/cgroup: "0::/path" for version 2, "4:memory:/path" for version 1 (cgroups(7)).
void ProcLoadProbe::find_cgroups() {
  const auto file = text("/proc/self/cgroup");
  for (const auto line : lines(file)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string controllers(line.substr(first + 1, second - first - 1));
    const std::string path(line.substr(second + 1));
    const std::string base = "/sys/fs/cgroup";
    if (controllers.empty()) {
      unified_mount_ = base;
      unified_ = cgroup_directory(base, path, "cgroup.controllers");
      continue;
    }
    const std::string list = "," + controllers + ",";
    const auto has = [&](const char* name) {
      return list.find("," + std::string(name) + ",") != std::string::npos;
    };
    const std::string mount = base + "/" + controllers;
    if (has("cpu")) v1_cpu_ = cgroup_directory(mount, path, "cpu.cfs_quota_us");
    if (has("cpuacct")) v1_usage_ = cgroup_directory(mount, path, "cpuacct.usage");
    if (has("memory")) v1_memory_ = cgroup_directory(mount, path, "memory.limit_in_bytes");
  }
}

// Sums the lines cpu0, cpu1 … of /proc/stat of CPUs that we may use (proc(5)).
std::optional<Ticks> ProcLoadProbe::read_ticks() const {
  const auto file = text("/proc/stat");
  Ticks sum;
  for (const auto line : lines(file)) {
    const auto parts = words(line);
    if (parts.size() < 5 || !parts[0].starts_with("cpu") || parts[0] == "cpu") continue;
    const auto number = parse_number(parts[0].substr(3));
    if (!number || (!allowed_.empty() && !allowed_.contains(*number))) continue;
    // user nice system idle iowait irq softirq steal; guest times are within user and nice.
    for (size_t i = 1; i < std::min<size_t>(parts.size(), 9); ++i) {
      const uint64_t ticks = parse_number(parts[i]).value_or(0);
      sum.total += ticks;
      if (i != 4 && i != 5) sum.busy += ticks;
    }
  }
  if (sum.total == 0) return std::nullopt;
  return sum;
}

Limits ProcLoadProbe::read_limits() const {
  Limits limits;
  if (!unified_.empty()) read_limits_v2(limits);
  read_limits_v1(limits);
  return limits;
}

// A limit may stand on any level from our own cgroup up to the mount.
void ProcLoadProbe::read_limits_v2(Limits& limits) const {
  for (std::string at = unified_;; at = at.substr(0, at.find_last_of('/'))) {
    const auto cpu_file = text(at + "/cpu.max");
    const auto cpu = words(cpu_file);
    if (cpu.size() == 2) {
      const auto quota = parse_number(cpu[0]);  // "max" is no number.
      const auto period = parse_number(cpu[1]);
      if (quota && period && *period > 0) {
        const double cores = static_cast<double>(*quota) / static_cast<double>(*period);
        if (!limits.cores || cores < *limits.cores) {
          limits.cores = cores;
          limits.cpu_used_ns.reset();
          if (const auto used = value_of(text(at + "/cpu.stat"), "usage_usec")) {
            limits.cpu_used_ns = *used * 1000;
          }
        }
      }
    }
    const auto memory = parse_number(text(at + "/memory.max"));
    if (memory && (!limits.memory_bytes || *memory < *limits.memory_bytes)) {
      limits.memory_bytes = memory;
      const uint64_t used = parse_number(text(at + "/memory.current")).value_or(0);
      // The kernel gives back cached files that were not used for long, when it needs memory.
      const uint64_t idle = value_of(text(at + "/memory.stat"), "inactive_file").value_or(0);
      limits.memory_used_bytes = used - std::min(used, idle);
    }
    if (at.size() <= unified_mount_.size()) return;
  }
}

void ProcLoadProbe::read_limits_v1(Limits& limits) const {
  if (!v1_cpu_.empty()) {
    const auto quota = parse_number(text(v1_cpu_ + "/cpu.cfs_quota_us"));  // -1 is none.
    const auto period = parse_number(text(v1_cpu_ + "/cpu.cfs_period_us"));
    if (quota && *quota > 0 && period && *period > 0) {
      limits.cores = static_cast<double>(*quota) / static_cast<double>(*period);
      limits.cpu_used_ns = parse_number(text(v1_usage_ + "/cpuacct.usage"));
    }
  }
  if (!v1_memory_.empty()) {
    const auto limit = parse_number(text(v1_memory_ + "/memory.limit_in_bytes"));
    if (limit && *limit < (uint64_t{1} << 60)) {  // "No limit" is a very large number there.
      limits.memory_bytes = limit;
      const uint64_t used = parse_number(text(v1_memory_ + "/memory.usage_in_bytes")).value_or(0);
      const uint64_t idle =
          value_of(text(v1_memory_ + "/memory.stat"), "total_inactive_file").value_or(0);
      limits.memory_used_bytes = used - std::min(used, idle);
    }
  }
}

double ProcLoadProbe::allowed_cores() const {
  if (!allowed_.empty()) return static_cast<double>(allowed_.size());
  const auto file = text("/proc/stat");
  double count = 0;
  for (const auto line : lines(file)) {
    if (line.starts_with("cpu") && !line.starts_with("cpu ")) count += 1;
  }
  return std::max(count, 1.0);
}

env::Machine ProcLoadProbe::machine() const {
  const auto limits = read_limits();
  env::Machine machine;
  const double cores = std::min(allowed_cores(), limits.cores.value_or(1e9));
  machine.cpu_cores = static_cast<uint32_t>(std::max(1.0, std::ceil(cores)));
  const uint64_t total = value_of(text("/proc/meminfo"), "MemTotal:").value_or(0) * 1024;
  const uint64_t bytes = std::min(total, limits.memory_bytes.value_or(total));
  // Rounded to the nearest GiB, since the kernel keeps some of the memory for itself.
  machine.memory_gb = std::max<uint64_t>(1, (bytes + (uint64_t{1} << 29)) >> 30);
  return machine;
}

std::optional<double> ProcLoadProbe::host_memory_percent() const {
  const auto file = text("/proc/meminfo");
  const auto total = value_of(file, "MemTotal:");
  const auto available = value_of(file, "MemAvailable:");
  if (!total || !available || *total == 0) return std::nullopt;
  return 100.0 * static_cast<double>(*total - std::min(*total, *available)) /
         static_cast<double>(*total);
}

std::optional<env::LoadSample> ProcLoadProbe::sample() {
  const auto ticks = read_ticks();
  auto memory = host_memory_percent();
  if (!ticks || !memory) return std::nullopt;
  const auto limits = read_limits();
  const Instant now = clock_.now();
  const double elapsed = std::chrono::duration<double>(now - sampled_at_).count();

  std::optional<double> cpu;
  if (ticks_ && ticks->total > ticks_->total) {
    const uint64_t busy = ticks->busy - std::min(ticks->busy, ticks_->busy);
    cpu = 100.0 * static_cast<double>(busy) / static_cast<double>(ticks->total - ticks_->total);
  }
  // Under a quota, the used part of the quota counts.
  if (limits.cores && limits.cpu_used_ns && cgroup_cpu_ns_ && elapsed > 0 && *limits.cores > 0) {
    const uint64_t used = *limits.cpu_used_ns - std::min(*limits.cpu_used_ns, *cgroup_cpu_ns_);
    const double share = 100.0 * static_cast<double>(used) / 1e9 / elapsed / *limits.cores;
    cpu = std::max(cpu.value_or(0), share);
  }
  if (limits.memory_bytes && limits.memory_used_bytes && *limits.memory_bytes > 0) {
    memory = std::max(*memory, 100.0 * static_cast<double>(*limits.memory_used_bytes) /
                                   static_cast<double>(*limits.memory_bytes));
  }
  if (cpu) {
    ticks_ = ticks;
    cgroup_cpu_ns_ = limits.cpu_used_ns;
    sampled_at_ = now;
    cpu_percent_ = std::clamp(*cpu, 0.0, 100.0);
  }
  if (!cpu_percent_) return std::nullopt;
  return env::LoadSample{*cpu_percent_, std::clamp(*memory, 0.0, 100.0)};
}

}  // namespace

std::unique_ptr<env::LoadProbe> make_load_probe(const env::Clock& clock, std::string root) {
  return std::make_unique<ProcLoadProbe>(clock, std::move(root));
}

}  // namespace databridge::platform
