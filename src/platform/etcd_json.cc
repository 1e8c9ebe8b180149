#include "platform/etcd_json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

namespace databridge::platform {
namespace {

using nlohmann::json;

constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kValueMax = 1024;
constexpr size_t kErrorMax = 200;  // Of what etcd says.

// A field of an object, or null.
const json& field(const json& object, const char* name) {
  static const json none;
  if (!object.is_object()) return none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

// 64 bits come as text, smaller numbers as numbers.
int64_t number(const json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_string()) return 0;
  const auto& text = value.get_ref<const std::string&>();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? number : 0;
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

// Whole text only, and no deeper than etcd's own answers are. It throws nothing.
Result<json> parse(BytesView text) {
  if (text.size() > kEtcdAnswerMax) return fail(Code::invalid, "etcd's answer is too long");
  constexpr int kDepthMax = 16;
  const auto shallow = [](int depth, json::parse_event_t, json&) { return depth <= kDepthMax; };
  json value = json::parse(text, shallow, false);
  if (!value.is_object()) return fail(Code::invalid, "etcd's answer is no JSON object");
  if (const json& error = field(value, "error"); !error.is_null()) {
    const std::string words = text_of(error.is_object() ? field(error, "message") : error);
    return fail(Code::unavailable, "etcd says: " + words.substr(0, kErrorMax));
  }
  return value;
}

// Answers of a stream stand in "result".
const json& result_of(const json& answer) {
  const json& result = field(answer, "result");
  return result.is_object() ? result : answer;
}

bool is_name_or_empty(const std::string& text) { return text.empty() || is_valid_name(text, 64); }

}  // namespace

std::string to_base64(BytesView bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t k) -> uint32_t {
      return i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0;
    };
    const uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::optional<Bytes> from_base64(BytesView text) {
  if (text.size() % 4 != 0) return std::nullopt;
  Bytes bytes;
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    size_t padding = 0;
    for (size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      const BytesView digits(kDigits, 64);
      const size_t digit = digits.find(c);
      if (c == '=' && i + 4 == text.size() && k >= 2) {
        ++padding;
      } else if (digit == BytesView::npos || padding > 0) {
        return std::nullopt;
      }
      group = group << 6 | static_cast<uint32_t>(c == '=' ? 0 : digit);
    }
    for (size_t k = 0; k < 3 - padding; ++k) {
      bytes += static_cast<char>(group >> (16 - 8 * k) & 0xff);
    }
  }
  return bytes;
}

std::string etcd_value(const Sighting& node) {
  return json{{"node", node.node.value},
              {"address", node.address.text()},
              {"incarnation", fmt::format("{:016x}", node.incarnation.value)},
              {"cluster", node.cluster.value}}
      .dump(-1, ' ', true, json::error_handler_t::replace);
}

std::optional<Sighting> parse_etcd_value(BytesView value) {
  if (value.size() > kValueMax) return std::nullopt;
  const auto read = parse(value);
  if (!read) return std::nullopt;
  auto address = Address::parse(text_of(field(*read, "address")));
  const std::string node = text_of(field(*read, "node"));
  const std::string cluster = text_of(field(*read, "cluster"));
  const std::string hex = text_of(field(*read, "incarnation"));
  uint64_t incarnation = 0;
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), incarnation, 16);
  if (!address || error != std::errc{} || end != hex.data() + hex.size() || incarnation == 0 ||
      !is_name_or_empty(node) || !is_name_or_empty(cluster)) {
    return std::nullopt;
  }
  return Sighting{std::move(*address), NodeId(node), Incarnation{incarnation}, ClusterId(cluster)};
}

Bytes etcd_range_end(Bytes prefix) {
  // The prefixes of this program end with '/'.
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

Result<EtcdLease> parse_etcd_lease(BytesView text) {
  const auto answer = parse(text);
  if (!answer) return tl::make_unexpected(answer.error());
  const json& result = result_of(*answer);
  const EtcdLease lease{number(field(result, "ID")), number(field(result, "TTL"))};
  if (lease.id == 0) return fail(Code::invalid, "etcd's answer names no lease");
  return lease;
}

Result<EtcdRange> parse_etcd_range(BytesView text) {
  const auto answer = parse(text);
  if (!answer) return tl::make_unexpected(answer.error());
  EtcdRange range;
  range.revision = number(field(field(*answer, "header"), "revision"));
  if (range.revision <= 0) return fail(Code::invalid, "etcd's answer names no revision");
  const json& pairs = field(*answer, "kvs");
  if (!pairs.is_array()) return range;
  for (const json& pair : pairs) {
    const auto value = from_base64(text_of(field(pair, "value")));
    auto node = value ? parse_etcd_value(*value) : std::nullopt;
    if (!node) {
      ++range.unreadable;
    } else if (range.nodes.size() < kSightingsMax) {
      range.nodes.push_back(std::move(*node));
    }
  }
  return range;
}

Result<EtcdWatched> parse_etcd_watched(BytesView text) {
  const auto answer = parse(text);
  if (!answer) return tl::make_unexpected(answer.error());
  const json& result = result_of(*answer);
  const json& events = field(result, "events");
  const json& canceled = field(result, "canceled");
  return EtcdWatched{events.is_array() && !events.empty(),
                     canceled.is_boolean() && canceled.get<bool>()};
}

}  // namespace databridge::platform
