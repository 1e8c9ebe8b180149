// Strict reading of JSON bodies: it guesses nothing and ignores nothing.
//
// Malformed text is `invalid` (400): it is not UTF-8, not JSON, deeper than 64 levels, or has a key
// twice. Well-formed text that is wrong is `unprocessable` (422): a field is missing, unknown or of
// the wrong type, or a whole number has more than 64 bits, which many readers would not keep
// exactly. Pure.
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

// One value of a body that was read. Its text has one fixed spelling, without spaces; keys keep the
// order of the body, and numbers its spelling. It refers to the Body, which must outlive it.
class JsonValue {
 public:
  enum class Kind : uint8_t { null, boolean, number, string, array, object };

  Kind kind() const;
  bool is(Kind wanted) const { return kind() == wanted; }
  std::string_view json() const { return json_; }
  std::string text() const;                 // For a string: its value without escapes. Else empty.
  std::vector<JsonValue> elements() const;  // For an array: its elements. Else none.
  // For an object: its keys, which are strings, and their values. Else none.
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
  std::string json_;  // In the spelling of JsonValue. The constructor accepts no other text.
};

Result<Body> parse_json(const std::string& text);

// The fields of one object. Each field is read once. The first error is remembered, and a field
// that was not read is an error, too. Usage: read all fields, then `if (auto bad = fields.done())`.
class Fields {
 public:
  Fields(const JsonValue& object, std::string name);

  std::string text(std::string_view key, size_t length_max = 1024);  // It must be there.
  std::optional<std::string> optional_text(std::string_view key, size_t length_max = 1024);
  bool optional_bool(std::string_view key, bool otherwise);
  std::map<std::string, std::string> optional_texts(
      std::string_view key);                                     // Numbers are taken, too, as text.
  std::vector<std::string> optional_list(std::string_view key);  // A list of strings.
  std::optional<JsonValue> any(std::string_view key);

  void wrong(std::string message);
  std::optional<Error> done();

 private:
  struct Field {
    JsonValue key;
    JsonValue value;
    bool asked = false;
  };
  std::optional<JsonValue> find(std::string_view key);  // A null counts as missing.

  std::vector<Field> fields_;
  const std::string name_;  // The name of the object, for messages.
  std::optional<Error> error_;
};

}  // namespace databridge::api
