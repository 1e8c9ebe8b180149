// The version of this program, as nodes name it to each other and to people.
#pragma once

namespace databridge::lib {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace databridge::lib
