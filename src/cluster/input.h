// What can happen to a node, one variant. The body turns the world into these.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/payload.h"
#include "cluster/request.h"
#include "model/address.h"
#include "model/message.h"

namespace databridge::cluster {

// Names a client's request within one process.
using Ticket = uint64_t;

struct Tick {};

struct Received {
  Incarnation from;
  Message message;    // Never a RaftPacket, Delivery or DeliveryAck: those go past the brain.
  uint64_t boot = 0;  // Of the process that greeted on that link. What is not told is nobody's.
  uint64_t start = 0;
  bool is_ours = true;  // Its greeting named our cluster.
};

// What a greeting says of the log of whoever greets.
struct LogEnd {
  Term term = 0;       // That it believes in.
  Term last_term = 0;  // Of its last entry,
  LogIndex last = 0;   // which is this one.
};

enum class LinkState : uint8_t { up, lost, refused, failed };
struct LinkChanged {
  LinkState state = LinkState::up;
  Address address;
  Incarnation peer;   // Who is, or was last, at the address; may be nobody.
  uint64_t boot = 0;  // Of that peer.
  ClusterId cluster;  // Of that peer; on `failed` perhaps another one than ours.
  bool process_gone = false;
  uint64_t start = 0;  // Of that peer, as is what follows.
  Home home;
  LogEnd log;
};
// Somebody dialled us.
struct Greeted {
  Incarnation peer;
  uint64_t boot = 0;
  Address address;  // Where it listens, by its own word; may be empty.
  uint64_t start = 0;
  Home home;
  ClusterId cluster;
};

// The guardian of that node has reaped the process of that boot, perhaps a while ago.
struct Reaped {
  Incarnation peer;
  uint64_t boot = 0;
};

// An entry of the log is committed: applied here and now, in order.
struct Committed {
  LogIndex index = 0;
  Term term = 0;
  const Command* command = nullptr;  // Valid during the step. None: a no-op, a change of voters, or
                                     // what a newer version wrote; skipped alike on every node.
  BytesView bytes;  // As the log has the command; valid likewise. None: encoded anew.
};
// A snapshot took the place of the log.
struct Installed {
  Payload state;
};

struct Asked {
  Ticket ticket = 0;
  Request request;
};
// A read barrier of ours is reached: reads that waited for it are true at `index`. Without one: it
// never will be, because leadership was lost first.
struct ReadReady {
  uint64_t context = 0;
  std::optional<LogIndex> index;
};

// The host says what became of (processor, epoch).
struct HostReport {
  ProcessorId processor;
  Epoch epoch;
  RunState state = RunState::running;  // starting, running, failed; unassigned = stopped for good.
  std::string detail;
};
struct HostCheckpoint {
  ProcessorId processor;
  Checkpoint checkpoint;
};

// The process was told to end: what runs here will stop by itself.
struct Stopping {};

struct Sampled {
  NodeLoad load;
  bool no_room = false;  // The disk is so full that room reserved for consensus is in use.
};

using Input = std::variant<Tick, Received, LinkChanged, Greeted, Reaped, Committed, Installed,
                           Asked, ReadReady, HostReport, HostCheckpoint, Stopping, Sampled>;

}  // namespace databridge::cluster
