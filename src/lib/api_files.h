// The files that protect the API: its tokens, its certificate and the key.
//
// - Hides: how they are read. Errors name the file and the remedy, with Code::unprocessable: a new
//   start does not help before an operator has acted.
// - Threads: any.
#pragma once

#include <memory>

#include "api/http.h"
#include "base/result.h"
#include "lib/config.h"

namespace databridge::lib {

// Null: no token file was given.
Result<std::shared_ptr<const api::FileTokens>> load_tokens(const Config::Api& api);

// Without a context: no certificate was given.
Result<api::ServerTls> load_tls(const Config::Api& api);

// Whether a start could read both.
Result<void> check_api_files(const Config::Api& api);

}  // namespace databridge::lib
