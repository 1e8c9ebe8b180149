// Flows as files: YAML (or JSON, which is YAML) in, a FlowSpec out. docs/flow-files.md defines the
// format.
//
// - Hides: yaml-cpp and its traps. Every error tells line and column ("line 4, column 9: …").
// - Pure: text in, value out. Hostile text costs only time and memory in proportion to its size: it
//   has at most 1 MiB, 32 levels and 64 aliases. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "flow/registry.h"
#include "model/flow.h"

namespace databridge::flow {

// `id` is used when the text has no id. If the text has one, both must be equal. It is an error if
// both are empty. Codes: `invalid` if the text is no YAML; `too_large`; `unprocessable` if it is
// well-formed YAML and no flow.
Result<FlowSpec> read_flow(std::string_view text, const std::string& id = "",
                           const Types& types = builtin_types());

// The same checks for a processor that came in another way.
Result<void> check_processor(const ProcessorSpec& spec, const Types& types = builtin_types());

}  // namespace databridge::flow
