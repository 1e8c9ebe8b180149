// Tells other nodes that a process is gone (docs/adr/0008). Hides connecting and trying again.
#pragma once

#include <vector>

#include "base/time.h"
#include "env/network.h"
#include "model/address.h"
#include "platform/certificates.h"
#include "platform/frame.h"

namespace databridge::platform {

// The farewells of a node that was told: it took the news, or it never will.
inline constexpr char kNoted[] = "noted";
inline constexpr char kNotConcerned[] =
    "the reaped process is no other member of this cluster that was met here, or has another "
    "guardian";

// Sends the report to each of the numeric endpoints, under TLS if there is a context. Returns when
// all have answered or `time` is over, and tells how many have answered.
size_t report_death(const Reaped& reaped, const std::vector<Address>& peers, Duration time,
                    const TlsContext& tls = nullptr);

}  // namespace databridge::platform
