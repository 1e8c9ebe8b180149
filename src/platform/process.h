// Owns what the system says about processes: who we are, and whether another one is gone; and the
// system's entropy.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "env/network.h"

namespace databridge::platform {

// 64 bits from the kernel's generator.
uint64_t entropy64();

// What this machine is called, over reboots as well: its machine id, or, where it has none, a name
// that is made with the data directory and kept there. `machine_id` is a file's name, for tests.
Result<std::string> machine_name(const std::string& data_dir,
                                 const std::string& machine_id = "/etc/machine-id");
// In hexadecimal.
std::string sha256(BytesView bytes);

// A greeting with host_boot_id, namespaces, pid and its start time filled in; the rest is the
// caller's. Fields that cannot be read stay empty, and then never prove anything. `data_dir`: the
// locked directory that it names.
env::Greeting this_process(const std::string& data_dir = "");

// True only if that process ran on this very host, in our namespaces, and is no more: no such pid,
// a later start time, or a zombie without threads. False when in doubt (safety.md 2).
bool is_gone(const env::Greeting& peer, const env::Greeting& self);

}  // namespace databridge::platform
