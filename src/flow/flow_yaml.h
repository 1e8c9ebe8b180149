// Flow files: YAML (or JSON, which is YAML) in, a FlowSpec out. docs/flow-files.md is the format.
//
// - Hides: yaml-cpp and its traps. Every error says line and column ("line 4, column 9: …").
// - Pure: text in, value out. Hostile text costs at most what its size costs: at most 1 MiB, 32
//   levels, 64 aliases. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/flow.h"

namespace databridge::flow {

// `id` is used when the text names none, and must agree with it otherwise; both empty is an error.
// Codes: `invalid` for text that is no YAML, `too_large`, and `unprocessable` for whatever is well
// formed and no flow.
Result<FlowSpec> read_flow(std::string_view text, const std::string& id = "");

// The same checks of a processor that came in some other way.
Result<void> check_processor(const ProcessorSpec& spec);

}  // namespace databridge::flow
