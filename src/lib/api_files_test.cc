#include "lib/api_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "model/token_file.h"
#include "platform/certificate_authority.h"
#include "platform/certificates.h"
#include "platform/testing.h"

namespace databridge::lib {
namespace {

using testing::HasSubstr;

class ApiFiles : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(directory + "/" + name) << content;
    return directory + "/" + name;
  }

  const platform::TemporaryDirectory made_for_this;
  const std::string directory = made_for_this.path();
  Config::Api api;
};

TEST_F(ApiFiles, WithoutFilesThereIsNeitherTlsNorTokens) {
  EXPECT_EQ(load_tokens(api).value(), nullptr);
  EXPECT_EQ(load_tls(api)->context, nullptr);
}

TEST_F(ApiFiles, TokensAreReadAndErrorsNameFileAndLine) {
  Token token{"0123456789ab", "ci", TokenRole::read, hash_of_token("x"), 1'000, 0};
  api.token_file = write("tokens", token_line(token));
  EXPECT_EQ(load_tokens(api).value()->at("0123456789ab"), token);
  api.token_file = write("bad", "# a note\nnonsense\n");
  EXPECT_EQ(load_tokens(api).error().code, Code::unprocessable);
  EXPECT_THAT(load_tokens(api).error().message, HasSubstr("/bad: line 2: six words"));
  api.token_file = directory + "/none";
  EXPECT_EQ(load_tokens(api).error().code, Code::unprocessable);
  EXPECT_THAT(load_tokens(api).error().message, HasSubstr("databridgectl token create --file"));
}

TEST_F(ApiFiles, ATokenFileThatOthersCanChangeIsRefused) {
  api.token_file = write("tokens", "");
  for (const auto more :
       {std::filesystem::perms::group_write, std::filesystem::perms::others_write}) {
    std::filesystem::permissions(api.token_file, more, std::filesystem::perm_options::add);
    EXPECT_EQ(load_tokens(api).error().code, Code::unprocessable);
    EXPECT_THAT(load_tokens(api).error().message, HasSubstr("/tokens has mode 06"));
    std::filesystem::permissions(api.token_file, more, std::filesystem::perm_options::remove);
    EXPECT_TRUE(load_tokens(api));
  }
}

TEST_F(ApiFiles, ACertificateIsReadWithItsKey) {
  platform::CertificateOrder order{.directory = directory, .name = {}, .hosts = {}};
  ASSERT_TRUE(platform::create_authority(order));
  for (const int days : {29, 40}) {
    order.name = "node-" + std::to_string(days);
    order.days = days;
    const auto made = platform::create_certificate(platform::CertificateUse::node, order);
    ASSERT_TRUE(made) << made.error().message;
    api.tls_cert = made->cert;
    api.tls_key = made->key;
    const auto tls = load_tls(api);
    ASSERT_TRUE(tls) << tls.error().message;
    EXPECT_NE(tls->context, nullptr);
    EXPECT_NEAR(static_cast<double>(platform::seconds_until(tls->ends)), days * 86'400.0, 3600);
  }
  api.tls_key = directory + "/node-29.key";
  EXPECT_EQ(load_tls(api).error().code, Code::unprocessable);
  EXPECT_THAT(load_tls(api).error().message,
              HasSubstr("the API's certificate (--api-tls-cert, --api-tls-key): "));
}

}  // namespace
}  // namespace databridge::lib
