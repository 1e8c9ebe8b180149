// Marks what the shared library exports. Everything else is hidden.
#pragma once

#define DATABRIDGE_EXPORT __attribute__((visibility("default")))
