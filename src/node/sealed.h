// Records with a checksum, and the words for what the store has lost. Pure.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::node {

// CRC-32C of the content, then the content.
Bytes seal(BytesView content);
// Code::corrupt, by the name of the record.
Result<BytesView> unseal(BytesView record, const std::string& name);

Error broken_log(const std::string& why);

}  // namespace databridge::node
