// The settings of a program that runs a node inside it, as the settings of a node.
//
// - Hides: which field of the public ClusterConfig is which setting.
// - Pure.
#pragma once

#include <databridge/config.h>

#include "base/result.h"
#include "lib/config.h"

namespace databridge::lib {

// The name of a discovery as the settings spell it.
const char* name(Discovery discovery);

// Errors name the field or the key, and what to write. The rules between values are those of
// read_config().
Result<Config> read_settings(const ClusterConfig& config);

}  // namespace databridge::lib
