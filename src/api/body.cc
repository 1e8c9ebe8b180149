#include "api/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/bytes.h"

namespace databridge::api {
namespace {

using nlohmann::json;

constexpr size_t kDepthMax = 64;

// Where a text that is quoted ends: behind its closing quote.
size_t end_of_string(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// Brackets are counted before anything recursive sees the text.
bool too_deep(std::string_view text) {
  size_t depth = 0;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      i = end_of_string(text, i);
      continue;
    }
    if (c == '[' || c == '{') {
      if (++depth > kDepthMax) return true;
    } else if (c == ']' || c == '}') {
      if (depth > 0) --depth;
    }
    ++i;
  }
  return false;
}

// The first whole number that 64 bits do not hold; empty: there is none. nlohmann makes a double of
// it, in silence, whose last digits are others. `text` is JSON.
std::string_view too_long_a_number(std::string_view text) {
  constexpr size_t kDigitsSafe = 18;  // So many always fit.
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      continue;
    }
    const size_t length = std::min(text.find_first_not_of("0123456789+-.eE", i), text.size()) - i;
    const std::string_view number = text.substr(i, length);
    i += std::max<size_t>(length, 1);
    if (number.size() <= kDigitsSafe || number.find_first_of(".eE") != std::string_view::npos) {
      continue;
    }
    int64_t negative = 0;
    uint64_t positive = 0;
    const char* end = number.data() + number.size();
    const bool fits = number.front() == '-'
                          ? std::from_chars(number.data(), end, negative).ec == std::errc()
                          : std::from_chars(number.data(), end, positive).ec == std::errc();
    if (!fits) return number;
  }
  return {};
}

}  // namespace

Result<json> parse_json(std::string_view text) {
  if (!is_utf8(text)) return fail(Code::invalid, "the body is not valid UTF-8");
  if (too_deep(text)) {
    return fail(Code::invalid, fmt::format("the body is nested deeper than {}", kDepthMax));
  }
  // nlohmann takes the last of two equal keys in silence; one of them was not meant.
  std::vector<std::set<std::string>> keys;
  std::string twice;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) twice = key;
    }
    return true;
  };
  try {
    json parsed = json::parse(text, watch);
    if (!twice.empty()) {
      return fail(Code::invalid, fmt::format("the body has the key \"{}\" twice", twice));
    }
    if (const std::string_view number = too_long_a_number(text); !number.empty()) {
      return fail(Code::unprocessable,
                  fmt::format("the number {} has more than 64 bits: write it as a string",
                              number.substr(0, 64)));
    }
    return parsed;
  } catch (const json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the tail is for
    // people.
    std::string_view what = error.what();
    if (const size_t end = what.find("] "); end != std::string_view::npos)
      what.remove_prefix(end + 2);
    return fail(Code::invalid, fmt::format("the body is not JSON: {}", what.substr(0, 200)));
  }
}

Fields::Fields(const json& object, std::string name) : object_(object), name_(std::move(name)) {
  if (!object_.is_object()) wrong(fmt::format("{} must be an object", name_));
}

void Fields::wrong(std::string message) {
  if (!error_) error_ = Error{Code::unprocessable, std::move(message)};
}

const json* Fields::find(const char* key) {
  asked_.insert(key);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

const json* Fields::any(const char* key) { return find(key); }

std::string Fields::text(const char* key, size_t length_max) {
  auto value = optional_text(key, length_max);
  if (!value) wrong(fmt::format("{} needs the field \"{}\"", name_, key));
  return value.value_or("");
}

std::optional<std::string> Fields::optional_text(const char* key, size_t length_max) {
  const json* value = find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_string()) {
    wrong(fmt::format("\"{}\" must be a string", key));
    return "";
  }
  auto text = value->get<std::string>();
  if (text.size() > length_max) {
    wrong(fmt::format("\"{}\" is longer than {} bytes", key, length_max));
  }
  return text;
}

bool Fields::optional_bool(const char* key, bool otherwise) {
  const json* value = find(key);
  if (value == nullptr || value->is_null()) return otherwise;
  if (!value->is_boolean()) {
    wrong(fmt::format("\"{}\" must be true or false", key));
    return otherwise;
  }
  return value->get<bool>();
}

std::map<std::string, std::string> Fields::optional_texts(const char* key) {
  std::map<std::string, std::string> texts;
  const json* value = find(key);
  if (value == nullptr || value->is_null()) return texts;
  if (!value->is_object()) {
    wrong(fmt::format("\"{}\" must be an object of strings", key));
    return texts;
  }
  for (const auto& [name, item] : value->items()) {
    if (item.is_string()) {
      texts[name] = item.get<std::string>();
    } else if (item.is_number() || item.is_boolean()) {
      texts[name] = item.dump();
    } else {
      wrong(fmt::format("\"{}\" in \"{}\" must be a string, a number, true or false", name, key));
    }
  }
  return texts;
}

std::vector<std::string> Fields::optional_list(const char* key) {
  std::vector<std::string> list;
  const json* value = find(key);
  if (value == nullptr || value->is_null()) return list;
  const bool fine =
      value->is_array() &&
      std::all_of(value->begin(), value->end(), [](const json& one) { return one.is_string(); });
  if (!fine) {
    wrong(fmt::format("\"{}\" must be a list of strings", key));
    return list;
  }
  for (const json& one : *value) list.push_back(one.get<std::string>());
  return list;
}

std::optional<Error> Fields::done() {
  if (error_ || !object_.is_object()) return error_;
  for (const auto& [key, value] : object_.items()) {
    if (asked_.count(key) == 0) {
      wrong(fmt::format("{} has an unknown field \"{}\"", name_, key));
      break;
    }
  }
  return error_;
}

}  // namespace databridge::api
