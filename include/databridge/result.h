// Result<T> holds either a value or the reason why there is none.
//
// It is for failures that happen to a correct program: a full disk, a lost peer, a bad request. No
// function of the library throws an exception of its own.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace databridge {

// The codes that a caller may branch on. The names up to `internal` are those of the REST API.
enum class Code {
  invalid,        // The call is not well-formed; the message says what to correct.
  not_found,      // There is nothing of that name.
  conflict,       // It does not fit the present state, such as a compare-and-set that lost.
  forbidden,      // It is not allowed, such as a checkpoint under an old epoch.
  too_large,      // It is above a limit that the message names.
  gone,           // It was there and is no longer kept, such as old events.
  no_leader,      // No node leads at the moment. Nothing was changed. Try again.
  no_quorum,      // Too few voters are in reach. Nothing was changed.
  unavailable,    // This node cannot do it now, such as while it stops. Nothing was changed.
  timed_out,      // The deadline has passed. It is not known whether the change was made.
  internal,       // A mistake of the library.
  unprocessable,  // Well-formed, but impossible.
  corrupt,        // Data on the disk is damaged.
  io,             // The disk or the network of this machine has failed.
};

struct Error {
  Code code;            // For programs: the only thing a caller may branch on.
  std::string message;  // For people: lower case, no full stop; names what failed and what to do.

  bool operator==(const Error&) const = default;
};

template <typename T>
using Result = tl::expected<T, Error>;

}  // namespace databridge
