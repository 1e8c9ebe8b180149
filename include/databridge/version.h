// The version of DataBridge, as "MAJOR.MINOR.PATCH". The build reads it from here.
//
// While MAJOR is 0, the name of the shared library changes with MINOR: libdatabridge.so.0.MINOR.
#pragma once

#include <string_view>

namespace databridge {

inline constexpr std::string_view version = "0.2.0";

}  // namespace databridge
