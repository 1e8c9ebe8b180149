#include "lib/callback_log.h"

#include <cstdio>
#include <string>

#include "lib/callback_scope.h"

namespace databridge::lib {
namespace {

LogLevel public_level(platform::LogLevel level) {
  switch (level) {
    case platform::LogLevel::debug:
      return LogLevel::debug;
    case platform::LogLevel::info:
      return LogLevel::info;
    case platform::LogLevel::warn:
      return LogLevel::warn;
    case platform::LogLevel::error:
      break;
  }
  return LogLevel::error;
}

}  // namespace

void CallbackLog::write(platform::LogLevel level, std::string_view component,
                        std::string_view message,
                        std::initializer_list<platform::LogField> fields) {
  if (level < level_) return;
  std::string line = std::string(component) + ": " + std::string(message);
  for (const platform::LogField& field : fields) {
    line += " " + std::string(field.key) + "=" + field.value;
  }
  if (sink_) {
    const CallbackScope scope;
    sink_(public_level(level), line);
  } else if (level >= platform::LogLevel::warn) {
    std::fprintf(stderr, "databridge: %s\n", line.c_str());
  }
}

}  // namespace databridge::lib
