// The log of a node that runs inside a program: lines go to the program, or warnings and errors go
// to standard error.
//
// - Hides: which thread writes. Any may.
#pragma once

#include <databridge/callbacks.h>

#include <atomic>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "platform/log.h"

namespace databridge::lib {

class CallbackLog final : public platform::Log {
 public:
  using Sink = std::function<void(LogLevel, std::string_view)>;
  explicit CallbackLog(Sink sink, platform::LogLevel level)
      : sink_(std::move(sink)), level_(level) {}

  void write(platform::LogLevel level, std::string_view component, std::string_view message,
             std::initializer_list<platform::LogField> fields = {}) override;
  void set_level(platform::LogLevel level) override { level_ = level; }

 private:
  const Sink sink_;
  std::atomic<platform::LogLevel> level_;
};

}  // namespace databridge::lib
