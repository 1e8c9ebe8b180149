// Reads the files that the cluster port needs: certificates, key and join token.
//
// - Owns: which certificate is right for which node, and the words when it is not.
// - Thread: the caller's. It waits for the disk.
#pragma once

#include <string>

#include "base/result.h"
#include "lib/config.h"
#include "model/ids.h"
#include "platform/certificates.h"

namespace databridge::lib {

struct ClusterFiles {
  platform::Credentials tls;  // Without a context: no TLS.
  std::string join_token;     // Empty: none.
};

// Code::unprocessable: an operator must correct a file first.
Result<ClusterFiles> read_cluster_files(const Config::Cluster& config);

// The name of this node under TLS. `given`: by a setting, or empty. `kept`: in the data directory,
// or empty. They must not contradict the certificate.
Result<NodeId> name_by_certificate(const platform::Certificate& own, const std::string& file,
                                   const NodeId& given, const NodeId& kept);

platform::TlsFiles tls_files_of(const Config::Cluster& config);

}  // namespace databridge::lib
