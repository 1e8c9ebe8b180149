// - Owns: the log on standard error: one line for each entry, as text or JSON.
// - Hides: spdlog and escaping.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace databridge::platform {

enum class LogLevel : uint8_t { debug, info, warn, error };
enum class LogFormat : uint8_t { text, json };

Result<LogLevel> parse_log_level(std::string_view text);
Result<LogFormat> parse_log_format(std::string_view text);

struct LogField {
  std::string_view key;  // Lower case, [a-z0-9_].
  std::string value;
};

// The line as it is written, without its end. Any bytes become one printable line.
std::string format_log_line(LogFormat format, int64_t unix_ms, LogLevel level,
                            std::string_view component, std::string_view message,
                            std::initializer_list<LogField> fields);

class Log {
 public:
  virtual ~Log() = default;

  // Any thread. An entry below the level costs only a comparison.
  virtual void write(LogLevel level, std::string_view component, std::string_view message,
                     std::initializer_list<LogField> fields = {}) = 0;
  virtual void set_level(LogLevel level) = 0;  // Any thread.
};

std::unique_ptr<Log> make_log(LogLevel level, LogFormat format);

}  // namespace databridge::platform
