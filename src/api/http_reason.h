// The words beside a status code. Pure.
#pragma once

#include <string_view>

namespace databridge::api {

std::string_view reason_of(int status);

}  // namespace databridge::api
