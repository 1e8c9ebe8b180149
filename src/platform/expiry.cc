#include "platform/expiry.h"

#include <fmt/format.h>

#include <utility>

#include "platform/certificates.h"

namespace databridge::platform {
namespace {

constexpr int64_t kDay = 86400;
constexpr int64_t kWarnDays = 30;
constexpr Duration kLookInterval = 10min;

}  // namespace

Expiry::Expiry(std::function<void(const std::string& line)> log)
    : log_(std::move(log)), repeater_("expiry", kLookInterval, [this] { look(); }) {}

void Expiry::set(const std::string& port, const std::string& file, int64_t ends) {
  {
    const MutexLock lock(mutex_);
    Entry& entry = entries_[port];
    if (entry.ends != ends) entry = Entry{file, ends, std::nullopt};
  }
  look();
}

std::string Expiry::warning(const std::string& port, const Entry& entry) {
  const int64_t left = seconds_until(entry.ends);
  if (left > kWarnDays * kDay) return "";
  const int64_t days = left / kDay;
  std::string when = fmt::format("ends on {}, in {} days", date_text(entry.ends), days);
  if (days == 1) when = fmt::format("ends on {}, in one day", date_text(entry.ends));
  if (days == 0) when = fmt::format("ends on {}, in less than a day", date_text(entry.ends));
  if (left <= 0) {
    when = fmt::format("ended on {}, so no new connection is made with it", date_text(entry.ends));
  }
  return fmt::format(
      "the certificate of the {} port, {} or its authority, {}: put a new one in its "
      "place and send SIGHUP",
      port, entry.file, when);
}

std::vector<std::string> Expiry::warnings() const {
  const MutexLock lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [port, entry] : entries_) {
    if (std::string line = warning(port, entry); !line.empty()) all.push_back(std::move(line));
  }
  return all;
}

std::map<std::string, int64_t> Expiry::ends() const {
  const MutexLock lock(mutex_);
  std::map<std::string, int64_t> all;
  for (const auto& [port, entry] : entries_) all[port] = entry.ends;
  return all;
}

void Expiry::look() {
  std::vector<std::string> lines;
  {
    const MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    for (auto& [port, entry] : entries_) {
      if (entry.told && now - *entry.told < std::chrono::hours(24)) continue;
      std::string line = warning(port, entry);
      if (line.empty()) continue;
      entry.told = now;
      lines.push_back(std::move(line));
    }
  }
  for (const std::string& line : lines) log_(line);
}

}  // namespace databridge::platform
