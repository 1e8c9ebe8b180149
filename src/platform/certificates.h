// - Owns: certificates and keys in files: reading and checking them, describing them, and the TLS
//   contexts that are made of them.
// - Hides: OpenSSL, and how a certificate names a node (docs/adr/0019).
// - Threads: any. Nothing here changes once it is made.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/ids.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX.
struct ssl_st;      // OpenSSL's SSL.

namespace databridge::platform {

// Shared, because a connection keeps the context that it began with when a newer one is loaded.
using TlsContext = std::shared_ptr<ssl_ctx_st>;

enum class CertificateUse : uint8_t {
  authority,  // It signs others.
  node,       // It names a node of the cluster, and lets its holder be one.
  client,     // It names a client of the API.
  server,     // None of these: any server.
};

struct Certificate {
  CertificateUse use = CertificateUse::server;
  std::string name;                // The node id or the client's name; else the common name.
  std::vector<std::string> hosts;  // DNS names and IP addresses.
  int64_t begins = 0;              // In seconds of Unix time.
  int64_t ends = 0;                // In seconds of Unix time.
  std::string fingerprint;         // SHA-256: pairs of hexadecimal digits with colons.
};

// Paths of files in PEM form.
struct TlsFiles {
  std::string ca;    // The authorities that are trusted. Empty: peers need no certificate.
  std::string cert;  // The own certificate, then those of authorities between it and a trusted one.
  std::string key;

  bool empty() const { return cert.empty(); }
};

struct Credentials {
  TlsContext context;  // For both sides of a handshake. Null: there is no TLS.
  Certificate own;
  // The first end among the own certificate, the others in its file, and the trusted authorities.
  int64_t ends = 0;
};

// Reads the files and makes a context of them: TLS 1.3 only, no session is resumed, and with a `ca`
// both sides must show a certificate. An error names the file and the remedy: it cannot be read,
// the key can be read by others, the key does not belong to the certificate, or the certificate is
// not one that a peer with the same files would take (expired, of another authority).
Result<Credentials> load_credentials(const TlsFiles& files);

// The certificates in a file, in their order. No key is read. The second one takes the file's text.
Result<std::vector<Certificate>> read_certificates(const std::string& file);
Result<std::vector<Certificate>> parse_certificates(BytesView text, const std::string& file);

// The certificate that the peer of a finished handshake has shown and proved. Code::not_found: it
// has shown none.
Result<Certificate> peer_certificate(const ssl_st* tls);

// Whether a peer that calls itself `node` may do so. Without a certificate (a plain link) it may.
Result<void> check_node_name(const std::optional<Certificate>& shown, const NodeId& node);

// "2026-11-30"; in UTC.
std::string date_text(int64_t unix_seconds);
// By the clock on the wall, for words and metrics only. Negative: it is over.
int64_t seconds_until(int64_t unix_seconds);

// Why a file with a secret must not be used: it is missing, or others can read it. A file of root
// may be readable for its group, too.
Result<void> check_secret_file(const std::string& path);
// Why a file must not be used that says whom to trust: it is missing, or others can write it.
Result<void> check_trusted_file(const std::string& path);

// What is said about the end of a connection for a reason of TLS begins with this.
inline constexpr char kTlsEnd[] = "TLS: ";

// The names in certificates of nodes and of clients. No host can have such a name.
inline constexpr char kNodeName[] = "databridge:node:";
inline constexpr char kClientName[] = "databridge:client:";

}  // namespace databridge::platform
