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
      return fmt::format("the token {}, which has ended", none.token);
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
    const uint32_t failures = count(visit.address, visit.now);
    if (failures == 1 || failures == kFailuresMax + 1) {
      say(fmt::format("refused {} from {}: it has shown {}{}", visit.method, visit.address,
                      what_of(none),
                      failures == 1 ? "" : "; further failures of it are not told for a minute"),
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
    say(fmt::format("audit: refused {} {} by {} from {}: its role is {}", visit.method,
                    without_tokens(visit.path.substr(0, 256)), caller->label, visit.address,
                    name(caller->role)),
        visit.now);
    return {std::move(*refused), std::move(*caller)};
  }
  return {std::nullopt, std::move(*caller)};
}

uint32_t Door::count(std::string_view address, Instant now) {
  auto found = records_.find(address);
  if (found == records_.end()) {
    if (records_.size() >= kAddressesMax) {
      records_.erase(records_.find(in_order_.begin()->second));
      in_order_.erase(in_order_.begin());
    }
    found = records_.emplace(std::string(address), Record{now, 0, ++numbers_}).first;
    in_order_.emplace(numbers_, found->first);
  }
  Record& record = found->second;
  if (now - record.begun >= kWindow) {
    record.begun = now;
    record.count = 0;
  }
  return ++record.count;
}

// Many addresses together cannot fill the log either.
void Door::say(const std::string& line, Instant now) {
  if (!note_) return;
  if (lines_begun_ == Instant() || now - lines_begun_ >= kWindow) {
    if (unsaid_ > 0) note_(fmt::format("{} more refusals were not told one by one", unsaid_));
    lines_begun_ = now;
    lines_ = 0;
    unsaid_ = 0;
  }
  if (lines_ >= kLinesMax) {
    ++unsaid_;
    return;
  }
  ++lines_;
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
