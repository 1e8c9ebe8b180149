// What the user asks for: flows, processors, connections.
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
  Labels require;       // Hard: every pair must be a label of the node. `node` = its id.
  Labels prefer;        // Soft: a tie among equals is decided by it.
  bool spread = false;  // Anti-affinity: not two processors of its flow on one node.

  bool operator==(const Constraints&) const = default;
};

struct ProcessorSpec {
  ProcessorId id;
  std::string name;
  std::string type;  // A registered type, or "external": run by an embedding engine.
  std::map<std::string, std::string> properties;
  FlowId flow;  // Empty: a processor on its own.
  Replication replication = Replication::quorum;
  Constraints constraints;
  bool node_local = false;  // Its source is on the node (TailFile …) and it is not `shared`.
  std::vector<std::string> terminate;  // Relationships whose flow files may end there.
  // Paths of files that it touches: below a root of its node. One that ends with a slash is the
  // part of a path before its first attribute.
  std::vector<std::string> files;

  bool operator==(const ProcessorSpec&) const = default;
};

// A connection belongs to its destination: the queue is there (safety.md 4.1).
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

  bool lists(const ProcessorId& processor) const {
    for (const ProcessorSpec& one : processors) {
      if (one.id == processor) return true;
    }
    return false;
  }
  bool operator==(const FlowSpec&) const = default;
};

std::optional<Replication> replication_of(std::string_view text);

}  // namespace databridge
