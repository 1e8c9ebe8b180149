// The identity of a node. It is made with its data directory, and the boot grows by one at every
// start (safety.md 5.1).
//
// - Owns: the records of the identity in Space::meta. Hides their form. Engine thread.
#pragma once

#include <optional>
#include <string>

#include "env/env.h"
#include "env/store.h"
#include "model/ids.h"

namespace databridge::node {

struct Identity {
  Incarnation incarnation;
  uint64_t boot = 0;   // The number of this start; the first one is 1.
  uint64_t start = 0;  // A random number of this start; never 0.
  NodeId node;
  ClusterId cluster;  // Empty: the node is in no cluster yet.
};

// The mark of a data directory that must never speak as its incarnation again (safety.md 9.1, 9.2).
struct Renounced {
  std::string why;
  // True: the node comes back at once, as a new incarnation.
  bool comes_back = true;
  NodeId node;  // The name that the new incarnation inherits.
  // Addresses that it inherits, one in each line. It asks these nodes to take it in.
  Bytes members;
};
void put_renounced(env::Batch& batch, const std::string& why, bool comes_back);
Result<std::optional<Renounced>> read_renounced(env::Store& store);
// The identity as the store has it: that of the last start, without its start number. An empty
// store has none. Waits for the disk.
Result<Identity> stored_identity(env::Store& store);
// Reads the identity, and counts this start. An empty store gets a new incarnation. `wanted` is the
// new name of the node; if it is empty, the node keeps its name, or gets one. Waits for the disk.
// Code::gone: the directory is marked as renounced.
Result<Identity> load_identity(env::Env& env, const NodeId& wanted);

// The name that the store keeps; empty: it is new. Waits for the disk.
Result<NodeId> read_node_name(env::Store& store);

void put_identity(env::Batch& batch, const Identity& identity);  // Writes all but the cluster.
void put_cluster(env::Batch& batch, const ClusterId& cluster);   // Empty: the node is in none.
Result<Bytes> read_meta(env::Store& store, const char* key);     // Empty: there is no such record.

}  // namespace databridge::node
