#include "platform/certificates.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "platform/certificate_authority.h"
#include "platform/system.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A directory with an authority.
class Certificates : public testing::Test {
 protected:
  Certificates() { EXPECT_TRUE(create_authority(order("", kAuthorityDays))); }

  CertificateOrder order(const std::string& name, int days = 30) {
    return {.directory = directory.path(), .name = name, .hosts = {}, .days = days};
  }
  TlsFiles make(CertificateUse use, const std::string& name, int days = 30) {
    const auto made = create_certificate(use, order(name, days));
    EXPECT_TRUE(made) << made.error().message;
    return {path("ca.crt"), path(name + ".crt"), path(name + ".key")};
  }
  std::string path(const std::string& name) const { return directory.path() + "/" + name; }

  TemporaryDirectory directory;
};

std::string message(const Result<Credentials>& refused) {
  return refused ? "(it was taken)" : refused.error().message;
}

TEST_F(Certificates, NameANode) {
  auto wanted = order("n1");
  wanted.hosts = {"10.0.0.1", "fd00::1", "n1.example"};
  ASSERT_TRUE(create_certificate(CertificateUse::node, wanted));
  const auto credentials = load_credentials({path("ca.crt"), path("n1.crt"), path("n1.key")});
  ASSERT_TRUE(credentials) << credentials.error().message;
  const Certificate& own = credentials->own;
  EXPECT_EQ(own.use, CertificateUse::node);
  EXPECT_EQ(own.name, "n1");
  EXPECT_THAT(own.hosts,
              ElementsAre("10.0.0.1", "fd00::1", "n1.example", "localhost", "127.0.0.1"));
  EXPECT_EQ(own.fingerprint.size(), 32 * 3 - 1);
  EXPECT_NEAR(static_cast<double>(seconds_until(own.ends)), 30 * 86400, 60);
  EXPECT_EQ(credentials->ends, own.ends);
  EXPECT_EQ(read_certificates(path("n1.crt"))->front().fingerprint, own.fingerprint);
}

TEST_F(Certificates, TellNodesClientsAndAuthoritiesApart) {
  make(CertificateUse::client, "ann");
  const auto client = read_certificates(path("ann.crt"));
  EXPECT_EQ(client->front().use, CertificateUse::client);
  EXPECT_EQ(client->front().name, "ann");
  EXPECT_TRUE(client->front().hosts.empty());
  EXPECT_EQ(read_certificates(path("ca.crt"))->front().use, CertificateUse::authority);
}

