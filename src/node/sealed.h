// Records with a checksum, and the error for a damaged log. Pure.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::node {

// Returns the CRC-32C of the content, followed by the content.
Bytes seal(BytesView content);
// Returns the content. Code::corrupt, with the name of the record: it does not fit its checksum.
Result<BytesView> unseal(BytesView record, const std::string& name);

Error broken_log(const std::string& why);

}  // namespace databridge::node
