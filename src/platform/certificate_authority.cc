#include "platform/certificate_authority.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/bytes.h"
#include "base/check.h"
#include "model/ids.h"
#include "platform/process.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

// The clocks of two hosts may differ, so a certificate is good from a little earlier on.
constexpr long kBegunBefore = 3600;
constexpr long kDay = 86400;

struct Signer {
  CertificatePtr certificate{nullptr, &X509_free};
  KeyPtr key{nullptr, &EVP_PKEY_free};
};

struct Paths {
  std::string cert;
  std::string key;
};

bool is_ip(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// Only these characters go into the text that OpenSSL parses.
bool is_host(const std::string& host) {
  if (is_ip(host)) return true;
  const bool clean =
      host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
      std::string::npos;
  return clean && !host.empty() && host.size() <= 253 && host.front() != '-' && host.front() != '.';
}

Result<void> check_order(const CertificateOrder& order) {
  if (order.days < 1 || order.days > kAuthorityDays) {
    return fail(Code::invalid,
                fmt::format("{} days: give a number from 1 to {}", order.days, kAuthorityDays));
  }
  for (const std::string& host : order.hosts) {
    if (is_host(host)) continue;
    return fail(Code::invalid,
                fmt::format("\"{}\" is neither a host name nor an IP address", host));
  }
  return {};
}

Result<Paths> free_paths(const CertificateOrder& order, const std::string& name) {
  std::error_code error;
  std::filesystem::create_directories(order.directory, error);
  if (error) {
    return fail(Code::io,
                fmt::format("cannot make the directory {}: {}", order.directory, error.message()));
  }
  const Paths paths{order.directory + "/" + name + ".crt", order.directory + "/" + name + ".key"};
  for (const std::string& path : {paths.cert, paths.key}) {
    if (order.replace || !std::filesystem::exists(path, error)) continue;
    return fail(Code::conflict,
                fmt::format("{} exists already; with --replace it is written anew", path));
  }
  return paths;
}

// A reader sees the old content or the new one, and nobody else sees a key at any moment.
Result<void> write_private(const std::string& path, BytesView content, mode_t mode) {
  const std::string fresh = path + ".new";
  (void)::unlink(fresh.c_str());
  {
    const Descriptor out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!out) return tl::make_unexpected(system_error("open", fresh));
    if (auto written = write_all(out.get(), content, fresh); !written) return written;
    if (::fsync(out.get()) != 0) return tl::make_unexpected(system_error("sync", fresh));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return tl::make_unexpected(system_error("rename to", path));
  }
  return {};
}

Bytes content_of(BIO* from) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(from, &bytes);
  return {bytes, static_cast<size_t>(size)};
}

Result<void> write_both(const Paths& paths, X509* certificate, EVP_PKEY* key) {
  const BioPtr cert_text(::BIO_new(::BIO_s_mem()), &BIO_free);
  const BioPtr key_text(::BIO_new(::BIO_s_secmem()), &BIO_free);
  CHECK(::PEM_write_bio_X509(cert_text.get(), certificate) == 1);
  CHECK(::PEM_write_bio_PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
        1);
  // The key comes first: a certificate without its key is of no use.
  Bytes secret = content_of(key_text.get());
  auto done = write_private(paths.key, secret, 0600);
  ::OPENSSL_cleanse(secret.data(), secret.size());
  if (!done) return done;
  return write_private(paths.cert, content_of(cert_text.get()), 0644);
}

CertificatePtr blank(EVP_PKEY* key, const std::string& name, int64_t seconds) {
  CertificatePtr made(::X509_new(), &X509_free);
  CHECK(::X509_set_version(made.get(), X509_VERSION_3) == 1);
  // 63 random bits are enough to tell the certificates of one authority apart.
  CHECK(::ASN1_INTEGER_set_uint64(::X509_get_serialNumber(made.get()), entropy64() >> 1) == 1);
  CHECK(::X509_gmtime_adj(::X509_getm_notBefore(made.get()), -kBegunBefore) != nullptr);
  CHECK(::X509_gmtime_adj(::X509_getm_notAfter(made.get()), static_cast<long>(seconds)) != nullptr);
  CHECK(::X509_set_pubkey(made.get(), key) == 1);
  CHECK(::X509_NAME_add_entry_by_txt(::X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(name.data()),
                                     static_cast<int>(name.size()), -1, 0) == 1);
  return made;
}

void extend(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      ::X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()), &X509_EXTENSION_free);
  CHECK(extension != nullptr);
  CHECK(::X509_add_ext(certificate, extension.get(), -1) == 1);
}

Result<Signer> load_signer(const std::string& directory) {
  const std::string cert = directory + "/ca.crt";
  const std::string key = directory + "/ca.key";
  const std::string remedy =
      "; make an authority first with databridgectl certs create-ca --dir " + directory;
  const auto cert_text = read_file(cert);
  if (!cert_text) return fail(cert_text.error().code, cert_text.error().message + remedy);
  if (auto safe = check_secret_file(key); !safe) return tl::make_unexpected(safe.error());
  auto key_text = read_file(key);
  if (!key_text) return tl::make_unexpected(key_text.error());
  const BioPtr cert_in(::BIO_new_mem_buf(cert_text->data(), static_cast<int>(cert_text->size())),
                       &BIO_free);
  const BioPtr key_in(::BIO_new_mem_buf(key_text->data(), static_cast<int>(key_text->size())),
                      &BIO_free);
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Signer signer;
  signer.certificate.reset(::PEM_read_bio_X509(cert_in.get(), nullptr, nullptr, nullptr));
  signer.key.reset(::PEM_read_bio_PrivateKey(key_in.get(), nullptr, no_password, nullptr));
  ::OPENSSL_cleanse(key_text->data(), key_text->size());
  const bool fit = signer.certificate && signer.key &&
                   ::X509_check_private_key(signer.certificate.get(), signer.key.get()) == 1 &&
                   ::X509_check_ca(signer.certificate.get()) != 0;
  ::ERR_clear_error();
  if (fit && ::X509_cmp_current_time(::X509_get0_notAfter(signer.certificate.get())) < 0) {
    return fail(Code::unprocessable,
                fmt::format("the authority in {} has ended, so nobody would take a certificate of "
                            "it; make a new one with databridgectl certs create-ca --replace --dir "
                            "{}, and new certificates for all nodes",
                            cert, directory));
  }
  if (fit) return signer;
  return fail(Code::unprocessable,
              fmt::format("{} and {} are not the certificate and the key of an authority{}", cert,
                          key, remedy));
}

