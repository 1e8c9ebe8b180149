// All that can happen to a node, as one variant. The body makes these inputs from the world.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/payload.h"
#include "cluster/request.h"
#include "model/address.h"
#include "model/message.h"
#include "model/sighting.h"

namespace databridge::cluster {

// Names a client's request within one process.
using Ticket = uint64_t;

struct Tick {};

struct Received {
  Incarnation from;
  Message message;  // Never a RaftPacket, Delivery or DeliveryAck: those bypass the brain.
  // The boot of the process that greeted on that link. 0: not known; it then counts as no process.
  uint64_t boot = 0;
  uint64_t start = 0;
  bool is_ours = true;  // Its greeting named our cluster.
  FeatureSet features{};
};

// What a greeting says about the log of its sender.
struct LogEnd {
  Term term = 0;       // The term that the sender knows.
  Term last_term = 0;  // The term of its last entry.
  LogIndex last = 0;   // The index of its last entry.
};

enum class LinkState : uint8_t { up, lost, refused, failed };
struct LinkChanged {
  LinkState state = LinkState::up;
  Address address;
  Incarnation peer;   // The peer that is at the address, or was there last; may be empty.
  uint64_t boot = 0;  // The peer's boot.
  ClusterId cluster;  // The peer's cluster; on `failed` it may be another one than ours.
  bool process_gone = false;
  uint64_t start = 0;  // The peer's start number.
  Home home;
  LogEnd log;
  FeatureSet features{};
};
// A process dialled us.
struct Greeted {
  Incarnation peer;
  uint64_t boot = 0;
  Address address;  // Where it says that it listens; may be empty.
  uint64_t start = 0;
  Home home;
  ClusterId cluster;
  FeatureSet features{};
};

// A discovery source sees these nodes now; they replace the ones that it saw before.
struct Sighted {
  Sightings seen;
};

// The guardian of that node has reaped the process of that boot, perhaps a while ago.
struct Reaped {
  Incarnation peer;
  uint64_t boot = 0;
  uint64_t start = 0;
};

// An entry of the log is committed. It is applied now, in order.
struct Committed {
  LogIndex index = 0;
  Term term = 0;
  // Valid during the step. nullptr: a no-op, a change of voters, or bytes that no
  // version can read. Every node skips these.
  const Command* command = nullptr;
  // The command's bytes in the log, valid during the step. Empty: the command is encoded again.
  BytesView bytes;
};
// A snapshot has replaced the log.
struct Installed {
  Payload state;
};

struct Asked {
  Ticket ticket = 0;
  Request request;
};
// A read barrier of ours has an answer. Reads that waited for it are true at `index`. Without an
// index they never will be, because leadership was lost first.
struct ReadReady {
  uint64_t context = 0;
  std::optional<LogIndex> index;
};

// The host reports on (processor, epoch).
struct HostReport {
  ProcessorId processor;
  Epoch epoch;
  // One of starting, running, failed; unassigned = stopped for good.
  RunState state = RunState::running;
  std::string detail;
};
struct HostCheckpoint {
  ProcessorId processor;
  Checkpoint checkpoint;
};

// The process was told to end. What runs here will stop by itself.
struct Stopping {};

struct Sampled {
  NodeLoad load;
  bool no_room = false;  // The disk is so full that room reserved for consensus is in use.
};

using Input =
    std::variant<Tick, Received, LinkChanged, Greeted, Sighted, Reaped, Committed, Installed, Asked,
                 ReadReady, HostReport, HostCheckpoint, Stopping, Sampled>;

}  // namespace databridge::cluster
