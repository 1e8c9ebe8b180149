#include "model/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/spoiled.h"
#include "model/token_file.h"

namespace databridge {
namespace {

using testing::HasSubstr;

const std::string kText = "dbt_010203040506_" + std::string(64, 'a');

Token a_token() {
  return {"010203040506",   "ci", TokenRole::operate, hash_of_token(kText), 1'700'000'000'000,
          1'900'000'000'000};
}

TEST(Token, ItsTextHasAnIdAndASecret) {
  Bytes random;
  for (size_t i = 0; i < kTokenRandomBytes; ++i) random += static_cast<char>(i + 1);
  const std::string text = token_text(random);
  EXPECT_EQ(text,
            "dbt_010203040506_0708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324"
            "2526");
  EXPECT_EQ(token_id_of(text), "010203040506");
  EXPECT_EQ(text.size(), 4 + 12 + 1 + 64u);
}

TEST(Token, OtherTextsAreNoTokens) {
  EXPECT_TRUE(token_id_of(kText));
  for (std::string text : {std::string(), std::string("dbt_"), kText + "a", kText.substr(1),
                           "DBT" + kText.substr(3), std::string(kText.size(), 'a')}) {
    EXPECT_FALSE(token_id_of(text)) << text;
  }
  for (size_t at = 4; at < kText.size(); ++at) {
    std::string text = kText;
    text[at] = 'A';
    EXPECT_FALSE(token_id_of(text)) << text;
    text[at] = '\0';
    EXPECT_FALSE(token_id_of(text));
  }
}

TEST(Token, TheHashIsSha256) {
  EXPECT_EQ(to_hex(hash_of_token("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(same_hash(hash_of_token("abc"), hash_of_token("abc")));
  EXPECT_FALSE(same_hash(hash_of_token("abc"), hash_of_token("abd")));
  EXPECT_FALSE(same_hash("", ""));
  EXPECT_FALSE(same_hash("short", "short"));
}

TEST(Token, SecretsAreStruckOutOfTexts) {
  EXPECT_EQ(without_tokens("/a?token=" + kText + "&b=1"), "/a?token=dbt_010203040506***&b=1");
  EXPECT_EQ(without_tokens(kText + " " + kText), "dbt_010203040506*** dbt_010203040506***");
  EXPECT_EQ(without_tokens("dbt_010203040506"), "dbt_010203040506");
  EXPECT_EQ(without_tokens("dbt_"), "dbt_");
  EXPECT_EQ(without_tokens("a/b"), "a/b");
  EXPECT_EQ(without_tokens(""), "");
}

TEST(Token, RolesHaveNames) {
  for (const auto role : {TokenRole::read, TokenRole::operate, TokenRole::admin}) {
    EXPECT_EQ(token_role_of(name(role)), role);
  }
  EXPECT_FALSE(token_role_of("root"));
}

TEST(TokenFile, LinesComeBack) {
  Token never = a_token();
  never.id = "aaaaaaaaaaaa";
  never.name.clear();
  never.expires_ms = 0;
  never.role = TokenRole::admin;
  const std::string text = "# first\n\n" + token_line(a_token()) + token_line(never);
  const auto tokens = parse_token_file(text);
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(*tokens, (std::vector<Token>{a_token(), never}));
  EXPECT_THAT(text, HasSubstr("010203040506 operate 2023-11-14T22:13:20Z 2030-03-17T17:46:40Z "
                              "sha256:"));
  EXPECT_THAT(text, testing::Not(HasSubstr("dbt_")));
}

TEST(TokenFile, ErrorsNameTheLine) {
  const std::string line = token_line(a_token());
  const auto why = [](const std::string& text) {
    const auto tokens = parse_token_file(text);
    return tokens ? std::string("fine") : tokens.error().message;
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = line;
    return why("#\n" + changed.replace(changed.find(from), from.size(), to));
  };
  EXPECT_EQ(why(""), "fine");
  EXPECT_EQ(why(line + "# a note"), "fine");
  EXPECT_EQ(why("\r\n \t\n" + line.substr(0, line.size() - 1) + "\r\n"), "fine");
  EXPECT_THAT(why(line + line), HasSubstr("line 2: a token with this id stands above"));
  EXPECT_THAT(with("operate", "root"), HasSubstr("line 2: the role must be"));
  EXPECT_THAT(with("010203040506", "01020304050"), HasSubstr("line 2: the id must be"));
  EXPECT_THAT(with("2023-11-14", "2023-02-30"), HasSubstr("line 2: the time when it was made"));
  EXPECT_THAT(with("2023-11-14", "-023-11-14"), HasSubstr("line 2: the time when it was made"));
  EXPECT_THAT(with("2030-03-17", "soon"), HasSubstr("line 2: the time when it ends"));
  EXPECT_THAT(with("sha256:", "sha256:0"), HasSubstr("line 2: the hash must be"));
  EXPECT_THAT(with(" ci", " c/i"), HasSubstr("line 2: the name must be"));
  EXPECT_THAT(with(" ci", ""), HasSubstr("line 2: six words"));
  EXPECT_THAT(with(" ci", " ci more"), HasSubstr("line 2: six words"));
  EXPECT_THAT(why(std::string(kTokenFileMax + 1, '#')), HasSubstr("more than"));
}

TEST(TokenFile, SpoiledFilesNeverCrash) {
  Random random(3);
  const std::string text = token_line(a_token());
  for (int round = 0; round < 20'000; ++round) {
    if (const auto tokens = parse_token_file(spoiled(text, random))) {
      std::string again;
      for (const Token& token : *tokens) again += token_line(token);
      EXPECT_EQ(parse_token_file(again).value(), *tokens);
    }
  }
}

}  // namespace
}  // namespace databridge
