// The forms of input and output: keys, numbers, events; and which requests take too long for the
// thread that serves all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/test_routes.h"
#include "api/views.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;

TEST_F(RoutesTest, EventsCarryNumbersTimesAndFlagsAsSuch) {
  Event event{{7, 1}, 1'700'000'000'123, "config_changed", "", {}};
  const auto shown = [&](std::map<std::string, std::string> data) {
    event.data = std::move(data);
    return Json::parse(show_event(event))["data"];
  };
  EXPECT_EQ(shown({{"epoch", "18446744073709551615"}, {"version", "12"}, {"moves", "0"}}),
            Json::parse(R"({"epoch":18446744073709551615,"version":12,"moves":0})"));
  EXPECT_EQ(shown({{"deleted", "true"}, {"quarantinedForMs", "9000"}}),
            Json::parse(R"({"deleted":true,"quarantinedForMs":9000})"));
  EXPECT_EQ(shown({{"quarantinedUntilMs", "1700000000000"}}),
            Json::parse(R"({"quarantinedUntil":"2023-11-14T22:13:20.000Z"})"));
  // A value that a user chose stays a text, even if it looks like a number.
  EXPECT_EQ(shown({{"key", "12"}, {"flow", "7"}, {"incarnation", "18446744073709551615"}}),
            Json::parse(R"({"key":"12","flow":"7","incarnation":"18446744073709551615"})"));
  EXPECT_EQ(shown({{"version", "x"}, {"epoch", ""}, {"deleted", "maybe"}}),
            Json::parse(R"({"version":"x","epoch":"","deleted":"maybe"})"));
}

TEST_F(RoutesTest, AnIdempotencyKeyIsAUuidInAnySpelling) {
  ApiRequest put{"PUT", "/api/cluster/flows/f", "application/json", "", "", "", "", "{}"};
  for (const char* bad :
       {"zzz", "3f0e9f0a54c44a579d6b0c8a3a1e7f10", "1", "", "3f0e9f0a-54c4-4a57-9d6b-0c8a3a1e7f1g",
        "00000000-0000-0000-0000-000000000000", "3f0e9f0a-54c4-4a57-9d6b-0c8a3a1e7f10 "}) {
    put.idempotency_key = bad;
    const bool none = put.idempotency_key.empty();
    EXPECT_EQ(call(put).status, none ? 201 : 400) << bad;
  }
  put.idempotency_key = "3F0E9F0A-54C4-4A57-9D6B-0C8A3A1E7F10";
  EXPECT_EQ(call(put).status, 200);
  EXPECT_EQ(backend.submitted.back().idempotency_key, kKey);
}

TEST_F(RoutesTest, WholeNumbersAreKeptToTheDigitOrRefused) {
  const auto put = [&](const std::string& value) {
    return call("PUT", "/api/cluster/config/k", "{\"value\": " + value + "}");
  };
  for (const std::string value :
       {"0", "9007199254740993", "18446744073709551615", "-9223372036854775808", "[1,-2]",
        "\"18446744073709551616\"", "\"\\\"18446744073709551616\"", "[0.5,1.5e300]"}) {
    EXPECT_EQ(put(value).status, 200) << value;
    EXPECT_THAT(call("GET", "/api/cluster/config/k").body, HasSubstr("\"value\":"));
    EXPECT_EQ(json(call("GET", "/api/cluster/config/k"))["value"].dump(),
              Json::parse(value).dump());
  }
  for (const std::string value :
       {"18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
        "[1, {\"a\": 99999999999999999999}]"}) {
    const ApiResponse refused = put(value);
    EXPECT_EQ(refused.status, 422) << value;
    EXPECT_THAT(refused.body, HasSubstr("64 bits")) << value;
  }
  EXPECT_EQ(put("123456789012345678901234567890.5").status, 200);  // This is no whole number.
}

TEST_F(RoutesTest, WhatTakesLongIsHeavy) {
  const auto heavy = [](const std::string& method, const std::string& target,
                        const std::string& body = "", const std::string& accept = "") {
    return Routes::is_heavy(ApiRequest{method, target, "", accept, "", "", "", body});
  };
  const std::string large(100'000, 'x');
  EXPECT_TRUE(heavy("PUT", "/api/cluster/flows/f", "{}"));
  // The backup may be small, but the state that it is compared with may be large.
  EXPECT_TRUE(heavy("POST", "/api/cluster/snapshot/restore?dryRun=true", "small"));
  EXPECT_TRUE(heavy("PUT", "/api/cluster/config/k", large));
  EXPECT_TRUE(heavy("PUT", "/nowhere", large));
  EXPECT_TRUE(heavy("GET", "/api/cluster/snapshot?consistency=linearizable"));
  EXPECT_TRUE(heavy("HEAD", "/api/cluster/assignments?limit=1"));
  EXPECT_TRUE(heavy("GET", "/api/cluster/events?since=0"));
  EXPECT_TRUE(heavy("GET", "/api/cluster/operations"));
  EXPECT_TRUE(heavy("HEAD", "/api/cluster/operations?limit=1"));
  EXPECT_TRUE(heavy("GET", "/api/cluster/operations/drain-node-1"));
  EXPECT_FALSE(heavy("GET", "/api/cluster/events", "", "text/event-stream"));
  EXPECT_FALSE(heavy("PUT", "/api/cluster/config/k", "{}"));
  for (const char* path :
       {"/healthz", "/readyz", "/api/cluster/status", "/nowhere", "/api/cluster/config/flows"}) {
    EXPECT_FALSE(heavy("GET", path)) << path;
  }
}

}  // namespace
}  // namespace databridge::api
