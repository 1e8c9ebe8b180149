#include "api/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/bytes.h"
#include "base/check.h"

#define RAPIDJSON_ASSERT(condition) CHECK(condition)
#ifdef __clang__  // RapidJSON 1.1 adds to a null pointer before it sees that it has no room.
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#ifdef __clang__
#pragma clang attribute pop
#endif

namespace databridge::api {
namespace {

using rapidjson::SizeType;

constexpr size_t kDepthMax = 64;
// Iterative, so that deep hostile text does not make deep recursion. The encoding is checked
// before, since RapidJSON 1.1 looks for the rest of a character beyond the end of the text.
constexpr unsigned kHow = rapidjson::kParseIterativeFlag;

bool in_number(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

bool is_infinite(std::string_view number) {
  if (number.size() < 300 && number.find_first_of("eE") == std::string_view::npos) return false;
  return std::isinf(std::strtod(std::string(number).c_str(), nullptr));
}

// RapidJSON's reader calls a function of this class for each token; false ends the reading. Numbers
// are taken from the text, so that digits that a double cannot hold are kept.
class Handler {
 public:
  using Ch = char;  // RapidJSON requires this name.

  Handler(const std::string& text, const rapidjson::StringStream& in)
      : text_(text), in_(in), buffer_(nullptr, text.size() + 1), out_(buffer_) {}

  bool Null() { return out_.Null(); }
  bool Bool(bool value) { return out_.Bool(value); }
  bool Int(int) { return write(number()); }
  bool Uint(unsigned) { return write(number()); }
  bool Int64(int64_t) { return write(number()); }
  bool Uint64(uint64_t) { return write(number()); }
  bool Double(double);
  bool RawNumber(const char*, SizeType, bool) { return false; }  // Not used.
  bool String(const char* text, SizeType size, bool) {
    return is_sound({text, size}) && out_.String(text, size);
  }
  bool Key(const char* text, SizeType size, bool);
  bool StartObject() { return may_open() && out_.StartObject(); }
  bool StartArray() { return may_open() && out_.StartArray(); }
  bool EndObject(SizeType members);
  bool EndArray(SizeType) {
    --depth_;
    return out_.EndArray();
  }

  // Why this handler ended the reading, or why the result must not be used.
  std::optional<Error> error;
  std::string_view json() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  // The number that was just read. RapidJSON may be at its first character or after its last one.
  std::string_view number() const {
    const char* begin = in_.src_;
    const char* end = begin;
    while (in_number(*end)) ++end;
    if (begin == end) {
      while (begin > text_.c_str() && in_number(begin[-1])) --begin;
    }
    return {begin, static_cast<size_t>(end - begin)};
  }
  bool write(std::string_view number) {
    return out_.RawValue(number.data(), number.size(), rapidjson::kNumberType);
  }
  // RapidJSON 1.1 accepts the second half of a surrogate pair alone. The bytes that it makes of it
  // begin with this byte and are not UTF-8.
  bool is_sound(std::string_view text) {
    if (text.find('\xed') == std::string_view::npos || is_utf8(text)) return true;
    error = Error{Code::invalid, "the body is not JSON: half a surrogate pair in a string"};
    return false;
  }
  bool may_open() {
    if (++depth_ <= kDepthMax) return true;
    error = Error{Code::invalid, fmt::format("the body is nested deeper than {}", kDepthMax)};
    return false;
  }

  const std::string& text_;
  const rapidjson::StringStream& in_;
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> out_;
  size_t depth_ = 0;
  std::vector<std::string> keys_;  // The keys of the objects that have not ended yet.
};

bool Handler::Double(double) {
  const std::string_view spelled = number();
  // A whole number comes as a double if it does not fit into 64 bits.
  if (spelled.find_first_of(".eE") == std::string_view::npos) {
    if (!error) {
      error = Error{Code::unprocessable,
                    fmt::format("the number {} has more than 64 bits: write it as a string",
                                spelled.substr(0, 64))};
    }
  } else if (is_infinite(spelled)) {
    error = Error{Code::invalid, fmt::format("the body is not JSON: the number {} is too large",
                                             spelled.substr(0, 64))};
    return false;
  }
  return write(spelled);
}

bool Handler::Key(const char* text, SizeType size, bool) {
  if (!is_sound({text, size})) return false;
  keys_.emplace_back(text, size);
  return out_.Key(text, size);
}

// Most readers silently take the last of two equal keys. The client cannot have meant both, so this
// is an error.
bool Handler::EndObject(SizeType members) {
  --depth_;
  const auto first = keys_.end() - static_cast<std::ptrdiff_t>(members);
  auto twin = keys_.end();
  if (members > 32) {
    std::sort(first, keys_.end());
    twin = std::adjacent_find(first, keys_.end());
  } else {  // The keys mostly differ in length, so comparing all pairs is fast.
    for (auto key = first; key != keys_.end() && twin == keys_.end(); ++key) {
      twin = std::find(key + 1, keys_.end(), *key);
    }
  }
  if (twin != keys_.end()) {
    error = Error{Code::invalid, fmt::format("the body has the key \"{}\" twice", *twin)};
    return false;
  }
  keys_.erase(first, keys_.end());
  return out_.EndObject();
}

// "line 1, column 9"; both count from 1, columns in bytes.
std::string place_of(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return fmt::format("line {}, column {}", 1 + std::count(before.begin(), before.end(), '\n'),
                     at - line_start + 1);
}

std::string words_of(rapidjson::ParseErrorCode code) {
  std::string words = rapidjson::GetParseError_En(code);
  if (!words.empty() && words.back() == '.') words.pop_back();
  if (!words.empty()) {
    words[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(words[0])));
  }
  return words;
}

// Where the value that begins at `at` ends. The text has the spelling of JsonValue.
size_t end_of_value(std::string_view json, size_t at) {
  size_t depth = 0;
  for (; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      for (++at; json[at] != '"'; ++at) {
        if (json[at] == '\\') ++at;
      }
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (depth-- == 0) return at;
    } else if ((c == ',' || c == ':') && depth == 0) {
      return at;
    }
  }
  return at;
}

}  // namespace

