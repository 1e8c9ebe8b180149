// Planted bugs. CANARY(name) stands at one point of the product, inside a condition that it makes
// wrong; the simulator arms one at a time and must find it by its ordinary invariants. In a normal
// build it is the constant false and leaves nothing behind.
#pragma once

#ifdef DATABRIDGE_CANARIES
#include <string_view>

namespace databridge::canary {

// The one global of the house: set once by the simulator's main, before any thread starts.
inline std::string_view armed;

}  // namespace databridge::canary

#define CANARY(name) (::databridge::canary::armed == #name)
#else
#define CANARY(name) false
#endif
