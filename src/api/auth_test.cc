// Who a client is, and what the door says and writes about those whom it refuses.
#include "api/auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/door.h"

namespace databridge::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kNow = 1'800'000'000'000;

// The text of a token that is made of one digit.
std::string text_of(char digit) {
  return "dbt_" + std::string(12, digit) + "_" + std::string(64, digit);
}
Token token_of(char digit, TokenRole role, int64_t expires_ms = 0) {
  return {std::string(12, digit),
          std::string("t") + digit,
          role,
          hash_of_token(text_of(digit)),
          kNow - 1000,
          expires_ms};
}

class AuthTest : public testing::Test {
 protected:
  AuthTest() {
    file_['1'] = token_of('1', TokenRole::admin);
    for (const auto& [digit, token] : file_) in_file.emplace(token.id, token);
    cluster.set(std::string(12, '2'), token_of('2', TokenRole::read));
    cluster.set(std::string(12, '3'), token_of('3', TokenRole::operate, kNow + 1));
    cluster.set(std::string(12, '4'), token_of('4', TokenRole::operate, kNow));
  }
  KnownTokens known() const { return {&in_file, cluster}; }
  tl::expected<Caller, NoCaller> who(const std::string& authorization) const {
    return identify(authorization, known(), kNow);
  }
  Reason why(const std::string& authorization) const {
    const auto caller = who(authorization);
    EXPECT_FALSE(caller) << authorization;
    return caller ? Reason::missing : caller.error().reason;
  }

  std::map<char, Token> file_;
  FileTokens in_file;
  PersistentMap<std::string, Token> cluster;
};

TEST_F(AuthTest, AGoodTokenNamesItsClient) {
  const auto first = who("Bearer " + text_of('1'));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->role, TokenRole::admin);
  EXPECT_EQ(first->label, "t1 (111111111111)");
  EXPECT_EQ(who("bearer   " + text_of('2'))->role, TokenRole::read);
  EXPECT_EQ(who("BEARER " + text_of('3'))->role, TokenRole::operate);
}

TEST_F(AuthTest, EverythingElseIsRefusedWithItsReason) {
  EXPECT_EQ(why(""), Reason::missing);
  EXPECT_EQ(why("Bearer"), Reason::malformed);
  EXPECT_EQ(why("Bearer "), Reason::malformed);
  EXPECT_EQ(why("Basic dTpw"), Reason::malformed);
  EXPECT_EQ(why(text_of('1')), Reason::malformed);
  EXPECT_EQ(why("Bearer " + text_of('1') + " "), Reason::malformed);
  EXPECT_EQ(why("Bearer " + text_of('1') + "1"), Reason::malformed);
  EXPECT_EQ(why("Bearer\t" + text_of('1')), Reason::malformed);
  EXPECT_EQ(why("Bearer " + text_of('9')), Reason::unknown);
  std::string wrong = text_of('1');
  wrong.back() = '2';
  EXPECT_EQ(why("Bearer " + wrong), Reason::wrong);
  EXPECT_EQ(why("Bearer " + text_of('4')), Reason::expired);
  cluster.erase(std::string(12, '2'));
  EXPECT_EQ(why("Bearer " + text_of('2')), Reason::unknown);
}

TEST_F(AuthTest, RefusalsDoNotTellWhichTokensExist) {
  std::string wrong = text_of('1');
  wrong.back() = '2';
  const auto shown = [&](const std::string& text) {
    return unauthorized(who("Bearer " + text).error());
  };
  EXPECT_EQ(shown(wrong).body, shown(text_of('9')).body);
  EXPECT_EQ(shown(wrong).status, 401);
  EXPECT_THAT(shown(text_of('4')).body, HasSubstr("the token t4 (444444444444) has expired"));
  EXPECT_THAT(shown(wrong).headers[0].second, HasSubstr("Bearer realm="));
  for (const char digit : {'4', '9'}) {
    EXPECT_THAT(shown(text_of(digit)).body, Not(HasSubstr(std::string(64, digit))));
  }
}

TEST_F(AuthTest, ARoleMayDoWhatTheSmallerOnesMay) {
  const Need needs[] = {Need::nothing, Need::read, Need::operate, Need::admin};
  const TokenRole roles[] = {TokenRole::read, TokenRole::operate, TokenRole::admin};
  for (size_t need = 0; need < 4; ++need) {
    for (size_t role = 0; role < 3; ++role) {
      const auto refused = forbidden(needs[need], Caller{"1", "ci (1)", roles[role], {}});
      EXPECT_EQ(refused.has_value(), need > role + 1) << need << " " << role;
      EXPECT_EQ(refused ? refused->status : 200, need > role + 1 ? 403 : 200);
    }
  }
  EXPECT_THAT(forbidden(Need::admin, Caller{"1", "ci (1)", TokenRole::read, {}})->body,
              HasSubstr("this needs the role admin, and the token ci (1) has the role read"));
}

TEST_F(AuthTest, ATokenCountsUntilItIsRevokedOrEnds) {
  const Caller caller = *who("Bearer " + text_of('3'));
  EXPECT_TRUE(still_counts(caller, known(), kNow));
  EXPECT_FALSE(still_counts(caller, known(), kNow + 1));
  // Another token with the same id does not count for it.
  Token other = token_of('3', TokenRole::operate);
  other.hash = hash_of_token("another");
  cluster.set(other.id, other);
  EXPECT_FALSE(still_counts(caller, known(), kNow));
  cluster.erase(other.id);
  EXPECT_FALSE(still_counts(caller, known(), kNow));
}

// ---- The door

