#include "platform/certificates.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/bytes.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

// More than that is no certificate of ours: a file of the wrong kind, or an attack.
constexpr size_t kFileMax = 1u << 20;
constexpr size_t kCertificatesMax = 64;
constexpr long kChainBytesMax = 32 << 10;  // From a peer in its handshake.
constexpr int kChainDepthMax = 4;

struct Chain {
  std::vector<CertificatePtr> all;
};

// The reason for the last error of OpenSSL, in its words. It leaves no error behind.
std::string last_reason() {
  const unsigned long error = ::ERR_peek_last_error();
  ::ERR_clear_error();
  const char* const reason = ::ERR_reason_error_string(error);
  return reason == nullptr ? "no reason was given" : reason;
}

std::string text_of(const ASN1_STRING* from) {
  const auto* const bytes = reinterpret_cast<const char*>(::ASN1_STRING_get0_data(from));
  return {bytes, static_cast<size_t>(::ASN1_STRING_length(from))};
}

std::string address_text(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int length = ::ASN1_STRING_length(bytes);
  const int family = length == 4 ? AF_INET : length == 16 ? AF_INET6 : AF_UNSPEC;
  if (family != AF_UNSPEC) {
    (void)::inet_ntop(family, ::ASN1_STRING_get0_data(bytes), text, sizeof text);
  }
  return text;
}

int64_t unix_time(const ASN1_TIME* at) {
  tm parts{};
  return ::ASN1_TIME_to_tm(at, &parts) == 1 ? static_cast<int64_t>(::timegm(&parts)) : 0;
}

std::string fingerprint_of(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (::X509_digest(certificate, ::EVP_sha256(), digest, &size) != 1) return "";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{}{:02X}", i ? ":" : "", digest[i]);
  return text;
}

std::string common_name(const X509* certificate) {
  char text[256] = "";
  (void)::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName, text,
                                    sizeof text);
  return is_utf8(text) ? text : "";
}

struct Names {
  std::vector<std::string> hosts;
  std::vector<std::string> nodes;
  std::vector<std::string> clients;
};

Names names_of(const X509* certificate) {
  Names names;
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> all(
      static_cast<GENERAL_NAMES*>(
          ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type == GEN_IPADD) names.hosts.push_back(address_text(name->d.iPAddress));
    if (name->type == GEN_DNS && is_utf8(text_of(name->d.dNSName))) {
      names.hosts.push_back(text_of(name->d.dNSName));
    }
    if (name->type != GEN_URI) continue;
    const std::string uri = text_of(name->d.uniformResourceIdentifier);
    for (const auto& [prefix, list] :
         {std::pair{BytesView(kNodeName), &names.nodes}, {kClientName, &names.clients}}) {
      // The whole name counts. One with other characters than a node id has is none.
      if (uri.starts_with(prefix) && is_valid_name(BytesView(uri).substr(prefix.size()), 64)) {
        list->push_back(uri.substr(prefix.size()));
      }
    }
  }
  return names;
}

// A certificate with two names of ours is of no use: which of them counts would be a guess.
Certificate describe(X509* certificate) {
  const Names names = names_of(certificate);
  Certificate out;
  out.hosts = names.hosts;
  out.begins = unix_time(::X509_get0_notBefore(certificate));
  out.ends = unix_time(::X509_get0_notAfter(certificate));
  out.fingerprint = fingerprint_of(certificate);
  out.name = common_name(certificate);
  const bool has_uses = (::X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) != 0;
  const uint32_t uses = has_uses ? ::X509_get_extended_key_usage(certificate) : 0;
  const bool for_servers = (uses & XKU_SSL_SERVER) != 0;
  const bool for_clients = (uses & XKU_SSL_CLIENT) != 0;
  if (::X509_check_ca(certificate) != 0) {
    out.use = CertificateUse::authority;
  } else if (names.nodes.size() == 1 && names.clients.empty() && for_servers && for_clients) {
    out.use = CertificateUse::node;
    out.name = names.nodes.front();
  } else if (names.clients.size() == 1 && names.nodes.empty() && for_clients && !for_servers) {
    out.use = CertificateUse::client;
    out.name = names.clients.front();
  }
  return out;
}

