// Result<T> holds either a value or the reason why there is none. It is for failures that happen to
// a correct program: a full disk, a lost peer, a bad request. Our own mistakes are CHECKs.
#pragma once

#include <databridge/result.h>

#include <string>
#include <utility>

namespace databridge {

[[nodiscard]] inline tl::unexpected<Error> fail(Code code, std::string message) {
  return tl::make_unexpected(Error{code, std::move(message)});
}

}  // namespace databridge
