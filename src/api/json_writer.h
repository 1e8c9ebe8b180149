// JSON written straight into a string: the views make nothing else on their way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace databridge::api {

// `"text"` with all that must be escaped. Invalid UTF-8 becomes U+FFFD, so the document stays
// valid.
void append_quoted(std::string& to, std::string_view text);

// RFC 3339 UTC with milliseconds: 2026-11-22T20:00:00.123Z.
void append_time(std::string& to, int64_t unix_ms);

// Keeps the commas: json.object().key("a").number(1).key("b").array().end_array().end_object().
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& end_array() { return close(']'); }

  // Names come from the source, so they need no escaping.
  JsonWriter& key(std::string_view name) {
    comma();
    out_ += '"';
    out_ += name;
    out_ += "\":";
    comma_ = false;
    return *this;
  }
  // A name that came from outside.
  JsonWriter& foreign_key(std::string_view name) {
    comma();
    append_quoted(out_, name);
    out_ += ':';
    comma_ = false;
    return *this;
  }

  JsonWriter& text(std::string_view value);
  JsonWriter& text_or_null(std::string_view value);  // Empty: null.
  JsonWriter& number(uint64_t value);
  JsonWriter& number(double value);  // Rounded to 4 places; never NaN or infinite.
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  JsonWriter& time(int64_t unix_ms);  // 0: null.
  JsonWriter& raw(std::string_view json);

 private:
  void comma() {
    if (comma_) out_ += ',';
    comma_ = true;
  }
  JsonWriter& open(char bracket) {
    comma();
    out_ += bracket;
    comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    comma_ = true;
    return *this;
  }

  std::string& out_;
  bool comma_ = false;
};

}  // namespace databridge::api