Result<Chain> parse_chain(BytesView text, const std::string& file) {
  if (text.size() > kFileMax) {
    return fail(Code::too_large, fmt::format("{} is too long for a file of certificates", file));
  }
  const BioPtr in(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free);
  Chain chain;
  while (chain.all.size() < kCertificatesMax) {
    CertificatePtr next(::PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), &X509_free);
    if (!next) break;
    chain.all.push_back(std::move(next));
  }
  const bool at_end = ERR_GET_REASON(::ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = last_reason();
  if (!chain.all.empty() && at_end) return chain;
  return fail(Code::unprocessable,
              fmt::format("{} {}: give a file in PEM form, as databridgectl certs writes it", file,
                          at_end ? "holds no certificate"
                                 : "holds a certificate that cannot be read (" + reason + ")"));
}

Result<Chain> read_chain(const std::string& file) {
  const auto text = read_file(file);
  if (!text) return tl::make_unexpected(text.error());
  return parse_chain(*text, file);
}

Result<KeyPtr> parse_key(const std::string& file) {
  if (auto safe = check_secret_file(file); !safe) return tl::make_unexpected(safe.error());
  auto text = read_file(file);
  if (!text) return tl::make_unexpected(text.error());
  const BioPtr in(
      ::BIO_new_mem_buf(text->data(), static_cast<int>(std::min(text->size(), kFileMax))),
      &BIO_free);
  // Without this function OpenSSL would ask for a password at the terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  KeyPtr key(::PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr), &EVP_PKEY_free);
  ::OPENSSL_cleanse(text->data(), text->size());
  if (key) return key;
  return fail(Code::unprocessable, fmt::format("{} holds no key that can be read ({}): give one in "
                                               "PEM form that needs no password",
                                               file, last_reason()));
}

