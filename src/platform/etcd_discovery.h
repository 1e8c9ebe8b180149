// Finds other nodes by keys in etcd (v3, by its JSON gateway). Each node has a key under a lease,
// and watches those of the others.
//
// - Owns: the lease, the key, the watch, and one thread. Hides: libcurl and JSON.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/discovery.h"

namespace databridge::platform {

struct EtcdOptions {
  // http://HOST:PORT or http://HOST:PORT/NAME. The NAME of the first one is the cluster's name in
  // the keys: /databridge/NAME/nodes/INCARNATION.
  std::vector<std::string> endpoints;
};

std::unique_ptr<env::Discovery> make_etcd_discovery(EtcdOptions options);

}  // namespace databridge::platform
