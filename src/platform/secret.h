// Secrets that people put into files (the join token of a cluster), and proofs by them.
//
// - Owns: the form of such a file, the keyed hash, and a comparison that tells nothing by its time.
// - Hides: OpenSSL. Any thread. No message of this file contains any part of a secret.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::platform {

// The secret in the file: its text without white space at both ends, 16 to 1024 bytes. Codes:
// not_found, forbidden, io; invalid: it is too short or too long.
Result<std::string> read_secret(const std::string& path);

// HMAC-SHA256: 32 bytes. Who does not know the key can neither make nor check it.
Bytes hmac_sha256(BytesView key, BytesView content);

// Takes the same time wherever the two differ. Different sizes are told apart at once.
bool is_equal_secret(BytesView a, BytesView b);

}  // namespace databridge::platform
