// Owns what the system says about processes: who we are, and whether another one is gone; and the
// system's entropy.
#pragma once

#include <cstdint>

#include "env/network.h"

namespace databridge::platform {

// 64 bits from the kernel's generator.
uint64_t entropy64();

// A greeting with host_boot_id, namespaces, pid and its start time filled in; the rest is the
// caller's. Fields that cannot be read stay empty, and then never prove anything.
env::Greeting this_process();

// True only if that process ran on this very host, in our namespaces, and is no more: no such pid,
// a later start time, or a zombie without threads. False when in doubt (safety.md 2).
bool is_gone(const env::Greeting& peer, const env::Greeting& self);

}  // namespace databridge::platform
