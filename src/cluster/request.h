// What a client asks of the cluster, and what it gets back. Any node takes a request, and the
// leader carries it out. The node that took it answers once its own view shows what the answer is
// about.
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
// `assign` of a processor that may be new. It is answered once the assignment is committed, or the
// reason why the processor has no node.
struct Place {
  ProcessorSpec spec;
};
struct MoveWork {
  ProcessorId processor;
  NodeId to;
  bool force = false;  // Even if its source ties it to another node. It then starts anew.
};
struct Rebalance {
  bool dry_run = false;
  std::string plan_id;  // Empty: make a plan now and apply it.
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
  NodeId to;  // Empty: the node whose log is furthest.
};
// A linearizable read. It is answered with an index that was committed after the request arrived.
struct ReadBarrier {};
// This node itself must join the cluster of the seeds. It is never forwarded.
struct JoinCluster {
  std::vector<Address> seeds;
};

using RequestBody = std::variant<Change, Place, MoveWork, Rebalance, RemoveNode, DrainNode,
                                 CheckNode, TransferLeadership, ReadBarrier, JoinCluster>;

struct Request {
  RequestBody body;
  std::string idempotency_key;
  // A hash of what the client sent, since a key is for one request. 0 = none.
  uint64_t fingerprint = 0;
  Actor by{};  // The client, if the API of the node that took the request knows it.
};

// The result. The answer is true at log index `index`: the node of the client waits until its view
// has that index, and shows the result from there.
struct Outcome {
  LogIndex index = 0;
  std::optional<placement::Plan> plan;  // For a rebalance.
  std::string text;  // For a join: the cluster id. For an undrain: kNotDraining, or empty.
};

inline constexpr char kNotDraining[] = "not draining";

using Answer = Result<Outcome>;

Bytes encode(const Request& request);
Result<Request> decode_request(BytesView bytes);
Bytes encode(const Answer& answer);
Result<Answer> decode_answer(BytesView bytes);

}  // namespace databridge::cluster