class DoorTest : public testing::Test {
 protected:
  DoorTest() {
    auto file = std::make_shared<FileTokens>();
    file->emplace(std::string(12, '1'), token_of('1', TokenRole::read));
    door.set_file(std::move(file));
  }
  Door::Passed pass(const std::string& authorization, Need need = Need::read,
                    std::string_view address = "10.0.0.1") {
    return door.pass({need, "GET", "/api/cluster/nodes", authorization, address, now, kNow}, view);
  }
  int status(const std::string& authorization, std::string_view address = "10.0.0.1") {
    const auto passed = pass(authorization, Need::read, address);
    return passed.refused ? passed.refused->status : 200;
  }

  const std::string good = "Bearer " + text_of('1');
  const std::string bad = "Bearer " + text_of('9');
  cluster::View view;
  std::vector<std::string> lines;
  Door door{nullptr, [this](const std::string& line) { lines.push_back(line); }};
  Instant now{5min};
};

TEST_F(DoorTest, WithoutTokensEverybodyPasses) {
  door.set_file(nullptr);
  const auto passed = pass("");
  EXPECT_FALSE(passed.refused || passed.caller);
  // The first token of the cluster closes the door.
  view.state.apply(1, Command{.body = PutToken{std::string(12, '2'), "", TokenRole::admin,
                                               hash_of_token(text_of('2')), 0},
                              .request = {},
                              .idempotency_key = {}});
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status("Bearer " + text_of('2')), 200);
}

TEST_F(DoorTest, AnEmptyTokenFileIsATokenFile) {
  door.set_file(std::make_shared<FileTokens>());
  EXPECT_EQ(status(""), 401);
  EXPECT_FALSE(pass("", Need::nothing).refused);
}

TEST_F(DoorTest, FailuresAreToldOnceAndSlowedDown) {
  for (uint32_t i = 0; i < Door::kFailuresMax; ++i) EXPECT_EQ(status(bad), 401);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("refused GET from 10.0.0.1: it showed the token "
                                           "999999999999, which is unknown or was revoked")));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(status(bad), 429);
  EXPECT_EQ(lines.size(), 2u);
  // A good token of the same address passes all the same, and so do other addresses.
  EXPECT_EQ(status(good), 200);
  EXPECT_EQ(status(bad, "10.0.0.2"), 401);
  EXPECT_EQ(lines.size(), 3u);
  now += Door::kWindow;
  EXPECT_EQ(status(bad), 401);
  EXPECT_EQ(lines.size(), 4u);
}

TEST_F(DoorTest, ManyAddressesFillNeitherMemoryNorLog) {
  for (int i = 0; i < 100'000; ++i) {
    EXPECT_EQ(status(bad, "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)), 401);
  }
  EXPECT_EQ(lines.size(), Door::kLinesMax);
  now += Door::kWindow;
  status(bad);
  EXPECT_THAT(lines.at(Door::kLinesMax), HasSubstr("99980 more refusals were not logged"));
}

TEST_F(DoorTest, ARefusedRoleIsAnAuditLine) {
  EXPECT_EQ(pass(good, Need::operate).refused->status, 403);
  EXPECT_THAT(lines, ElementsAre("audit: refused GET /api/cluster/nodes by t1 (111111111111) from "
                                 "10.0.0.1: its role is read"));
}

TEST_F(DoorTest, StrangersDoNotHideAuditLines) {
  for (int i = 0; i < 100; ++i) status(bad, "10.0.0." + std::to_string(i));
  lines.clear();
  for (uint32_t i = 0; i < Door::kLinesMax + 3; ++i) pass(good, Need::operate);
  EXPECT_EQ(lines.size(), Door::kLinesMax);
  now += Door::kWindow;
  pass(good, Need::operate);
  EXPECT_EQ(lines.at(Door::kLinesMax),
            "audit: of the token t1 (111111111111), 3 more refusals were not logged one by one");
}

TEST_F(DoorTest, FailedHandshakesAreLoggedOncePerAddress) {
  for (int i = 0; i < 10; ++i) door.handshake_failed("10.0.0.1", "it is odd", now);
  door.handshake_failed("10.0.0.2", "it is odd", now);
  EXPECT_THAT(lines,
              ElementsAre(HasSubstr("a TLS handshake with 10.0.0.1 has failed: it is odd; its"),
                          HasSubstr("10.0.0.2")));
  EXPECT_EQ(status(bad), 401);
  EXPECT_EQ(lines.size(), 3u);  // A token is another matter.
}

TEST_F(DoorTest, NoLineHasASecret) {
  for (const std::string& text :
       {good, bad, "Bearer " + text_of('1') + "x", text_of('1'), std::string("Basic x")}) {
    pass(text, Need::admin, text.substr(0, 9));
  }
  EXPECT_THAT(lines, Not(IsEmpty()));
  for (const std::string& line : lines) {
    EXPECT_THAT(line, Not(HasSubstr(std::string(20, '1'))));
    EXPECT_THAT(line, Not(HasSubstr(std::string(20, '9'))));
  }
}

TEST_F(DoorTest, TheMetricsCountByReason) {
  status("");
  status(bad);
  status(bad);
  pass(good, Need::admin);
  const std::string metrics = door.metrics();
  EXPECT_THAT(metrics, HasSubstr("databridge_api_unauthorized_total{reason=\"missing\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("databridge_api_unauthorized_total{reason=\"unknown\"} 2\n"));
  EXPECT_THAT(metrics, HasSubstr("databridge_api_forbidden_total 1\n"));
}

}  // namespace
}  // namespace databridge::api
