#include "lib/cluster_files.h"

#include <fmt/format.h>

#include "platform/secret.h"

namespace databridge::lib {
namespace {

constexpr char kTlsFlags[] =
    "the certificate of the cluster port (--cluster-tls-ca, --cluster-tls-cert, --cluster-tls-key)";
constexpr char kTokenFlag[] = "the join token (--cluster-join-token-file)";

// A new start with the same files would not help, whatever the reason is.
tl::unexpected<Error> for_operator(const char* what, const Error& error) {
  return fail(Code::unprocessable, fmt::format("{}: {}", what, error.message));
}

}  // namespace

platform::TlsFiles tls_files_of(const Config::Cluster& config) {
  return {config.tls_ca, config.tls_cert, config.tls_key};
}

Result<ClusterFiles> read_cluster_files(const Config::Cluster& config) {
  ClusterFiles files;
  if (!config.tls_cert.empty()) {
    auto loaded = platform::load_credentials(tls_files_of(config));
    if (!loaded) return for_operator(kTlsFlags, loaded.error());
    if (loaded->own.use != platform::CertificateUse::node) {
      return fail(Code::unprocessable,
                  fmt::format("the certificate in {} names no node: make one with databridgectl "
                              "certs create-node",
                              config.tls_cert));
    }
    files.tls = std::move(*loaded);
  }
  if (!config.join_token_file.empty()) {
    if (auto safe = platform::check_secret_file(config.join_token_file); !safe) {
      return for_operator(kTokenFlag, safe.error());
    }
    auto token = platform::read_secret(config.join_token_file);
    if (!token) return for_operator(kTokenFlag, token.error());
    files.join_token = std::move(*token);
  }
  return files;
}

Result<NodeId> name_by_certificate(const platform::Certificate& own, const std::string& file,
                                   const NodeId& given, const NodeId& kept) {
  if (!given.empty() && given.value != own.name) {
    return fail(Code::unprocessable,
                fmt::format("this node is called {}, and the certificate in {} is of node {}: give "
                            "this node its own certificate, or leave --cluster-node-id out",
                            given.value, file, own.name));
  }
  if (given.empty() && !kept.empty() && kept.value != own.name) {
    return fail(Code::unprocessable,
                fmt::format("the data directory is of node {}, and the certificate in {} is of "
                            "node {}: give that node's certificate, another --data-dir, or "
                            "--cluster-node-id={} to rename the node",
                            kept.value, file, own.name, own.name));
  }
  return NodeId(own.name);
}

}  // namespace databridge::lib
