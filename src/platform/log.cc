#include "platform/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <time.h>

#include <array>
#include <atomic>
#include <chrono>

#include "base/bytes.h"

namespace databridge::platform {
namespace {

constexpr std::array<const char*, 4> kLevelNames = {"debug", "info", "warn", "error"};

// The length of the UTF-8 character at the front, or 0 if there is none.
size_t rune_length(std::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (is_utf8(text.substr(0, length))) return length;
  }
  return 0;
}

// Appends the text so that it fits between double quotes: of JSON, and of our text format.
void append_escaped(std::string& to, std::string_view text) {
  while (!text.empty()) {
    const char c = text.front();
    const size_t length = rune_length(text);
    if (length == 0) {
      to += "\xef\xbf\xbd";  // The replacement character: a log must stay readable as text.
    } else if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (c == '\n') {
      to += "\\n";
    } else if (c == '\t') {
      to += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      to += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      to += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  append_escaped(to, text);
  to += '"';
}

bool is_plain(std::string_view text) {
  return !text.empty() && text.find_first_of(" =\"\\") == std::string_view::npos;
}

std::string timestamp(int64_t unix_ms) {
  const time_t seconds = unix_ms / 1000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     unix_ms % 1000);
}

class StderrLog : public Log {
 public:
  StderrLog(LogLevel level, LogFormat format)
      : format_(format),
        level_(level),
        logger_("databridge", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
    logger_.flush_on(spdlog::level::trace);
  }

  void write(LogLevel level, std::string_view component, std::string_view message,
             std::initializer_list<LogField> fields) override {
    if (level < level_.load(std::memory_order_relaxed)) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    logger_.log(spdlog::level::info,
                format_log_line(format_, ms, level, component, message, fields));
  }

  void set_level(LogLevel level) override { level_ = level; }

 private:
  const LogFormat format_;
  std::atomic<LogLevel> level_;
  spdlog::logger logger_;
};

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (text == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return fail(Code::invalid,
              fmt::format("log level \"{}\" is none of debug, info, warn, error", text));
}

Result<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::text;
  if (text == "json") return LogFormat::json;
  return fail(Code::invalid, fmt::format("log format \"{}\" is neither text nor json", text));
}

std::string format_log_line(LogFormat format, int64_t unix_ms, LogLevel level,
                            std::string_view component, std::string_view message,
                            std::initializer_list<LogField> fields) {
  const char* level_name = kLevelNames[static_cast<size_t>(level)];
  if (format == LogFormat::json) {
    std::string line = fmt::format(
        "{{\"time\":\"{}\",\"level\":\"{}\",\"component\":", timestamp(unix_ms), level_name);
    append_quoted(line, component);
    line += ",\"message\":";
    append_quoted(line, message);
    for (const auto& field : fields) {
      line += ',';
      append_quoted(line, field.key);
      line += ':';
      append_quoted(line, field.value);
    }
    return line + '}';
  }
  std::string line = fmt::format("{} {:<5} {}: ", timestamp(unix_ms), level_name, component);
  append_escaped(line, message);
  for (const auto& field : fields) {
    line += fmt::format(" {}=", field.key);
    std::string value;
    append_escaped(value, field.value);
    // An escaped value has a backslash, and so gets quotes.
    line += is_plain(value) ? value : '"' + value + '"';
  }
  return line;
}

std::unique_ptr<Log> make_log(LogLevel level, LogFormat format) {
  return std::make_unique<StderrLog>(level, format);
}

}  // namespace databridge::platform
