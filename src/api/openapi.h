// The OpenAPI 3 document of the API, from src/api/openapi.json. A test compares its paths with the
// table of routes.
#pragma once

#include <string_view>

namespace databridge::api {

std::string_view openapi_document();

}  // namespace databridge::api
