// Result<T> holds either a value or the reason why there is none. It is for failures that happen to
// a correct program: a full disk, a lost peer, a bad request. Our own mistakes are CHECKs.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace databridge {

// The codes that a caller may branch on. The names up to `internal` are those of the REST contract.
enum class Code {
  invalid,
  not_found,
  conflict,
  forbidden,
  too_large,
  gone,
  no_leader,
  no_quorum,
  unavailable,
  timed_out,
  internal,
  unprocessable,  // Well-formed, but impossible or with unknown fields: REST 422 `invalid`.
  corrupt,
  io,
};

struct Error {
  Code code;            // For programs: the only thing a caller may branch on.
  std::string message;  // For people: lower case, no full stop; names what failed and what to do.

  bool operator==(const Error&) const = default;
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Code code, std::string message) {
  return tl::make_unexpected(Error{code, std::move(message)});
}

}  // namespace databridge
