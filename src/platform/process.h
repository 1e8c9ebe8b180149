// - Owns: what the system says about processes: which one we are, and whether another one is gone;
//   and the system's entropy.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "env/network.h"

namespace databridge::platform {

// 64 bits from the kernel's generator.
uint64_t entropy64();

// The name of this machine, the same after reboots: its machine id, or, if it has none, a name that
// is made together with the data directory and kept there. `machine_id` is the path of a file;
// tests set it.
Result<std::string> machine_name(const std::string& data_dir,
                                 const std::string& machine_id = "/etc/machine-id");
// In hexadecimal.
std::string sha256(BytesView bytes);

// A greeting with host_boot_id, namespaces, pid and its start time filled in; the caller sets the
// rest. Fields that cannot be read stay empty and then prove nothing. `data_dir`: the locked
// directory that it names.
env::Greeting this_process(const std::string& data_dir = "");

// True only if that process ran on this same host, in our namespaces, and is gone: there is no such
// pid, or it has a later start time, or it is a zombie without threads. False in doubt
// (safety.md 2).
bool is_gone(const env::Greeting& peer, const env::Greeting& self);

}  // namespace databridge::platform
