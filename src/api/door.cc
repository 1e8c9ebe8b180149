#include "api/door.h"

#include <fmt/format.h>

#include <iterator>

namespace databridge::api {
namespace {

std::string what_of(const NoCaller& none) {
  switch (none.reason) {
    case Reason::missing:
      return "no token";
    case Reason::malformed:
      return "a text that is no token";
    case Reason::unknown:
      return fmt::format("the token {}, which is unknown or was revoked", none.token);
    case Reason::wrong:
      return fmt::format("a wrong token with the id {}", none.token);
    case Reason::expired:
      return fmt::format("the token {}, which has expired", none.token);
  }
  return "no token";
}

}  // namespace

Door::Passed Door::pass(const Visit& visit, const cluster::View& view) {
  const KnownTokens tokens = known(view);
  if (visit.need == Need::nothing || !tokens.wanted()) return {};
  auto caller = identify(visit.authorization, tokens, visit.unix_ms);
  if (!caller) {
    const NoCaller& none = caller.error();
    ++failed_[static_cast<size_t>(none.reason)];
    const uint32_t failures = ++record_of(visit.address, visit.now).count;
    if (failures == 1 || failures == kFailuresMax + 1) {
      say_of_stranger(
          fmt::format("refused {} from {}: it showed {}{}", visit.method, visit.address,
                      what_of(none),
                      failures == 1 ? "" : "; its further failures are not logged for a minute"),
          visit.now);
    }
    if (failures <= kFailuresMax) return {unauthorized(none), std::nullopt};
    ++limited_;
    ApiResponse response =
        problem("rate_limited", 429, "too many requests without a good token: try again later");
    response.headers.emplace_back("Retry-After", "60");
    return {std::move(response), std::nullopt};
  }
  if (auto refused = forbidden(visit.need, *caller)) {
    ++forbidden_;
    if (audits_.size() >= 2 * kTokensMax) audits_.clear();  // Most of them were revoked.
    say(audits_[caller->id], fmt::format("audit: of the token {}, ", caller->label),
        fmt::format("audit: refused {} {} by {} from {}: its role is {}", visit.method,
                    without_tokens(visit.path.substr(0, 256)), caller->label, visit.address,
                    name(caller->role)),
        visit.now);
    return {std::move(*refused), std::move(*caller)};
  }
  return {std::nullopt, std::move(*caller)};
}

void Door::handshake_failed(const std::string& address, const char* why, Instant now) {
  if (++record_of(address, now).handshakes > 1) return;
  say_of_stranger(fmt::format("a TLS handshake with {} has failed: {}; its further failed "
                              "handshakes are not logged for a minute",
                              address, why),
                  now);
}

Door::Record& Door::record_of(std::string_view address, Instant now) {
  auto found = records_.find(address);
  if (found == records_.end()) {
    if (records_.size() >= kAddressesMax) {
      records_.erase(records_.find(in_order_.begin()->second));
      in_order_.erase(in_order_.begin());
    }
    found = records_.emplace(std::string(address), Record{now, 0, 0, ++numbers_}).first;
    in_order_.emplace(numbers_, found->first);
  }
  Record& record = found->second;
  if (now - record.begun >= kWindow) {
    record.begun = now;
    record.count = record.handshakes = 0;
  }
  return record;
}

// Many addresses together cannot fill the log either.
void Door::say(Budget& budget, const std::string& whose, const std::string& line, Instant now) {
  if (!note_) return;
  if (budget.begun == Instant() || now - budget.begun >= kWindow) {
    if (budget.unsaid > 0) {
      note_(fmt::format("{}{} more refusals were not logged one by one", whose, budget.unsaid));
    }
    budget = {now, 0, 0};
  }
  if (budget.lines >= kLinesMax) {
    ++budget.unsaid;
    return;
  }
  ++budget.lines;
  note_(line);
}

std::string Door::metrics() const {
  std::string out =
      "# HELP databridge_api_unauthorized_total Requests without a good token, by reason.\n"
      "# TYPE databridge_api_unauthorized_total counter\n";
  for (size_t i = 0; i < kReasons; ++i) {
    fmt::format_to(std::back_inserter(out),
                   "databridge_api_unauthorized_total{{reason=\"{}\"}} {}\n",
                   name(static_cast<Reason>(i)), failed_[i]);
  }
  const auto counter = [&out](std::string_view name, std::string_view help, uint64_t value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} counter\n{0} {2}\n", name,
                   help, value);
  };
  counter("databridge_api_forbidden_total", "Requests whose token has too small a role.",
          forbidden_);
  counter("databridge_api_rate_limited_total",
          "Requests without a good token that came too often from one address.", limited_);
  return out;
}

}  // namespace databridge::api
