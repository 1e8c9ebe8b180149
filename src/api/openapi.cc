#include "api/openapi.h"

#include <cstddef>

// The file itself becomes part of the program, so the served document is the reviewed one.
asm(".section .rodata\n"
    "databridge_openapi_begin:\n"
    ".incbin \"" DATABRIDGE_OPENAPI_FILE
    "\"\n"
    "databridge_openapi_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const char databridge_openapi_begin[];
extern const char databridge_openapi_end[];
}

namespace databridge::api {

std::string_view openapi_document() {
  return {databridge_openapi_begin,
          static_cast<size_t>(databridge_openapi_end - databridge_openapi_begin)};
}

}  // namespace databridge::api
