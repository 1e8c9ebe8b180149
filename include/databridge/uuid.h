// Uuid: 128 bits, written as 8-4-4-4-12 hexadecimal digits. Processors and connections have one.
#pragma once

#include <databridge/export.h>
#include <databridge/result.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace databridge {

struct Uuid {
  uint64_t high = 0;
  uint64_t low = 0;

  auto operator<=>(const Uuid&) const = default;
  bool empty() const { return high == 0 && low == 0; }

  DATABRIDGE_EXPORT std::string text() const;

  // Random. Its first 48 bits are the time (RFC 9562, version 7). Any thread.
  DATABRIDGE_EXPORT static Uuid random();

  // Takes upper and lower case. The text must have 36 characters. Code::invalid otherwise, and for
  // the nil uuid.
  DATABRIDGE_EXPORT static Result<Uuid> parse(std::string_view text);

  // A stable id for a name within a space: the processor "tail" of the flow "logs" keeps its id
  // when the flow is sent again. It is 122 bits of a hash, marked as version 8.
  DATABRIDGE_EXPORT static Uuid from_name(std::string_view space, std::string_view name);
};

}  // namespace databridge

template <>
struct std::hash<databridge::Uuid> {
  size_t operator()(const databridge::Uuid& id) const {
    return id.high ^ (id.low * 0x9e3779b97f4a7c15);
  }
};
