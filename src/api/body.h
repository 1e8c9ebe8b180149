// Strict reading of JSON bodies: nothing is guessed, nothing is ignored.
//
// Malformed text is `invalid` (400): not UTF-8, not JSON, deeper than 64, a key twice. Well-formed
// but wrong is `unprocessable` (422): a missing, mistyped or unknown field, and a whole number of
// more than 64 bits, which many a reader would not keep to the digit. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace databridge::api {

// One value of a body that was read: text of one spelling, without spaces, the keys in the order
// and the numbers in the spelling of the body. Looks into that Body, which must outlive it.
class JsonValue {
 public:
  enum class Kind : uint8_t { null, boolean, number, string, array, object };

  Kind kind() const;
  bool is(Kind wanted) const { return kind() == wanted; }
  std::string_view json() const { return json_; }
  std::string text() const;  // Of a string: what it says, without escapes. Of all else empty.
  std::vector<JsonValue> elements() const;  // Of an array; of all else none.
  // Of an object: keys, which are strings, and their values; of all else none.
  std::vector<std::pair<JsonValue, JsonValue>> members() const;

 private:
  friend class Body;
  explicit JsonValue(std::string_view json) : json_(json) {}

  std::string_view json_;
};

class Body {
 public:
  explicit Body(std::string json) : json_(std::move(json)) {}
  JsonValue root() const { return JsonValue(json_); }

 private:
  std::string json_;  // As JsonValue has it; nothing else may be given to the constructor.
};

Result<Body> parse_json(const std::string& text);

// The fields of one object. Each is asked for once; the first thing that is wrong is remembered,
// and what nobody asked for is wrong too. Usage: read all, then `if (auto bad = fields.done())`.
class Fields {
 public:
  Fields(const JsonValue& object, std::string name);

  std::string text(std::string_view key, size_t length_max = 1024);  // Must be there.
  std::optional<std::string> optional_text(std::string_view key, size_t length_max = 1024);
  bool optional_bool(std::string_view key, bool otherwise);
  std::map<std::string, std::string> optional_texts(
      std::string_view key);                                     // Numbers, too, as text.
  std::vector<std::string> optional_list(std::string_view key);  // Of strings.
  std::optional<JsonValue> any(std::string_view key);

  void wrong(std::string message);
  std::optional<Error> done();

 private:
  struct Field {
    JsonValue key;
    JsonValue value;
    bool asked = false;
  };
  std::optional<JsonValue> find(std::string_view key);  // A null counts as not there.

  std::vector<Field> fields_;
  const std::string name_;  // Of the object, for messages.
  std::optional<Error> error_;
};

}  // namespace databridge::api
