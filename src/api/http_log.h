// The access log: one line for each request. A thread of its own writes it, so that a slow disk
// delays no answer.
//
// `2026-11-22T20:00:00.123Z 127.0.0.1 GET /api/cluster/nodes 200 512 0.4ms -`
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"

namespace databridge::api {

struct AccessRecord {
  int64_t unix_ms = 0;
  std::string_view remote;
  std::string_view method;
  std::string_view target;
  int status = 0;
  uint64_t bytes = 0;
  uint64_t micros = 0;
  std::string_view token{};  // The id of the client's token; empty: none was needed.
};

// Appends the line of a record, with its line feed. Characters that are not printable become '?',
// so that one request is always one line of eight words. The secret of a token in a target is
// struck out.
void append_access_line(std::string& to, const AccessRecord& record);

class AccessLog {
 public:
  using Sink = std::function<void(std::string_view lines)>;

  // With an empty sink the log costs nothing.
  explicit AccessLog(Sink sink);
  ~AccessLog();  // Writes the remaining lines.
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  bool wanted() const { return static_cast<bool>(sink_); }
  void add(const AccessRecord& record);

 private:
  void run();

  const Sink sink_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::string pending_ GUARDED_BY(mutex_);
  // The number of lines that were lost, because the sink was too slow.
  uint64_t lost_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace databridge::api
