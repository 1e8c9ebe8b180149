// Tokens at the server: each role against each route, streams of revoked tokens, the access log.
#include <atomic>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "api/http_test_client.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string text_of(char digit) {
  return "dbt_" + std::string(12, digit) + "_" + std::string(64, digit);
}

class HttpTokenTest : public HttpTest {
 protected:
  static Token token_of(char digit, TokenRole role, int64_t expires_ms = 0) {
    return {std::string(12, digit), "", role, hash_of_token(text_of(digit)), 1000, expires_ms};
  }
  // Tokens 1, 2, 3 have the three roles, 4 has ended, 5 is not among them.
  static std::shared_ptr<const FileTokens> three_roles() {
    auto tokens = std::make_shared<FileTokens>();
    for (const Token& token :
         {token_of('1', TokenRole::read), token_of('2', TokenRole::operate),
          token_of('3', TokenRole::admin), token_of('4', TokenRole::admin, 2000)}) {
      tokens->emplace(token.id, token);
    }
    return tokens;
  }
  void start_with_tokens(HttpOptions options = {}) {
    options.tokens = three_roles();
    start(std::move(options));
  }
  // `lines` is the access log. It is whole, and safe to read, once the server has ended.
  void start_with_log(std::string& lines) {
    HttpOptions options;
    options.access_log = [&lines](std::string_view more) { lines += more; };
    start_with_tokens(std::move(options));
  }
  static std::string bearer(char digit) {
    return "Authorization: Bearer " + text_of(digit) + "\r\n";
  }
  Reply call(const std::string& method, const std::string& target, const std::string& extra,
             const std::string& body = "") {
    Client client(port());
    client.send(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + extra +
                (method == "GET" || method == "HEAD"
                     ? "\r\n"
                     : "Content-Type: application/json\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" + body));
    return client.read_reply(method != "HEAD");
  }
};

// The roles of the contract (rest.md), said here a second time.
int role_needed(const std::string& method, const std::string& path) {
  static const std::set<std::string> kOpen = {"/healthz", "/livez", "/readyz"};
  static const std::set<std::string> kAdmin = {
      "POST /api/cluster/join",     "DELETE /api/cluster/nodes/{id}",
      "GET /api/cluster/snapshot",  "POST /api/cluster/snapshot/restore",
      "GET /api/cluster/tokens",    "POST /api/cluster/tokens",
      "HEAD /api/cluster/snapshot", "DELETE /api/cluster/tokens/{id}",
      "HEAD /api/cluster/tokens"};
  if (kOpen.count(path) > 0) return 0;
  if (kAdmin.count(method + " " + path) > 0) return 3;
  return method == "GET" || method == "HEAD" ? 1 : 2;
}

TEST_F(HttpTokenTest, EachRoleAgainstEachRoute) {
  HttpOptions options;
  start_with_tokens(options);
  size_t rows = 0;
  for (const auto& [path, methods] : Routes::table()) {
    std::string target = path;
    for (const char* name : {"{id}", "{key}"}) {
      const size_t at = target.find(name);
      if (at != std::string::npos) target.replace(at, std::string(name).size(), "no-such");
    }
    std::istringstream words(methods);
    for (std::string method; std::getline(words >> std::ws, method, ',');) {
      const int needed = role_needed(method, path);
      const std::string row = method + " " + path;
      std::string spoiled = text_of('3');
      spoiled.back() = '4';
      const std::map<std::string, std::string> strangers = {
          {"none", ""},
          {"malformed", "Authorization: Bearer dbt_3\r\n"},
          {"wrong", "Authorization: Bearer " + spoiled + "\r\n"},
          {"expired", bearer('4')},
          {"revoked", bearer('5')},
          {"twice", bearer('3') + bearer('3')}};
      for (const auto& [kind, header] : strangers) {
        const Reply reply = call(method, target, header);
        EXPECT_EQ(reply.status == 401 || reply.status == 429, needed > 0) << row << " " << kind;
        if (reply.status == 401) {
          EXPECT_THAT(reply.head, HasSubstr("WWW-Authenticate: Bearer")) << row;
        }
      }
      for (int role = 1; role <= 3; ++role) {
        const Reply reply = call(method, target, bearer(static_cast<char>('0' + role)));
        EXPECT_EQ(reply.status == 403, role < needed) << row << " role " << role;
        EXPECT_NE(reply.status, 401) << row << " role " << role;
      }
      ++rows;
    }
  }
  EXPECT_GT(rows, 50u);
}

