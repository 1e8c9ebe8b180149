// Uuid is a type of the public interface. This file adds what only the inside needs.
#pragma once

#include <databridge/uuid.h>

#include <cstdint>

#include "base/random.h"
#include "base/result.h"

namespace databridge {

// Version 7 (RFC 9562): `unix_ms` comes first, so that ids sort by the time when they were made.
Uuid make_uuid(int64_t unix_ms, Random& random);

}  // namespace databridge