Result<std::vector<std::string>> names_for(CertificateUse use, const CertificateOrder& order) {
  if (!is_valid_name(order.name, 64) || order.name == "ca") {
    return fail(Code::invalid, fmt::format("\"{}\" cannot be the name: 1 to 64 of A-Z a-z 0-9 . _ "
                                           "-, and not ca",
                                           order.name));
  }
  if (use == CertificateUse::client) return std::vector{"URI:" + (kClientName + order.name)};
  std::vector<std::string> names = {"URI:" + (kNodeName + order.name)};
  std::vector<std::string> hosts = order.hosts;
  for (const char* own : {"localhost", "127.0.0.1"}) {
    if (std::find(hosts.begin(), hosts.end(), own) == hosts.end()) hosts.emplace_back(own);
  }
  for (const std::string& host : hosts) names.push_back((is_ip(host) ? "IP:" : "DNS:") + host);
  return names;
}

// Keys of some kinds have their digest built in.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  const bool built_in = ::EVP_PKEY_is_a(key, "ED25519") == 1 || ::EVP_PKEY_is_a(key, "ED448") == 1;
  return built_in ? nullptr : ::EVP_sha256();
}

}  // namespace

Result<Written> create_authority(const CertificateOrder& order) {
  if (auto fits = check_order(order); !fits) return tl::make_unexpected(fits.error());
  const auto paths = free_paths(order, "ca");
  if (!paths) return tl::make_unexpected(paths.error());
  const KeyPtr key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  CHECK(key != nullptr);
  // Authorities of two clusters must not have the same name, or messages about them would mislead.
  const std::string name = fmt::format("databridge cluster {:016x}", entropy64());
  const CertificatePtr made = blank(key.get(), name, order.days * kDay);
  CHECK(::X509_set_issuer_name(made.get(), ::X509_get_subject_name(made.get())) == 1);
  extend(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  extend(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(made.get(), made.get(), NID_subject_key_identifier, "hash");
  CHECK(::X509_sign(made.get(), key.get(), ::EVP_sha256()) > 0);
  if (auto done = write_both(*paths, made.get(), key.get()); !done) {
    return tl::make_unexpected(done.error());
  }
  auto read = read_certificates(paths->cert);
  if (!read) return tl::make_unexpected(read.error());
  return Written{std::move(read->front()), paths->cert, paths->key};
}

Result<Written> create_certificate(CertificateUse use, const CertificateOrder& order) {
  if (auto fits = check_order(order); !fits) return tl::make_unexpected(fits.error());
  const auto names = names_for(use, order);
  if (!names) return tl::make_unexpected(names.error());
  const auto signer = load_signer(order.directory);
  if (!signer) return tl::make_unexpected(signer.error());
  const auto paths = free_paths(order, order.name);
  if (!paths) return tl::make_unexpected(paths.error());
  const KeyPtr key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  CHECK(key != nullptr);
  X509* const authority = signer->certificate.get();
  const CertificatePtr made = blank(key.get(), order.name, order.days * kDay);
  if (::ASN1_TIME_compare(::X509_get0_notAfter(authority), ::X509_get0_notAfter(made.get())) < 0) {
    CHECK(::X509_set1_notAfter(made.get(), ::X509_get0_notAfter(authority)) == 1);
  }
  CHECK(::X509_set_issuer_name(made.get(), ::X509_get_subject_name(authority)) == 1);
  extend(made.get(), authority, NID_basic_constraints, "critical,CA:FALSE");
  extend(made.get(), authority, NID_key_usage, "critical,digitalSignature");
  extend(made.get(), authority, NID_ext_key_usage,
         use == CertificateUse::node ? "serverAuth,clientAuth" : "clientAuth");
  extend(made.get(), authority, NID_subject_alt_name, fmt::format("{}", fmt::join(*names, ",")));
  extend(made.get(), authority, NID_subject_key_identifier, "hash");
  extend(made.get(), authority, NID_authority_key_identifier, "keyid");
  CHECK(::X509_sign(made.get(), signer->key.get(), digest_for(signer->key.get())) > 0);
  if (auto done = write_both(*paths, made.get(), key.get()); !done) {
    return tl::make_unexpected(done.error());
  }
  auto read = read_certificates(paths->cert);
  if (!read) return tl::make_unexpected(read.error());
  return Written{std::move(read->front()), paths->cert, paths->key};
}

Result<std::vector<std::string>> certificate_files(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> found;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == ".crt") found.push_back(at->path().string());
  }
  if (error) {
    return fail(Code::not_found,
                fmt::format("cannot read the directory {}: {}", directory, error.message()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace databridge::platform
