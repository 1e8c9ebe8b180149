// - Owns: making keys and certificates: an authority of a cluster, and the certificates that it
//   signs for nodes and clients (docs/adr/0019).
// - Hides: OpenSSL, extensions, how files are written. The caller's thread; it waits for the disk.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "platform/certificates.h"

namespace databridge::platform {

inline constexpr int kAuthorityDays = 3650;  // How long they are good by default, and at most.
inline constexpr int kCertificateDays = 365;

struct CertificateOrder {
  std::string directory = "certs";  // It is made if it is not there.
  std::string name;                 // A node id or a client's name. Not used for an authority.
  std::vector<std::string> hosts;   // DNS names and IP addresses of a node.
  int days = kCertificateDays;      // From 1 to kAuthorityDays; never longer than the authority.
  bool replace = false;             // False: an existing file is an error.
};

struct Written {
  Certificate certificate;
  std::string cert;  // The paths of the two files. The key has mode 0600.
  std::string key;
};

// Writes `ca.crt` and `ca.key` into the directory.
Result<Written> create_authority(const CertificateOrder& order);

// Writes NAME.crt and NAME.key, signed with the `ca.crt` and `ca.key` of the same directory. `use`
// is node or client. The names of a node always include localhost and 127.0.0.1.
Result<Written> create_certificate(CertificateUse use, const CertificateOrder& order);

// The paths of the *.crt files in a directory, sorted.
Result<std::vector<std::string>> certificate_files(const std::string& directory);

}  // namespace databridge::platform
