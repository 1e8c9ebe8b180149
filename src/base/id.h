// Ids of distinct types, so that a node id can never be passed as a flow id.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace databridge {

// A number whose type names its kind. Zero means "none".
template <typename Tag>
struct NumberId {
  uint64_t value = 0;

  auto operator<=>(const NumberId&) const = default;
  explicit operator bool() const { return value != 0; }
};

// A text whose type names its kind. An empty text means "none".
template <typename Tag>
struct TextId {
  std::string value;

  TextId() = default;
  explicit TextId(std::string text) : value(std::move(text)) {}
  auto operator<=>(const TextId&) const = default;
  bool empty() const { return value.empty(); }
};

}  // namespace databridge

template <typename Tag>
struct std::hash<databridge::NumberId<Tag>> {
  size_t operator()(const databridge::NumberId<Tag>& id) const {
    return std::hash<uint64_t>{}(id.value);
  }
};
template <typename Tag>
struct std::hash<databridge::TextId<Tag>> {
  size_t operator()(const databridge::TextId<Tag>& id) const {
    return std::hash<std::string>{}(id.value);
  }
};
