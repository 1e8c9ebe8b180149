// Writes JSON straight into a string: the views build no document in between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace databridge::api {

// Appends `"text"` with all necessary escapes. Invalid UTF-8 becomes U+FFFD, so that the document
// stays valid.
void append_quoted(std::string& to, std::string_view text);

// RFC 3339 UTC with milliseconds: 2026-11-22T20:00:00.123Z.
void append_time(std::string& to, int64_t unix_ms);

// Sets the commas: json.object().key("a").number(1).key("b").array().end_array().end_object().
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& end_array() { return close(']'); }

  // The name comes from the source code, so it needs no escaping.
  JsonWriter& key(std::string_view name) {
    comma();
    out_ += '"';
    out_ += name;
    out_ += "\":";
    comma_ = false;
    return *this;
  }
  // A name that comes from outside.
  JsonWriter& foreign_key(std::string_view name) {
    comma();
    append_quoted(out_, name);
    out_ += ':';
    comma_ = false;
    return *this;
  }

  JsonWriter& text(std::string_view value);
  JsonWriter& text_or_null(std::string_view value);  // An empty value gives null.
  JsonWriter& number(uint64_t value);
  JsonWriter& number(double value);  // Rounded to 4 places. NaN and infinity become 0.
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  JsonWriter& time(int64_t unix_ms);  // 0 gives null.
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
