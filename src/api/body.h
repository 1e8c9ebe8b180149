// Strict reading of JSON bodies: nothing is guessed, nothing is ignored.
//
// Malformed text is `invalid` (400): not UTF-8, not JSON, deeper than 64, a key twice. Well-formed
// but wrong is `unprocessable` (422): a missing, mistyped or unknown field, and a whole number of
// more than 64 bits, which could not be kept to the digit. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace databridge::api {

Result<nlohmann::json> parse_json(std::string_view text);

// The fields of one object. Each is asked for once; the first thing that is wrong is remembered,
// and what nobody asked for is wrong too. Usage: read all, then `if (auto bad = fields.done())`.
class Fields {
 public:
  // `object` must outlive this.
  Fields(const nlohmann::json& object, std::string name);

  std::string text(const char* key, size_t length_max = 1024);  // Must be there.
  std::optional<std::string> optional_text(const char* key, size_t length_max = 1024);
  bool optional_bool(const char* key, bool otherwise);
  std::map<std::string, std::string> optional_texts(const char* key);  // Numbers, too, as text.
  std::vector<std::string> optional_list(const char* key);             // Of strings.
  const nlohmann::json* any(const char* key);                          // nullptr: not there.

  void wrong(std::string message);
  std::optional<Error> done();

 private:
  const nlohmann::json* find(const char* key);

  const nlohmann::json& object_;
  const std::string name_;  // Of the object, for messages.
  std::set<std::string> asked_;
  std::optional<Error> error_;
};

}  // namespace databridge::api
