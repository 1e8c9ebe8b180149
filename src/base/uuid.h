// Uuid: 128 bits, written as 8-4-4-4-12 hexadecimal digits.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace databridge {

struct Uuid {
  uint64_t high = 0;
  uint64_t low = 0;

  auto operator<=>(const Uuid&) const = default;
  bool empty() const { return high == 0 && low == 0; }

  std::string text() const;

  // Version 7 (RFC 9562): `unix_ms` comes first, so that ids sort by the time when they were made.
  static Uuid make(int64_t unix_ms, Random& random);

  // Takes upper and lower case. The text must have 36 characters.
  static Result<Uuid> parse(std::string_view text);

  // A stable id for a name within a space: the processor "tail" of the flow "logs" keeps its id
  // when the flow is sent again. It is 122 bits of a hash, marked as version 8.
  static Uuid from_name(std::string_view space, std::string_view name);
};

}  // namespace databridge

template <>
struct std::hash<databridge::Uuid> {
  size_t operator()(const databridge::Uuid& id) const {
    return id.high ^ (id.low * 0x9e3779b97f4a7c15);
  }
};
