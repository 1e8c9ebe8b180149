// The files that protect the API: its tokens, its certificate and the key.
//
// - Hides: how they are read. Errors name the file and the remedy, with Code::unprocessable: a new
//   start does not help before an operator has acted.
// - Threads: any.
#pragma once

#include <memory>

#include "api/auth.h"
#include "base/result.h"
#include "lib/config.h"

struct ssl_ctx_st;

namespace databridge::lib {

// Null: no token file was given.
Result<std::shared_ptr<const api::FileTokens>> load_tokens(const Config::Api& api);

// Null: no certificate was given.
Result<std::shared_ptr<ssl_ctx_st>> load_tls(const Config::Api& api);

}  // namespace databridge::lib
