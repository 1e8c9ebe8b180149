// All messages between nodes, as one variant.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/command.h"
#include "model/flow_file.h"
#include "model/heartbeat.h"
#include "model/load.h"
#include "model/member.h"

namespace databridge {

// A message of the consensus core. Only node/raft_codec knows its content.
struct RaftPacket {
  Bytes bytes;
  bool operator==(const RaftPacket&) const = default;
};

// ---- Founding and joining (safety.md 5.3)

// Asks a peer what it knows. It is sent to every seed until there is a cluster.
struct Probe {
  MemberInfo self;
  bool operator==(const Probe&) const = default;
};
// The answer to Probe. It is also sent without a Probe when it changes.
struct ProbeReply {
  MemberInfo self;
  ClusterId cluster;              // Empty: the node has no cluster.
  std::vector<MemberInfo> known;  // Founders that it has heard itself, including itself, sorted.
  // The set with which it has durably promised to found, sorted.
  std::vector<Incarnation> promised;
  // The attempt of each of `promised`. The promise holds for that attempt only.
  std::vector<uint64_t> attempts;
  uint64_t attempt = 1;  // The node's own attempt. It is durable and grows when the node withdraws.
  // With how many voters it wants to found, or has promised to. 0: an older version, not told.
  uint32_t replica_count = 0;
  std::vector<ClusterId> given_up;  // Clusters of sets that it left: they can have no leader.
  bool operator==(const ProbeReply&) const = default;
};
// A node without a cluster asks a member to take it in. A follower passes this to the leader.
struct Join {
  MemberInfo self;
  ClusterId cluster;  // The cluster that it already belongs to; empty: none.
  FeatureSet features{};
  bool operator==(const Join&) const = default;
};
// The node is a member now. The answer tells the cluster and its members' addresses.
struct JoinReply {
  ClusterId cluster;
  Incarnation leader;
  std::vector<MemberInfo> members;
  std::string refused;   // Not empty: why it was not taken in.
  bool removed = false;  // It was a member, was removed, and never becomes one again.
  Standing standing = Standing::member;  // If not `member`, `members` holds only the other process.
  bool operator==(const JoinReply&) const = default;
};

// ---- Work (safety.md 1)

// Only this message starts a processor. A lower term is refused.
struct StartWork {
  ProcessorId processor;
  Epoch epoch;
  Term term = 0;
  LogIndex index = 0;  // The host must have applied this index.
  bool operator==(const StartWork&) const = default;
};
struct StopWork {
  ProcessorId processor;
  Epoch epoch;
  Term term = 0;
  bool operator==(const StopWork&) const = default;
};
// With "stopped" the owner says that its worker has returned and its children are reaped.
struct WorkReport {
  ProcessorId processor;
  Epoch epoch;
  RunState state = RunState::running;  // One of starting, running, failed; unassigned = stopped.
  std::string detail;
  bool operator==(const WorkReport&) const = default;
};

// ---- Requests that are forwarded to the leader (safety.md 5.5)

struct Forward {
  RequestId request;
  Bytes bytes;  // Encoded by cluster/request.h.
  bool operator==(const Forward&) const = default;
};
struct ForwardReply {
  RequestId request;
  Bytes bytes;
  bool operator==(const ForwardReply&) const = default;
};

// ---- Flow files between nodes (safety.md 4.4, 4.5)

struct Delivery {
  Uuid connection;
  ProcessorId from;
  Epoch epoch;   // The newest epoch of `from` that the sender has applied. It is a fence.
  Epoch tenure;  // The destination's epoch that this is meant for. It is refused under any other.
  std::vector<Parcel> parcels;  // All of one origin, in order.
  bool operator==(const Delivery&) const = default;
};
// busy: try again later. refused: `epoch` is old, so the sender must catch up. not_here: that
// tenure is over, send it to the new one.
enum class DeliveryResult : uint8_t { accepted, busy, refused, not_here };
struct DeliveryAck {
  Uuid connection;
  ProcessorId from;
  Epoch tenure;
  Epoch origin;
  std::vector<uint64_t> safe;   // Sequences of this origin that are durable there.
  std::vector<uint64_t> never;  // Sequences that are not there and never will be under this tenure.
  DeliveryResult result = DeliveryResult::accepted;
  bool operator==(const DeliveryAck&) const = default;
};

using Message = std::variant<RaftPacket, Probe, ProbeReply, Join, JoinReply, Heartbeat,
                             HeartbeatAck, HeartbeatAsk, SoftTable, StartWork, StopWork, WorkReport,
                             Forward, ForwardReply, Delivery, DeliveryAck>;

const char* name(const Message& message);
bool is_for_strangers(const Message& message);  // All other messages are taken from members only.

// A message as bytes: Protobuf. Decoding accepts any bytes and never crashes.
Bytes encode(const Message& message);
Result<Message> decode_message(BytesView bytes);

}  // namespace databridge