Result<Body> parse_json(const std::string& text) {
  if (!is_utf8(text)) return fail(Code::invalid, "the body is not valid UTF-8");
  // Some programs write a byte order mark first.
  rapidjson::StringStream in(text.c_str() + (text.starts_with("\xef\xbb\xbf") ? 3 : 0));
  Handler handler(text, in);
  rapidjson::Reader reader;
  reader.Parse<kHow>(in, handler);
  if (reader.GetParseErrorCode() == rapidjson::kParseErrorTermination) {
    return tl::make_unexpected(handler.error.value());
  }
  const auto read = static_cast<size_t>(in.src_ - text.c_str());
  if (reader.HasParseError()) {
    const std::string place = place_of(text, std::min(read, text.size()));
    return fail(Code::invalid, fmt::format("the body is not JSON: {}: {}", place,
                                           words_of(reader.GetParseErrorCode())));
  }
  // To the reader a zero byte looks like the end of the text.
  if (read != text.size()) {
    return fail(Code::invalid,
                fmt::format("the body is not JSON: {}: a zero byte", place_of(text, read)));
  }
  if (handler.error) return tl::make_unexpected(*handler.error);
  return Body(std::string(handler.json()));
}

JsonValue::Kind JsonValue::kind() const {
  switch (json_.front()) {
    case 'n':
      return Kind::null;
    case 't':
    case 'f':
      return Kind::boolean;
    case '"':
      return Kind::string;
    case '[':
      return Kind::array;
    case '{':
      return Kind::object;
    default:
      return Kind::number;
  }
}

std::string JsonValue::text() const {
  if (!is(Kind::string)) return "";
  const std::string_view inner = json_.substr(1, json_.size() - 2);
  if (inner.find('\\') == std::string_view::npos) return std::string(inner);
  // A text with escapes is parsed once more.
  rapidjson::Document document;
  document.Parse(json_.data(), json_.size());
  return std::string(document.GetString(), document.GetStringLength());
}

std::vector<JsonValue> JsonValue::elements() const {
  std::vector<JsonValue> elements;
  if (!is(Kind::array)) return elements;
  for (size_t at = 1; at + 1 < json_.size();) {
    const size_t end = end_of_value(json_, at);
    elements.push_back(JsonValue(json_.substr(at, end - at)));
    at = end + 1;
  }
  return elements;
}

