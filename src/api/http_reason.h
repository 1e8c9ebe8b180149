// The words beside a status code, and whole answers as bytes. Pure.
#pragma once

#include <string>
#include <string_view>

namespace databridge::api {

struct ApiResponse;

std::string_view reason_of(int status);

// An answer that ends the connection, for where the HTTP library does not write it.
std::string raw_answer(const ApiResponse& answer);

}  // namespace databridge::api
