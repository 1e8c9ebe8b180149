// What the user configures: flows, processors, connections.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/ids.h"
#include "model/member.h"

namespace databridge {

enum class Replication : uint8_t { quorum, sync, async };

struct Constraints {
  Labels require;       // Hard: the node must have every one of these labels. `node` = its id.
  Labels prefer;        // Soft: decides between nodes that are equal otherwise.
  bool spread = false;  // Anti-affinity: no two processors of the flow on one node.

  bool operator==(const Constraints&) const = default;
};

struct ProcessorSpec {
  ProcessorId id;
  std::string name;
  std::string type;  // A registered type, or "external": the program that embeds the node runs it.
  std::map<std::string, std::string> properties;
  FlowId flow;  // Empty: the processor belongs to no flow.
  Replication replication = Replication::quorum;
  Constraints constraints;
  bool node_local = false;  // It reads files of its node (such as TailFile) and is not `shared`.
  std::vector<std::string> terminate;  // Relationships whose flow files may end at this processor.
  // Paths of the files that it touches; each must lie below a root of its node. A path that ends
  // with a slash is only the part before the first attribute.
  std::vector<std::string> files;

  bool operator==(const ProcessorSpec&) const = default;
};

// A connection belongs to its destination, whose node keeps the queue (safety.md 4.1).
struct ConnectionSpec {
  Uuid id;  // Uuid::from_name(flow, "from relationship to").
  ProcessorId from;
  std::string relationship;
  ProcessorId to;
  uint64_t count_max = 10000;
  uint64_t bytes_max = 64 << 20;

  bool operator==(const ConnectionSpec&) const = default;
};

struct FlowSpec {
  FlowId id;
  std::string name;
  std::vector<ProcessorSpec> processors;
  std::vector<ConnectionSpec> connections;

  bool operator==(const FlowSpec&) const = default;
};

std::optional<Replication> replication_of(std::string_view text);

}  // namespace databridge
