// Finds other nodes by announcements to a group on the local network (UDP multicast, IPv4).
//
// - Owns: one socket and one thread. Hides: when it announces, and for how long it believes.
// - The form of an announcement is in announcement.h.
#pragma once

#include <memory>
#include <string>

#include "env/discovery.h"

namespace databridge::platform {

struct MulticastOptions {
  std::string group;
  uint16_t port = 0;
  std::string interface;  // Its name, or its address. Empty: the one of the default route.
  std::string token;      // The join token. Empty: announcements prove nothing.
};

std::unique_ptr<env::Discovery> make_multicast(MulticastOptions options);

}  // namespace databridge::platform
