#include "api/http_log.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>

#include "api/json_writer.h"
#include "model/token.h"

namespace databridge::api {
namespace {

constexpr size_t kPendingMax = 8 << 20;
constexpr size_t kTargetMax = 1024;
// Lines are collected for this long. So a busy server makes few writes, and a quiet one none.
constexpr std::chrono::milliseconds kCollect{50};

void append_printable(std::string& to, std::string_view text) {
  if (text.empty()) to += '-';
  for (const char c : text.substr(0, kTargetMax)) to += (c > ' ' && c < 0x7f) ? c : '?';
}

}  // namespace

void append_access_line(std::string& to, const AccessRecord& record) {
  append_time(to, record.unix_ms);
  to += ' ';
  append_printable(to, record.remote);
  to += ' ';
  append_printable(to, record.method);
  to += ' ';
  append_printable(to, without_tokens(record.target.substr(0, kTargetMax)));
  fmt::format_to(std::back_inserter(to), " {} {} {}.{}ms ", record.status, record.bytes,
                 record.micros / 1000, record.micros % 1000 / 100);
  append_printable(to, record.token);
  to += '\n';
}

AccessLog::AccessLog(Sink sink) : sink_(std::move(sink)) {
  if (sink_) thread_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog() {
  if (!thread_.joinable()) return;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void AccessLog::add(const AccessRecord& record) {
  if (!sink_) return;
  bool first = false;
  {
    const MutexLock lock(mutex_);
    if (pending_.size() > kPendingMax) {
      ++lost_;
      return;
    }
    first = pending_.empty();
    append_access_line(pending_, record);
  }
  if (first) changed_.notify_one();
}

void AccessLog::run() {
  std::string lines;
  MutexLock lock(mutex_);
  for (;;) {
    while (!stopping_ && pending_.empty()) changed_.wait(mutex_);
    const auto until = std::chrono::steady_clock::now() + kCollect;
    while (!stopping_ && changed_.wait_until(mutex_, until)) {
    }
    lines.swap(pending_);
    if (lost_ != 0) fmt::format_to(std::back_inserter(lines), "- {} lines lost\n", lost_);
    lost_ = 0;
    const bool last = stopping_;
    lock.unlock();
    if (!lines.empty()) sink_(lines);
    lines.clear();
    lock.lock();
    if (last && pending_.empty()) return;
  }
}

}  // namespace databridge::api