std::vector<std::pair<JsonValue, JsonValue>> JsonValue::members() const {
  std::vector<std::pair<JsonValue, JsonValue>> members;
  if (!is(Kind::object)) return members;
  for (size_t at = 1; at + 1 < json_.size();) {
    const size_t colon = end_of_value(json_, at);
    const size_t end = end_of_value(json_, colon + 1);
    members.emplace_back(JsonValue(json_.substr(at, colon - at)),
                         JsonValue(json_.substr(colon + 1, end - colon - 1)));
    at = end + 1;
  }
  return members;
}

Fields::Fields(const JsonValue& object, std::string name) : name_(std::move(name)) {
  if (!object.is(JsonValue::Kind::object)) wrong(fmt::format("{} must be an object", name_));
  for (const auto& [key, value] : object.members()) fields_.push_back({key, value});
}

void Fields::wrong(std::string message) {
  if (!error_) error_ = Error{Code::unprocessable, std::move(message)};
}

std::optional<JsonValue> Fields::any(std::string_view key) {
  for (Field& field : fields_) {
    // A key that this program knows has no escapes.
    const std::string_view quoted = field.key.json();
    if (quoted.substr(1, quoted.size() - 2) != key) continue;
    field.asked = true;
    return field.value;
  }
  return std::nullopt;
}

std::optional<JsonValue> Fields::find(std::string_view key) {
  auto value = any(key);
  if (value && value->is(JsonValue::Kind::null)) value.reset();
  return value;
}

std::string Fields::text(std::string_view key, size_t length_max) {
  auto value = optional_text(key, length_max);
  if (!value) wrong(fmt::format("{} needs the field \"{}\"", name_, key));
  return value.value_or("");
}

std::optional<std::string> Fields::optional_text(std::string_view key, size_t length_max) {
  const auto value = find(key);
  if (!value) return std::nullopt;
  if (!value->is(JsonValue::Kind::string)) {
    wrong(fmt::format("\"{}\" must be a string", key));
    return "";
  }
  std::string text = value->text();
  if (text.size() > length_max) {
    wrong(fmt::format("\"{}\" is longer than {} bytes", key, length_max));
  }
  return text;
}

bool Fields::optional_bool(std::string_view key, bool otherwise) {
  const auto value = find(key);
  if (!value) return otherwise;
  if (!value->is(JsonValue::Kind::boolean)) {
    wrong(fmt::format("\"{}\" must be true or false", key));
    return otherwise;
  }
  return value->json() == "true";
}

std::map<std::string, std::string> Fields::optional_texts(std::string_view key) {
  std::map<std::string, std::string> texts;
  const auto value = find(key);
  if (!value) return texts;
  if (!value->is(JsonValue::Kind::object)) {
    wrong(fmt::format("\"{}\" must be an object of strings", key));
    return texts;
  }
  for (const auto& [name, item] : value->members()) {
    if (item.is(JsonValue::Kind::string)) {
      texts.emplace(name.text(), item.text());
    } else if (item.is(JsonValue::Kind::number) || item.is(JsonValue::Kind::boolean)) {
      texts.emplace(name.text(), item.json());
    } else {
      wrong(fmt::format("\"{}\" in \"{}\" must be a string, a number, true or false", name.text(),
                        key));
    }
  }
  return texts;
}

std::vector<std::string> Fields::optional_list(std::string_view key) {
  std::vector<std::string> list;
  const auto value = find(key);
  if (!value) return list;
  bool fine = value->is(JsonValue::Kind::array);
  for (const JsonValue& one : value->elements()) {
    fine &= one.is(JsonValue::Kind::string);
    list.push_back(one.text());
  }
  if (!fine) {
    wrong(fmt::format("\"{}\" must be a list of strings", key));
    list.clear();
  }
  return list;
}

std::optional<Error> Fields::done() {
  for (const Field& field : fields_) {
    if (error_) break;
    if (!field.asked) wrong(fmt::format("{} has an unknown field \"{}\"", name_, field.key.text()));
  }
  return error_;
}

}  // namespace databridge::api
