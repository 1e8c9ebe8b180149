// The door of the API: lets requests in, or refuses them, by their tokens.
//
// - Owns: the tokens of the token file, the count of refusals, and how often one address is told
//   about in the log.
// - Hides: the back-off of refusals and of log lines.
// - Pure: both times are handed in. Server thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/auth.h"
#include "base/time.h"
#include "cluster/view.h"

namespace databridge::api {

class Door {
 public:
  using Note = std::function<void(const std::string& line)>;

  // `note` gets one line for the log about refusals. `file` null: there is no token file.
  Door(std::shared_ptr<const FileTokens> file, Note note)
      : file_(std::move(file)), note_(std::move(note)) {}

  void set_file(std::shared_ptr<const FileTokens> file) { file_ = std::move(file); }

  struct Visit {
    Need need = Need::read;
    std::string_view method;
    std::string_view path;  // Without the query.
    std::string_view authorization;
    std::string_view address;  // The client's.
    Instant now;
    int64_t unix_ms = 0;
  };
  struct Passed {
    std::optional<ApiResponse> refused;
    std::optional<Caller> caller;  // Nullopt: it is not known, or no token was needed.
  };
  Passed pass(const Visit& visit, const cluster::View& view);

  // Whether a client may still get what it was let in for. It showed no token if none was wanted.
  bool may_stay(const std::optional<Caller>& caller, const cluster::View& view,
                int64_t unix_ms) const {
    const KnownTokens tokens = known(view);
    return caller ? still_counts(*caller, tokens, unix_ms) : !tokens.wanted();
  }

  // A TLS handshake with that address has failed.
  void handshake_failed(const std::string& address, const char* why, Instant now);

  std::string metrics() const;  // The series of this object, for /metrics.

  static constexpr size_t kAddressesMax = 1024;
  // So many failures of one address in one window, and it gets 429 for each further one.
  static constexpr uint32_t kFailuresMax = 30;
  static constexpr Duration kWindow = 60s;
  // Lines for the log in one window: about all strangers, and about each token.
  static constexpr uint32_t kLinesMax = 20;

 private:
  // The failures of one address.
  struct Record {
    Instant begun;
    uint32_t count = 0;
    uint32_t handshakes = 0;
    uint64_t number = 0;  // Counts records, so that the oldest can be found.
  };

  KnownTokens known(const cluster::View& view) const { return {file_.get(), view.state.tokens()}; }
  // The failures of an address in this window.
  Record& record_of(std::string_view address, Instant now);
  struct Budget {
    Instant begun;
    uint32_t lines = 0;
    uint64_t unsaid = 0;
  };
  // `whose` begins the line about those that were not logged.
  void say(Budget& budget, const std::string& whose, const std::string& line, Instant now);
  void say_of_stranger(const std::string& line, Instant now) { say(strangers_, "", line, now); }

  std::shared_ptr<const FileTokens> file_;  // Shared: a reload hands in another one.
  const Note note_;
  std::map<std::string, Record, std::less<>> records_;
  std::map<uint64_t, std::string> in_order_;  // The same records, the oldest first.
  uint64_t numbers_ = 0;
  Budget strangers_;
  // By the id of a token: strangers must not be able to keep these lines out of the log.
  std::map<std::string, Budget> audits_;
  std::array<uint64_t, kReasons> failed_{};  // By reason.
  uint64_t forbidden_ = 0;
  uint64_t limited_ = 0;
};

}  // namespace databridge::api
