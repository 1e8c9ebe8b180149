// The processor types. Each has a file of its own.
#pragma once

#include "flow/registry.h"

namespace databridge::flow {

ProcessorType extract_text_type();
ProcessorType generate_flow_file_type();
ProcessorType get_file_type();
ProcessorType log_attribute_type();
ProcessorType put_file_type();
ProcessorType replace_text_type();
ProcessorType route_on_attribute_type();
ProcessorType tail_file_type();

}  // namespace databridge::flow
