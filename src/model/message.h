// Everything that nodes say to each other, as one variant.
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

// A message of the consensus core; node/raft_codec knows its inside.
struct RaftPacket {
  Bytes bytes;
  bool operator==(const RaftPacket&) const = default;
};

// ---- Founding and joining (safety.md 5.3)

// Asks the peer what it knows: sent to every seed until there is a cluster.
struct Probe {
  MemberInfo self;
  bool operator==(const Probe&) const = default;
};
// The answer to Probe, and news that is sent unasked when it changes.
struct ProbeReply {
  MemberInfo self;
  ClusterId cluster;                  // Empty: not bootstrapped.
  std::vector<MemberInfo> known;      // Founders it has heard from itself, itself included, sorted.
  std::vector<Incarnation> promised;  // The set it has durably promised to found with, sorted.
  std::vector<uint64_t> attempts;  // Of each of `promised`: a promise holds for that attempt only.
  uint64_t attempt = 1;            // Of the node itself: durable, grows when it withdraws.
  bool operator==(const ProbeReply&) const = default;
};
// A node without a cluster asks a member to take it in; a follower passes it to the leader.
struct Join {
  MemberInfo self;
  ClusterId cluster;  // That it belongs to already; empty: none.
  bool operator==(const Join&) const = default;
};
// The member is in: here is the cluster, and where its members are.
struct JoinReply {
  ClusterId cluster;
  Incarnation leader;
  std::vector<MemberInfo> members;
  std::string refused;                   // Not empty: why not.
  bool removed = false;                  // It was a member, and is none any more, for ever.
  Standing standing = Standing::member;  // Else `members` has the other process, by itself.
  bool operator==(const JoinReply&) const = default;
};

// ---- Work (safety.md 1)

// Nothing else starts a processor. Lower terms are refused.
struct StartWork {
  ProcessorId processor;
  Epoch epoch;
  Term term = 0;
  LogIndex index = 0;  // The host must have applied it.
  bool operator==(const StartWork&) const = default;
};
struct StopWork {
  ProcessorId processor;
  Epoch epoch;
  Term term = 0;
  bool operator==(const StopWork&) const = default;
};
// "Stopped" is the owner's word that its worker has returned and its children are reaped.
struct WorkReport {
  ProcessorId processor;
  Epoch epoch;
  RunState state = RunState::running;  // starting, running, failed; unassigned = stopped.
  std::string detail;
  bool operator==(const WorkReport&) const = default;
};

// ---- Requests on their way to the leader (safety.md 5.5)

struct Forward {
  RequestId request;
  Bytes bytes;  // cluster/request.h
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
  Epoch epoch;   // The newest epoch of `from` that the sender has applied: it fences.
  Epoch tenure;  // The epoch of the destination that this is addressed to; refused under another.
  std::vector<Parcel> parcels;  // Of one origin, in order.
  bool operator==(const Delivery&) const = default;
};
// busy: try again; refused: `epoch` is old, catch up; not_here: that tenure is over, go elsewhere.
enum class DeliveryResult : uint8_t { accepted, busy, refused, not_here };
struct DeliveryAck {
  Uuid connection;
  ProcessorId from;
  Epoch tenure;
  Epoch origin;
  std::vector<uint64_t> safe;   // Sequences of this origin that are durable there.
  std::vector<uint64_t> never;  // Those that are not, and never will be under this tenure.
  DeliveryResult result = DeliveryResult::accepted;
  bool operator==(const DeliveryAck&) const = default;
};

using Message = std::variant<RaftPacket, Probe, ProbeReply, Join, JoinReply, Heartbeat,
                             HeartbeatAck, HeartbeatAsk, SoftTable, StartWork, StopWork, WorkReport,
                             Forward, ForwardReply, Delivery, DeliveryAck>;

const char* name(const Message& message);
bool is_for_strangers(const Message& message);  // All else is only taken from members.

// Bytes of a message: Protobuf. Decoding takes anything and never crashes.
Bytes encode(const Message& message);
Result<Message> decode_message(BytesView bytes);

}  // namespace databridge
