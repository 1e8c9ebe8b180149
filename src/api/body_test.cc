// Which bodies are refused and with which words, and which spelling is kept. And a comparison with
// nlohmann-json: both read a text as the same value.
#include "api/body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/random.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;

TEST(BodyTest, KeepsTheOrderOfKeysAndTheSpellingOfNumbers) {
  for (const auto& [text, kept] : std::vector<std::pair<std::string, std::string>>{
           {R"( { "b" : 1.0 , "a" : [ 1e2 , -0 , 1E-7 ] } )", R"({"b":1.0,"a":[1e2,-0,1E-7]})"},
           {"[0.1234567890123456789012345]", "[0.1234567890123456789012345]"},
           {"[123456789012345678901.5,1]", "[123456789012345678901.5,1]"},
           {"[18446744073709551615,-9223372036854775808]",
            "[18446744073709551615,-9223372036854775808]"},
           {R"("\u00e9\/\u0000\n\ud83d\ude00")", "\"\xc3\xa9/\\u0000\\n\xf0\x9f\x98\x80\""},
           {"\xef\xbb\xbf[]", "[]"},
           {"true", "true"},
           {"1e-999", "1e-999"}}) {
    const auto read = parse_json(text);
    ASSERT_TRUE(read) << text << ": " << read.error().message;
    EXPECT_EQ(read->root().json(), kept);
  }
}

TEST(BodyTest, SaysWhatIsWrongAndWhere) {
  using namespace std::string_literals;
  const std::vector<std::tuple<std::string, Code, std::string>> cases = {
      {"", Code::invalid, "line 1, column 1"},
      {"{\n  \"a\": 1,\n  b\n}", Code::invalid, "not JSON: line 3, column 3: "},
      {"{} {}", Code::invalid, "line 1, column 4"},
      {"[1,]", Code::invalid, "not JSON"},
      {"[01]", Code::invalid, "not JSON"},
      {"[NaN]", Code::invalid, "not JSON"},
      {"// no\n1", Code::invalid, "not JSON"},
      {"{}\0{}"s, Code::invalid, "a zero byte"},
      {"\"a\nb\"", Code::invalid, "not JSON"},
      {"[\"\xff\"]", Code::invalid, "not valid UTF-8"},
      {"[\"\xed\xb0\x80\"]", Code::invalid, "not valid UTF-8"},
      {"\xff", Code::invalid, "not valid UTF-8"},
      {R"(["\ud800"])", Code::invalid, "surrogate"},
      {R"(["\udc00"])", Code::invalid, "surrogate"},
      {R"({"a":{"\u0062":1,"b":2}})", Code::invalid, "the key \"b\" twice"},
      {std::string(65, '['), Code::invalid, "nested deeper than 64"},
      {"[1e309]", Code::invalid, "too big"},
      {"[10e308]", Code::invalid, "too large"},
      {"[1" + std::string(400, '0') + "]", Code::invalid, "too big"},
      {"[18446744073709551616]", Code::unprocessable, "more than 64 bits"},
      {"[-9223372036854775809]", Code::unprocessable, "more than 64 bits"},
      {"[18446744073709551616", Code::invalid, "not JSON"}};
  for (const auto& [text, code, words] : cases) {
    const auto read = parse_json(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, code) << text;
    EXPECT_THAT(read.error().message, HasSubstr(words)) << text;
  }
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')));
}

TEST(BodyTest, AnObjectOfManyKeysHasEachOnce) {
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += "\"" + std::to_string(i) + "\":{\"a\":[]},";
  EXPECT_TRUE(parse_json(text + "\"x\":1}"));
  EXPECT_FALSE(parse_json(text + "\"57\":1}"));
}

// Reads the tree of values through the interface.
nlohmann::json tree(const JsonValue& value) {
  nlohmann::json made;
  switch (value.kind()) {
    case JsonValue::Kind::string:
      return value.text();
    case JsonValue::Kind::array:
      made = nlohmann::json::array();
      for (const JsonValue& each : value.elements()) made.push_back(tree(each));
      return made;
    case JsonValue::Kind::object:
      made = nlohmann::json::object();
      for (const auto& [key, each] : value.members()) made[key.text()] = tree(each);
      return made;
    default:
      return nlohmann::json::parse(value.json());
  }
}

TEST(BodyTest, ReadsWhatNlohmannReads) {
  Random random(1);
  const std::vector<std::string> pieces = {
      "{", "}",      "[", "]",    ",",     ":",    "\"a\"", "\"b,]\\\"\"", "\"\\u00e9\\\\\"",
      "1", "-2.5e3", "0", "true", "false", "null", " ",     "\"\"",        "\n"};
  int taken = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    for (uint64_t left = 1 + random.below(9); left > 0; --left) {
      text += pieces[random.below(pieces.size())];
    }
    const auto expected = nlohmann::json::parse(text, nullptr, false);
    const auto read = parse_json(text);
    if (!read && read.error().message.find("twice") != std::string::npos) continue;
    ASSERT_EQ(bool(read), !expected.is_discarded()) << text;
    if (!read) continue;
    ++taken;
    EXPECT_EQ(tree(read->root()), expected) << text;
    EXPECT_EQ(nlohmann::json::parse(read->root().json()), expected) << text;
  }
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace databridge::api
