// Any body may come. It is compared with nlohmann-json: both must read the same value, except for
// bodies that are refused with a reason of their own (a key twice, too deep, too large a number).
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "api/body.h"
#include "base/bytes.h"
#include "base/check.h"

namespace {

using databridge::api::JsonValue;

nlohmann::json tree(const JsonValue& value) {
  nlohmann::json made;
  switch (value.kind()) {
    case JsonValue::Kind::string:
      return value.text();
    case JsonValue::Kind::array:
      made = nlohmann::json::array();
      for (const JsonValue& each : value.elements()) made.push_back(tree(each));
      return made;
    case JsonValue::Kind::object:
      made = nlohmann::json::object();
      for (const auto& [key, each] : value.members()) {
        CHECK(made.emplace(key.text(), tree(each)).second);  // No key is there twice.
      }
      return made;
    default:
      return nlohmann::json::parse(value.json());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto read = databridge::api::parse_json(text);
  if (!read) {
    const std::string& why = read.error().message;
    CHECK(databridge::is_utf8(why) || !databridge::is_utf8(text));
    // nlohmann-json does not look behind a zero byte.
    if (text.find('\0') != std::string::npos) return 0;
    for (const char* reason : {"twice", "deeper", "too large", "too big", "64 bits"}) {
      if (why.find(reason) != std::string::npos) return 0;
    }
    CHECK(!nlohmann::json::accept(text));
    return 0;
  }
  const nlohmann::json expected = nlohmann::json::parse(text);
  CHECK(tree(read->root()) == expected);
  CHECK(nlohmann::json::parse(read->root().json()) == expected);
  const auto again = databridge::api::parse_json(std::string(read->root().json()));
  CHECK(again && again->root().json() == read->root().json());
  return 0;
}
