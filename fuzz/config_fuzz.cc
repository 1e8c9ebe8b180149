// Any text may be in the configuration file and on the command line: the first line holds the
// flags, the rest is the file. The result is an invocation, or an error of one line.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "daemon/invocation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view line = text.substr(0, text.find('\n'));
  const std::string file(text.substr(line.size() < size ? line.size() + 1 : size));
  std::vector<std::string> arguments{"--config=file.yaml"};
  for (size_t at = 0; at < line.size();) {
    const std::string_view word = line.substr(at, line.find(' ', at) - at);
    arguments.emplace_back(word);
    at += word.size() + 1;
  }
  const auto read = daemon::read_invocation(
      arguments, {}, [&](const std::string&) { return Result<std::string>(file); });
  if (!read) CHECK(read.error().message.find('\n') == std::string::npos);
  return 0;
}
