// Recovery of a cluster that has lost its quorum for good: what a stopped node knows, and the new
// generation that begins with it (docs/adr/0022-a-new-generation.md).
//
// - Owns: no data. Hides how a new generation is written: two entries at the end of the log, and
//   another name of the cluster.
// - Thread: any. Each function here waits for the disk. No engine may run on the store.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "env/store.h"
#include "model/ids.h"

namespace databridge::node {

// A server, as the log of the surveyed node knows it.
struct Server {
  Incarnation incarnation;
  NodeId node;  // Its node id. A server that is no member has none, and is called "server-17".
  bool voter = false;

  bool operator==(const Server&) const = default;
};

// What the store of a stopped node says.
struct Survey {
  NodeId node;
  Incarnation incarnation;
  ClusterId cluster;
  uint32_t generation = 0;      // As the log ends.
  Term term = 0;                // The newest term that it has seen.
  Term last_term = 0;           // The term of its last entry.
  LogIndex last = 0;            // Its last entry.
  LogIndex commit = 0;          // It knows that the entries up to this one are committed.
  uint64_t chain = 0;           // The hash of all its entries; 0: not known.
  bool is_member = false;       // Its own log has admitted this incarnation.
  std::vector<Server> servers;  // All of the newest configuration in its log.
  size_t members = 0, flows = 0, processors = 0, keys = 0;
  uint64_t queued = 0;  // Records of queues on its disk.
};

// Codes: gone (the directory was given up), conflict (the node is in no cluster), corrupt, io.
Result<Survey> survey(env::Store& store);

// True if the log of `a` is newer: a later generation, then a later last term, then a later entry.
bool is_newer(const Survey& a, const Survey& b);

// Why no new generation may begin with the log of `survivor`, in words; empty: it may. `others` are
// the other stopped nodes that were looked at, and `lost` are the nodes that never come back.
std::string why_no_new_generation(const Survey& survivor, const std::vector<Survey>& others,
                                  const std::vector<NodeId>& lost);

// Begins a new generation: this node is the only voter, and all epochs and names of before are
// fenced. Returns the new name of the cluster once the change is in `batch`, to be made durable by
// the caller as one write. Codes: as survey(), and unprocessable (there were too many generations).
Result<ClusterId> begin_generation(env::Store& store, env::Batch& batch);

}  // namespace databridge::node
