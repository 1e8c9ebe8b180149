// - Owns: the system's clocks.
#pragma once

#include <memory>

#include "env/clock.h"

namespace databridge::platform {

std::unique_ptr<env::Clock> make_clock();

}  // namespace databridge::platform