// Looks at the own certificate as a peer with the same authorities will.
Result<void> check_own(const TlsFiles& files, const Chain& chain, X509_STORE* store) {
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> between(
      sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  for (size_t i = 1; i < chain.all.size(); ++i) sk_X509_push(between.get(), chain.all[i].get());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(
      ::X509_STORE_CTX_new(), &X509_STORE_CTX_free);
  ::X509_STORE_CTX_init(check.get(), store, chain.all.front().get(), between.get());
  (void)::X509_STORE_CTX_set_default(check.get(), "ssl_server");
  if (::X509_verify_cert(check.get()) == 1) return {};
  const int error = ::X509_STORE_CTX_get_error(check.get());
  ::ERR_clear_error();
  const bool is_over = error == X509_V_ERR_CERT_HAS_EXPIRED;
  const Certificate own = describe(chain.all.front().get());
  return fail(
      Code::unprocessable,
      fmt::format("{} cannot be used with {}: {}{}; make a new one with databridgectl certs "
                  "create-node, with the key of that authority",
                  files.cert, files.ca, ::X509_verify_cert_error_string(error),
                  is_over ? " (it ended on " + date_text(own.ends) + ")" : ""));
}

Result<void> trust(const TlsFiles& files, SSL_CTX* context, int64_t* ends) {
  const auto authorities = read_chain(files.ca);
  if (!authorities) return tl::make_unexpected(authorities.error());
  X509_STORE* const store = ::SSL_CTX_get_cert_store(context);
  for (const CertificatePtr& authority : authorities->all) {
    if (::X509_check_ca(authority.get()) == 0) {
      return fail(Code::unprocessable,
                  fmt::format("{} holds a certificate that is no authority's: give the ca.crt of "
                              "this cluster",
                              files.ca));
    }
    (void)::X509_STORE_add_cert(store, authority.get());
    *ends = std::min(*ends, unix_time(::X509_get0_notAfter(authority.get())));
  }
  ::ERR_clear_error();
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  ::SSL_CTX_set_verify_depth(context, kChainDepthMax);
  return {};
}

TlsContext new_context() {
  TlsContext context(::SSL_CTX_new(::TLS_method()), &SSL_CTX_free);
  SSL_CTX* const tls = context.get();
  SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(tls, TLS1_3_VERSION);
  // Each connection shows its certificate anew, so an old session never outlives a certificate.
  ::SSL_CTX_set_options(tls,
                        SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  ::SSL_CTX_set_num_tickets(tls, 0);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
  // An idle connection keeps no buffers of its own.
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  // A read ends behind each record, so a flood of records without content, such as changes of keys,
  // does not keep the network's thread.
  SSL_CTX_clear_mode(tls, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(tls, 1);  // One system call for each record, and not two.
  SSL_CTX_set_max_cert_list(tls, kChainBytesMax);
  return context;
}

}  // namespace

std::string date_text(int64_t unix_seconds) {
  const time_t at = unix_seconds;
  tm parts{};
  ::gmtime_r(&at, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

int64_t seconds_until(int64_t unix_seconds) {
  return unix_seconds - static_cast<int64_t>(::time(nullptr));
}

Result<void> check_secret_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return tl::make_unexpected(system_error("open", path));
  const mode_t allowed = info.st_uid == 0 ? 0740 : 0700;
  if ((info.st_mode & 0777 & ~allowed) == 0) return {};
  return fail(Code::unprocessable,
              fmt::format("{} has mode {:04o}, so others can use the secret in it: chmod 600 {}",
                          path, info.st_mode & 0777, path));
}

Result<void> check_trusted_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return tl::make_unexpected(system_error("open", path));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  return fail(Code::unprocessable,
              fmt::format("{} has mode {:04o}, so others can change what it allows: chmod go-w {}",
                          path, info.st_mode & 0777, path));
}

Result<std::vector<Certificate>> parse_certificates(BytesView text, const std::string& file) {
  const auto chain = parse_chain(text, file);
  if (!chain) return tl::make_unexpected(chain.error());
  std::vector<Certificate> all;
  for (const CertificatePtr& each : chain->all) all.push_back(describe(each.get()));
  return all;
}

Result<std::vector<Certificate>> read_certificates(const std::string& file) {
  const auto text = read_file(file);
  if (!text) return tl::make_unexpected(text.error());
  return parse_certificates(*text, file);
}

Result<Credentials> load_credentials(const TlsFiles& files) {
  const auto chain = read_chain(files.cert);
  if (!chain) return tl::make_unexpected(chain.error());
  const auto key = parse_key(files.key);
  if (!key) return tl::make_unexpected(key.error());
  X509* const own = chain->all.front().get();
  if (::X509_check_private_key(own, key->get()) != 1) {
    ::ERR_clear_error();
    return fail(Code::unprocessable,
                fmt::format("the key in {} does not belong to the certificate in {}: give both "
                            "files of one certificate",
                            files.key, files.cert));
  }
  Credentials made{new_context(), describe(own), INT64_MAX};
  for (const CertificatePtr& each : chain->all) {
    made.ends = std::min(made.ends, unix_time(::X509_get0_notAfter(each.get())));
  }
  SSL_CTX* const tls = made.context.get();
  bool taken =
      ::SSL_CTX_use_certificate(tls, own) == 1 && ::SSL_CTX_use_PrivateKey(tls, key->get()) == 1;
  for (size_t i = 1; taken && i < chain->all.size(); ++i) {
    taken = SSL_CTX_add1_chain_cert(tls, chain->all[i].get()) == 1;
  }
  if (!taken) {
    return fail(Code::unprocessable, fmt::format("{} cannot be used: {}; make a new certificate "
                                                 "with databridgectl certs create-node",
                                                 files.cert, last_reason()));
  }
  if (files.ca.empty()) return made;
  if (auto trusted = trust(files, tls, &made.ends); !trusted) {
    return tl::make_unexpected(trusted.error());
  }
  if (auto fits = check_own(files, *chain, ::SSL_CTX_get_cert_store(tls)); !fits) {
    return tl::make_unexpected(fits.error());
  }
  return made;
}

Result<Certificate> peer_certificate(const ssl_st* tls) {
  const CertificatePtr shown(::SSL_get1_peer_certificate(tls), &X509_free);
  if (!shown) return fail(Code::not_found, "it showed no certificate");
  return describe(shown.get());
}

Result<void> check_node_name(const std::optional<Certificate>& shown, const NodeId& node) {
  if (!shown || shown->name == node.value) return {};
  return fail(Code::forbidden,
              fmt::format("{}it calls itself {} and shows the certificate of node {}", kTlsEnd,
                          node.value, shown->name));
}

}  // namespace databridge::platform
