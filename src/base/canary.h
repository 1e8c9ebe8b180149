// Planted bugs. CANARY(name) stands at one place of the product, in a condition that it makes
// wrong. The simulator arms one canary at a time and must find it by its ordinary invariants. In a
// normal build CANARY is the constant false and leaves no code behind.
#pragma once

#ifdef DATABRIDGE_CANARIES
#include <string_view>

namespace databridge::canary {

// The only global variable of the program. The simulator's main sets it once, before any thread
// starts.
inline std::string_view armed;

}  // namespace databridge::canary

#define CANARY(name) (::databridge::canary::armed == #name)
#else
#define CANARY(name) false
#endif