TEST_F(HttpTokenTest, APathThatIsNotThereTellsNothingToStrangers) {
  start_with_tokens();
  EXPECT_EQ(get("/no-such").status, 401);
  EXPECT_EQ(get("/no-such", bearer('1')).status, 404);
  EXPECT_EQ(call("PUT", "/healthz", "").status, 401);
  EXPECT_EQ(call("PUT", "/healthz", bearer('1')).status, 405);
  EXPECT_EQ(get("/api/cluster/nodes?token=" + text_of('3')).status, 401);
}

TEST_F(HttpTokenTest, ATokenOfTheClusterIsShownOnceAndCounts) {
  start();
  const std::string path = "/api/cluster/tokens";
  // Without any token, only an admin's can be made.
  EXPECT_EQ(call("POST", path, "", R"({"role":"read"})").status, 422);
  const Reply made = call("POST", path, "", R"({"role":"admin","name":"first"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto json = nlohmann::json::parse(made.body);
  const std::string token = json["token"];
  const std::string id = json["id"];
  EXPECT_EQ(token_id_of(token), id);
  EXPECT_EQ(json["expiresAt"], nullptr);
  EXPECT_EQ(get(path).status, 401);
  const std::string header = "Authorization: Bearer " + token + "\r\n";
  const Reply listed = get(path, header);
  ASSERT_EQ(listed.status, 200);
  EXPECT_THAT(listed.body, HasSubstr(R"("name":"first","role":"admin")"));
  EXPECT_THAT(listed.body, Not(HasSubstr(token.substr(17))));

  // The time of this log began years ago.
  const Reply second =
      call("POST", path, header, R"({"role":"operate","name":"ci","expiresInMs":315360000000})");
  ASSERT_EQ(second.status, 201) << second.body;
  const auto other = nlohmann::json::parse(second.body);
  EXPECT_NE(other["expiresAt"], nullptr);
  const std::string ci = "Authorization: Bearer " + other["token"].get<std::string>() + "\r\n";
  EXPECT_EQ(call("POST", path, ci, R"({"role":"read"})").status, 403);
  EXPECT_EQ(call("DELETE", path + "/" + other["id"].get<std::string>(), header).status, 200);
  EXPECT_EQ(call("DELETE", path + "/" + other["id"].get<std::string>(), header).status, 404);
  EXPECT_EQ(call("DELETE", path + "/x", header).status, 404);
  EXPECT_EQ(get("/api/cluster/nodes", ci).status, 401);
  // No event, snapshot or list has a secret.
  const Reply events = get("/api/cluster/events", header);
  EXPECT_THAT(events.body, HasSubstr("token_created"));
  EXPECT_THAT(events.body, HasSubstr("token_revoked"));
  EXPECT_THAT(events.body, Not(HasSubstr(token.substr(17))));
  EXPECT_THAT(std::string(backend.view()->state.snapshot().joined().view()),
              Not(HasSubstr(token.substr(17))));
}

TEST_F(HttpTokenTest, BadWishesForTokensAreRefused) {
  start_with_tokens();
  for (const char* body :
       {"", "{}", R"({"role":"root"})", R"({"role":"read","expiresInMs":-1})",
        R"({"role":"read","expiresInMs":0})", R"({"role":"read","expiresInMs":1e9})",
        R"({"role":"read","expiresInMs":"90d"})",
        R"({"role":"read","expiresInMs":999999999999999})", R"({"role":"read","name":"a b"})",
        R"({"role":"read","more":1})"}) {
    const Reply reply = call("POST", "/api/cluster/tokens", bearer('3'), body);
    EXPECT_TRUE(reply.status == 400 || reply.status == 422) << body << " " << reply.status;
  }
  EXPECT_EQ(call("POST", "/api/cluster/tokens",
                 bearer('3') + "Idempotency-Key: 3f0e9f0a-54c4-4a57-9d6b-0c8a3a1e7f10\r\n",
                 R"({"role":"read"})")
                .status,
            422);
  EXPECT_TRUE(backend.view()->state.tokens().empty());
}

TEST_F(HttpTokenTest, AWriteCarriesItsClient) {
  start_with_tokens();
  EXPECT_EQ(call("PUT", "/api/cluster/config/k", bearer('2'), R"({"value":1})").status, 200);
  EXPECT_EQ(backend.submitted.back().by, (Actor{"222222222222", "127.0.0.1"}));
}

TEST_F(HttpTokenTest, AStreamEndsWithItsToken) {
  HttpOptions options;
  options.stream_heartbeat = std::chrono::milliseconds(50);
  start_with_tokens(options);
  Client client(port());
  client.send(
      "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n" +
      bearer('1') + "\r\n");
  EXPECT_THAT(client.read_until(":\n\n"), HasSubstr("200 OK"));
  // A reload that keeps the token keeps the stream.
  server->set_tokens(three_roles());
  EXPECT_THAT(client.read_until(": heartbeat\n\n"), HasSubstr("heartbeat"));
  EXPECT_THAT(client.read_until(": heartbeat\n\n"), HasSubstr("heartbeat"));
  auto fewer = std::make_shared<FileTokens>(*three_roles());
  fewer->erase(std::string(12, '1'));
  server->set_tokens(std::move(fewer));
  client.read_until("\r\n0\r\n\r\n");
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(get("/api/cluster/nodes", bearer('1')).status, 401);
}

TEST_F(HttpTokenTest, AStreamEndsWithItsTokenThoughEventsAlwaysCome) {
  start_with_tokens();
  Client client(port());
  client.send(
      "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n" +
      bearer('1') + "\r\n");
  EXPECT_THAT(client.read_until(":\n\n"), HasSubstr("200 OK"));
  std::atomic<bool> more = true;
  std::thread writer([&] {
    while (more) backend.apply(SetConfig{"k", "1", {}});
  });
  EXPECT_THAT(client.read_until("config_changed"), HasSubstr("config_changed"));
  server->set_tokens(std::make_shared<FileTokens>());
  client.read_until("\r\n0\r\n\r\n");
  EXPECT_TRUE(client.closed_by_server());
  more = false;
  writer.join();
}

TEST_F(HttpTokenTest, AStreamWithoutTokenEndsWithTheFirstToken) {
  HttpOptions options;
  options.stream_heartbeat = std::chrono::milliseconds(50);
  start(std::move(options));
  Client client(port());
  client.send(
      "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  EXPECT_THAT(client.read_until(": heartbeat\n\n"), HasSubstr("200 OK"));
  EXPECT_EQ(call("POST", "/api/cluster/tokens", "", R"({"role":"admin"})").status, 201);
  EXPECT_THAT(client.read_until("\r\n0\r\n\r\n"), Not(HasSubstr("token_created")));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(HttpTokenTest, TheBodyOfAStrangerIsNotRead) {
  std::string lines;
  start_with_log(lines);
  const std::string head =
      "POST /api/cluster/snapshot/restore HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/octet-stream\r\nExpect: 100-continue\r\n";
  for (const std::string length :
       {"Content-Length: 200000000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    Client stranger(port());
    stranger.send(head + length + "\r\n");
    EXPECT_EQ(stranger.read_reply().status, 401) << length;
    EXPECT_TRUE(stranger.closed_by_server());
    Client reader(port());
    reader.send(head + length + bearer('2') + "\r\n");
    EXPECT_EQ(reader.read_reply().status, 403) << length;
    Client admin(port());
    admin.send(head + length + bearer('3') + "\r\n");
    EXPECT_EQ(admin.read_reply().status, 100) << length;
  }
  server.reset();
  EXPECT_THAT(lines, HasSubstr("POST /api/cluster/snapshot/restore 401 "));
  EXPECT_THAT(lines, HasSubstr("ms 222222222222\n"));
}

TEST_F(HttpTokenTest, ATokenWhoseAnswerIsLostIsNamed) {
  HttpOptions options;
  options.answer_timeout = std::chrono::milliseconds(1);
  start_with_tokens(options);
  const auto ask = [this] {
    const Reply late = call("POST", "/api/cluster/tokens", bearer('3'), R"({"role":"read"})");
    EXPECT_EQ(late.status, 504);
    EXPECT_THAT(late.body, HasSubstr("its text is lost: list the tokens, revoke "));
  };
  backend.refuse = Error{Code::timed_out, "the engine's words"};
  ask();
  backend.silent = true;
  ask();
}

TEST_F(HttpTokenTest, TokensThatAreReplacedAreForgotten) {
  HttpOptions options;
  options.tokens = three_roles();
  const std::weak_ptr old = options.tokens;
  start(std::move(options));
  server->set_tokens(std::make_shared<FileTokens>());
  EXPECT_EQ(get("/api/cluster/nodes", bearer('1')).status, 401);
  EXPECT_TRUE(old.expired());
}

TEST_F(HttpTokenTest, TheAccessLogHasTheTokenButNoSecret) {
  std::string lines;
  start_with_log(lines);
  get("/api/cluster/nodes", bearer('1'));
  get("/healthz");
  get("/api/cluster/nodes?token=" + text_of('3'), bearer('2'));
  server.reset();  // The rest of the log is written.
  EXPECT_THAT(lines, HasSubstr("ms 111111111111\n"));
  EXPECT_THAT(lines, HasSubstr("ms -\n"));
  EXPECT_THAT(lines, HasSubstr("?token=dbt_333333333333*** "));
  EXPECT_THAT(lines, Not(HasSubstr(std::string(13, '3'))));
}

}  // namespace
}  // namespace databridge::api
