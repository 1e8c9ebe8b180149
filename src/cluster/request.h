// What a client asks of the cluster, and what it gets back. Any node takes a request; the leader
// carries it out; the asker's node answers once its own view has what the answer is about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/command.h"
#include "placement/plan.h"

namespace databridge::cluster {

// A change that is one command: config, strategy, flows, processors, start and stop, restore.
struct Change {
  CommandBody body;
};
// `assign` of a processor that may be new; answered after the assignment is committed, or after
// the reason why it is unassigned is.
struct Place {
  ProcessorSpec spec;
};
struct MoveWork {
  ProcessorId processor;
  NodeId to;
  bool force = false;  // Even away from the node that its source is on: it starts anew.
};
struct Rebalance {
  bool dry_run = false;
  std::string plan_id;  // Empty: plan now and apply.
};
struct RemoveNode {
  NodeId node;
  bool force = false;
};
struct DrainNode {
  NodeId node;
  bool draining = true;
};
struct CheckNode {
  NodeId node;
};
struct TransferLeadership {
  NodeId to;  // Empty: whoever is furthest.
};
// A linearizable read: answered with an index that was committed after the request arrived.
struct ReadBarrier {};
// This node itself is to join the cluster behind the seeds. Never forwarded.
struct JoinCluster {
  std::vector<Address> seeds;
};

using RequestBody = std::variant<Change, Place, MoveWork, Rebalance, RemoveNode, DrainNode,
                                 CheckNode, TransferLeadership, ReadBarrier, JoinCluster>;

struct Request {
  RequestBody body;
  std::string idempotency_key;
  uint64_t fingerprint = 0;  // Of what the client sent: a key is for one request. 0 = none.
};

// What was done. `index` is the log index that the answer is true at: the node that serves the
// client waits until its view has it, and shows the thing from there.
struct Outcome {
  LogIndex index = 0;
  std::optional<placement::Plan> plan;  // Of a rebalance.
  std::string text;  // Of a join: the cluster id; of an undrain: kNotDraining, or nothing.
};

inline constexpr char kNotDraining[] = "not draining";

using Answer = Result<Outcome>;

Bytes encode(const Request& request);
Result<Request> decode_request(BytesView bytes);
Bytes encode(const Answer& answer);
Result<Answer> decode_answer(BytesView bytes);

}  // namespace databridge::cluster