TEST_F(Certificates, KeysAreForTheirOwnerOnly) {
  const TlsFiles files = make(CertificateUse::node, "n1");
  for (const std::string& key : {path("ca.key"), files.key}) {
    struct stat info {};
    ASSERT_EQ(::stat(key.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << key;
  }
  for (const mode_t open : {0644u, 0604u, 0620u}) {
    ASSERT_EQ(::chmod(files.key.c_str(), open), 0);
    EXPECT_THAT(message(load_credentials(files)), HasSubstr("chmod 600 " + files.key));
  }
}

TEST_F(Certificates, AreNotWrittenOverUnlessTold) {
  make(CertificateUse::node, "n1");
  const Bytes before = *read_file(path("n1.key"));
  EXPECT_THAT(create_certificate(CertificateUse::node, order("n1")).error().message,
              HasSubstr("exists already"));
  EXPECT_THAT(create_authority(order("", 10)).error().message, HasSubstr("exists already"));
  EXPECT_EQ(*read_file(path("n1.key")), before);
  auto again = order("n1");
  again.replace = true;
  EXPECT_TRUE(create_certificate(CertificateUse::node, again));
  EXPECT_NE(*read_file(path("n1.key")), before);
}

TEST_F(Certificates, NeverOutliveTheirAuthority) {
  auto shorter = order("", 10);
  shorter.replace = true;
  ASSERT_TRUE(create_authority(shorter));
  const TlsFiles files = make(CertificateUse::node, "n1", 300);
  EXPECT_LE(load_credentials(files)->own.ends, read_certificates(files.ca)->front().ends);
}

TEST_F(Certificates, OrdersThatCannotBeMet) {
  const auto refusal = [&](const CertificateOrder& wanted) {
    return create_certificate(CertificateUse::node, wanted).error().message;
  };
  EXPECT_THAT(refusal(order("ca")), HasSubstr("cannot be the name"));
  EXPECT_THAT(refusal(order("../n1")), HasSubstr("cannot be the name"));
  EXPECT_THAT(refusal(order("n1", 0)), HasSubstr("from 1 to 3650"));
  auto bad_host = order("n1");
  bad_host.hosts = {"a,URI:databridge:node:n2"};
  EXPECT_THAT(refusal(bad_host), HasSubstr("neither a host name nor an IP address"));
  const TemporaryDirectory empty;
  auto no_authority = order("n1");
  no_authority.directory = empty.path();
  EXPECT_THAT(refusal(no_authority), HasSubstr("certs create-ca"));
}

TEST_F(Certificates, AnAuthorityThatHasEndedSignsNothing) {
  FILE* file = std::fopen(path("ca.key").c_str(), "r");
  EVP_PKEY* const key = ::PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  file = std::fopen(path("ca.crt").c_str(), "r+");
  X509* const authority = ::PEM_read_X509(file, nullptr, nullptr, nullptr);
  ::X509_gmtime_adj(::X509_getm_notAfter(authority), -60);
  EXPECT_GT(::X509_sign(authority, key, ::EVP_sha256()), 0);
  std::rewind(file);
  EXPECT_EQ(::PEM_write_X509(file, authority), 1);
  std::fclose(file);
  ::X509_free(authority);
  ::EVP_PKEY_free(key);
  for (const auto use : {CertificateUse::node, CertificateUse::client}) {
    const auto made = create_certificate(use, order("n1"));
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("has ended"));
  }
  EXPECT_FALSE(std::filesystem::exists(path("n1.key")));
}

TEST_F(Certificates, FilesThatDoNotFit) {
  const TlsFiles n1 = make(CertificateUse::node, "n1");
  const TlsFiles n2 = make(CertificateUse::node, "n2");
  EXPECT_THAT(message(load_credentials({n1.ca, n1.cert, n2.key})),
              HasSubstr("does not belong to the certificate"));
  EXPECT_THAT(message(load_credentials({n1.ca, path("none.crt"), n1.key})),
              HasSubstr("cannot open " + path("none.crt")));
  EXPECT_THAT(message(load_credentials({n1.ca, n1.key, n1.key})),
              HasSubstr("holds no certificate"));
  EXPECT_THAT(message(load_credentials({n1.cert, n1.cert, n1.key})), HasSubstr("no authority's"));
  ASSERT_TRUE(write_whole_file(path("bad.crt"),
                               "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  EXPECT_THAT(message(load_credentials({n1.ca, path("bad.crt"), n1.key})),
              HasSubstr("cannot be read"));
  const TemporaryDirectory elsewhere;
  auto foreign = order("", 10);
  foreign.directory = elsewhere.path();
  ASSERT_TRUE(create_authority(foreign));
  EXPECT_THAT(message(load_credentials({elsewhere.path() + "/ca.crt", n1.cert, n1.key})),
              HasSubstr("cannot be used with"));
}

// For the API: the files of any server, and clients need no certificate.
TEST_F(Certificates, ServeClientsWithoutCertificates) {
  const TlsFiles n1 = make(CertificateUse::node, "n1");
  const auto credentials = load_credentials({"", n1.cert, n1.key});
  ASSERT_TRUE(credentials) << credentials.error().message;
  EXPECT_NE(credentials->context, nullptr);
}

}  // namespace
}  // namespace databridge::platform
