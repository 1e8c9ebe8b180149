// Every change to the shared state, as one variant. The log holds commands. `apply` is total: an
// impossible command is rejected as data, in the same way on every node.
#pragma once

#include <databridge/strategy.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/assignment.h"
#include "model/features.h"
#include "model/flow.h"
#include "model/generation.h"
#include "model/member.h"
#include "model/origin.h"
#include "model/token.h"

namespace databridge {

// A new member, or a member that says something new about itself. A second incarnation of the same
// node id takes the label from the first one, but not its work.
struct AdmitMember {
  MemberInfo info;
  bool outwaited = false;  // The only news: its predecessors can hold no lease any more.
  FeatureSet features{};   // What this start of it has. The state does not keep them.
  bool operator==(const AdmitMember&) const = default;
};

struct RemoveMember {
  Incarnation incarnation;
  std::string reason;
  bool operator==(const RemoveMember&) const = default;
};

// The leader's verdict on a member's health. A quarantine travels as a length (safety.md 8.1).
struct SetVerdict {
  Incarnation incarnation;
  Health health = Health::healthy;
  HealthReason reason = HealthReason::none;
  int64_t quarantine_ms = 0;  // The length of the quarantine from now on; 0 = none, or no longer.
  bool operator==(const SetVerdict&) const = default;
};

struct SetDraining {
  Incarnation incarnation;
  bool draining = false;
  bool leaving = false;
  bool forced = false;
  bool operator==(const SetDraining&) const = default;
};

// The voters, as the leader has them from the Raft configuration (safety.md 5.2).
struct SetVoters {
  std::vector<Incarnation> voters;
  Incarnation leader;
  bool operator==(const SetVoters&) const = default;
};

struct PutFlow {
  FlowSpec flow;
  bool operator==(const PutFlow&) const = default;
};
struct DeleteFlow {
  FlowId flow;
  bool operator==(const DeleteFlow&) const = default;
};
struct AddProcessor {
  ProcessorSpec spec;
  bool operator==(const AddProcessor&) const = default;
};
struct DeleteProcessor {
  ProcessorId processor;
  bool operator==(const DeleteProcessor&) const = default;
};

// A start or a stop that the user asked for.
struct SetWanted {
  ProcessorId processor;
  bool wanted = true;
  bool operator==(const SetWanted&) const = default;
};

// The first half of a move, and the point of no return (safety.md 1.2). `replaces` must be the
// current epoch, or the command is rejected (safety.md 1.3).
struct Release {
  ProcessorId processor;
  Epoch replaces;
  std::string reason;
  bool operator==(const Release&) const = default;
};

// The second half of a move. It is proposed only when the handover gate of `replaces` is open, and
// it makes a new epoch.
struct Assign {
  ProcessorId processor;
  Epoch replaces;
  Incarnation to;
  std::string reason;
  bool operator==(const Assign&) const = default;
};

// No node runs the processor; `reason` says why. It is proposed only when the handover gate of
// `replaces` is open, or if no node ever ran the processor. The next Assign needs no gate.
struct Unassign {
  ProcessorId processor;
  Epoch replaces;
  std::string reason;
  bool operator==(const Unassign&) const = default;
};

struct Report {
  ProcessorId processor;
  Epoch epoch;
  RunState state = RunState::running;
  std::string detail;
  bool operator==(const Report&) const = default;
};
struct Reports {  // One batch for each turn.
  std::vector<Report> reports;
  bool operator==(const Reports&) const = default;
};

struct SaveCheckpoint {
  ProcessorId processor;
  Checkpoint checkpoint;
  bool operator==(const SaveCheckpoint&) const = default;
};

inline constexpr size_t kConfigKeyMax = 256;        // The largest key, in bytes.
inline constexpr size_t kConfigValueMax = 1 << 20;  // The largest JSON value, in bytes.
struct SetConfig {
  std::string key;
  std::string json;
  std::optional<LogIndex> expected;  // Compare-and-set: the item's version, 0 = must not exist.
  bool operator==(const SetConfig&) const = default;
};
struct DeleteConfig {
  std::string key;
  std::optional<LogIndex> expected;
  bool operator==(const DeleteConfig&) const = default;
};

struct SetStrategy {
  Strategy strategy = Strategy::least_loaded;
  bool operator==(const SetStrategy&) const = default;
};

// A rebalance begins, automatic or asked for. Applying it starts the window on every node alike.
struct NoteRebalance {
  std::string plan_id;
  uint32_t moves = 0;
  bool operator==(const NoteRebalance&) const = default;
};

// The member owns nothing. It has said twice, both times after it had applied `as_of`, that it
// holds nothing. Rejected if work was given to it or taken from it later (safety.md 9.3).
struct NoteEmpty {
  Incarnation incarnation;
  LogIndex as_of = 0;
  bool operator==(const NoteEmpty&) const = default;
};

// Sets log time back: a majority of the voters' clocks says that it is far ahead.
struct SetLogTime {
  int64_t to_ms = 0;
  bool operator==(const SetLogTime&) const = default;
};

// The user's wish where a processor should run, kept until it has a place there. `force`: even if
// its source ties it to another node. It then leaves its data there and starts anew.
struct WishPlace {
  ProcessorId processor;
  Incarnation to;
  bool force = false;
  bool operator==(const WishPlace&) const = default;
};

// Restores the user's part of a saved state (flows, processors, configuration, strategy).
struct RestoreState {
  std::string bytes;
  bool operator==(const RestoreState&) const = default;
};

using CommandBody =
    std::variant<AdmitMember, RemoveMember, SetVerdict, SetDraining, SetVoters, PutFlow, DeleteFlow,
                 AddProcessor, DeleteProcessor, SetWanted, Release, Assign, Unassign, Reports,
                 SaveCheckpoint, SetConfig, DeleteConfig, SetStrategy, NoteRebalance, RestoreState,
                 NoteEmpty, SetLogTime, WishPlace, PutToken, DeleteToken, BeginGeneration,
                 NoteAction, ActivateFeatures>;

struct Command {
  CommandBody body;
  int64_t at_ms = 0;            // Log time, stamped by the leader. Only SetLogTime sets it back.
  RequestId request;            // Zero: the leader decided it by itself.
  std::string idempotency_key;  // Empty: none.
  uint64_t fingerprint = 0;     // A hash of what the client sent with the key; 0 = none.
  uint64_t age_ms = 0;          // Steady milliseconds of all leaders up to then (safety.md 8.3).
  Actor by{};                   // Who asked for it; its events name them.
  bool operator==(const Command&) const = default;
};

const char* name(Strategy strategy);
std::optional<Strategy> strategy_of(std::string_view text);
const char* name(const CommandBody& body);  // "assign", "set_config", …

// A command as bytes: Protobuf with a version. Unknown fields do no harm. Code::unprocessable: it
// is of a kind that only a newer version knows.
Bytes encode(const Command& command);
Result<Command> decode_command(BytesView bytes);

}  // namespace databridge
