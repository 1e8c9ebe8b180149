// Who a node is: made with its data directory, and counted up at every start (safety.md 5.1).
//
// - Owns: the records of it in Space::meta. Hides their form. Engine thread.
#pragma once

#include <optional>
#include <string>

#include "env/env.h"
#include "env/store.h"
#include "model/ids.h"

namespace databridge::node {

struct Identity {
  Incarnation incarnation;
  uint64_t boot = 0;   // Of this start: from 1.
  uint64_t start = 0;  // Random, of this start; never zero.
  NodeId node;
  ClusterId cluster;  // Empty: in none yet.
};

// The mark of a data directory that must never speak as its incarnation again (safety.md 9.1, 9.2).
struct Renounced {
  std::string why;
  bool comes_back = true;  // As a new incarnation, at once.
  NodeId node;             // What the new incarnation inherits: name,
  Bytes members;           // and addresses, a line each, of those whom it asks to take it in.
};
void put_renounced(env::Batch& batch, const std::string& why, bool comes_back);
Result<std::optional<Renounced>> read_renounced(env::Store& store);
// As the store has it, with this start counted; a new incarnation for an empty store. `wanted`
// names the node; without it the name is kept, or made. Waits for the disk. Code::gone: the
// directory is marked as renounced.
Result<Identity> load_identity(env::Env& env, const NodeId& wanted);

void put_identity(env::Batch& batch, const Identity& identity);  // But for the cluster.
void put_cluster(env::Batch& batch, const ClusterId& cluster);   // Empty: leaves it.
Result<Bytes> read_meta(env::Store& store, const char* key);     // Empty: there is none.

}  // namespace databridge::node
