// Spoiled bytes, for tests of decoders.
#pragma once

#include "base/bytes.h"
#include "base/random.h"

namespace databridge {

// Damage as the network might do it: bytes are cut, flipped, repeated, or replaced altogether.
inline Bytes spoiled(Bytes bytes, Random& random) {
  switch (random.below(4)) {
    case 0:
      bytes.resize(random.below(bytes.size() + 1));
      break;
    case 1:
      for (uint64_t n = random.between(1, 4); n > 0 && !bytes.empty(); --n) {
        bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      }
      break;
    case 2:
      bytes.insert(random.below(bytes.size() + 1), bytes.substr(random.below(bytes.size() + 1)));
      break;
    default:
      bytes.resize(random.below(200));
      for (auto& c : bytes) c = static_cast<char>(random.below(256));
  }
  return bytes;
}

}  // namespace databridge
