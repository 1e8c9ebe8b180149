// The network between members. A link has one direction: each node dials every member that it
// knows, sends on the links that it dialled, and receives on the links that it accepted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "model/address.h"
#include "model/features.h"
#include "model/ids.h"
#include "model/member.h"
#include "model/message.h"

namespace databridge::env {

// The durable promises and entries of a node, as its greeting names them (safety.md 9.1).
struct LogPosition {
  Term term = 0;
  Incarnation vote;     // Its vote in that term; 0: none.
  LogIndex last = 0;    // The last durable entry of its log.
  Term last_term = 0;   // The term of that entry.
  uint64_t chain = 0;   // The hash of all entries up to that one.
  LogIndex commit = 0;  // The commit index that it knows.

  bool operator==(const LogPosition&) const = default;
};

// The identity of a process. Both sides send it before anything else.
struct Greeting {
  Incarnation incarnation;
  NodeId node;
  ClusterId cluster;         // Empty: in no cluster yet.
  uint64_t boot = 0;         // The number of starts of this data directory.
  std::string host_boot_id;  // /proc/sys/kernel/random/boot_id
  uint64_t netns = 0;        // Inode of the network namespace.
  uint64_t pidns = 0;        // Inode of the pid namespace.
  uint64_t pid = 0;
  uint64_t pid_start = 0;  // Start time of the process, in clock ticks since boot.
  Address address;      // The address at which it advertises that it can be dialled; may be empty.
  uint64_t start = 0;   // A random number of this start. 0: an older version that sends none.
  uint64_t device = 0;  // Device of the locked data directory.
  uint64_t inode = 0;   // Inode of the locked data directory.
  LogPosition log;      // All zero: it has no log yet.
  // The SHA-256, in hexadecimal, of a secret. Its guardian reveals the secret once it has reaped
  // the process. Empty: it has no guardian.
  std::string guardian;
  FeatureSet features;  // Those that this build has. An older version sends none.

  Home home() const { return {host_boot_id, device, inode}; }
  bool operator==(const Greeting&) const = default;
};

enum class LinkNews : uint8_t {
  // A link that we dialled is greeted, so we can send to that incarnation. It comes again for the
  // same link when the peer's cluster has changed.
  up,
  lost,     // That link ended: reset, closed, or broken.
  refused,  // A dial was refused outright: no process listens at the address.
  failed,   // A dial failed otherwise (no route, time-out, bad greeting).
};

struct LinkEvent {
  LinkNews news;
  Address address;  // The address that was dialled.
  Greeting peer;    // The peer: the last one that greeted at the address. Empty if there was none.
  // On `refused`: the peer was a process of this same host (same boot id and namespaces), and /proc
  // says that its pid and start time are gone.
  bool process_gone = false;
};

// The sender of a message: the process that greeted on that link.
struct Speaker {
  Incarnation incarnation;
  uint64_t boot = 0;
  uint64_t start = 0;
  bool is_ours = false;  // Its greeting named the cluster that this node belongs to.
  FeatureSet features{};
};

class Network {
 public:
  virtual ~Network() = default;

  struct Receiver {
    std::function<void(Speaker from, Message message)> on_message;
    std::function<void(LinkEvent event)> on_link;
    // A greeting came in: a node dialled us, or its cluster has changed.
    std::function<void(Greeting peer)> on_greeting;
    // The guardian of that process says that it has reaped it (docs/adr/0008). This may come late:
    // the incarnation may run again by then, with a higher boot.
    std::function<void(Greeting process)> on_reaped;
  };

  // Sets the receiver (called on the network's thread), and begins to listen. Called once, before
  // anything else.
  virtual Result<void> start(Greeting self, Receiver receiver) = 0;

  // The cluster of this node from now on. Links to members of another cluster are cut.
  virtual void set_cluster(const ClusterId& cluster) = 0;

  // The processes that may speak as members from now on. All others are strangers. They get short
  // frames, few connections and little time, and only messages for strangers are taken from them
  // (safety.md 10). A message to a member is sent to the process that was let in.
  virtual void know(KnownPeers peers) = 0;

  // Used for later greetings. Earlier greetings are not sent again.
  virtual void set_position(const LogPosition& position) = 0;

  // Keeps a link to the address. It redials for ever: at once after a loss, then with a back-off of
  // up to one second. If the address is dialled already, this only ends the back-off.
  virtual void dial(const Address& address) = 0;
  // A link that was up is reported as lost. This is the last event of the address.
  virtual void hang_up(const Address& address) = 0;

  // Sends on the link to that incarnation: to the process that was let in, or, if `start` is not 0,
  // to the process with that start number. Messages stay in order, but deliveries of flow files,
  // which may be long, are overtaken by all others. A message is dropped silently when there is no
  // link, or when 64 MiB of its sort (deliveries, or all others) already wait there. Never blocks.
  virtual void send(Incarnation to, Message message, uint64_t start) = 0;
  void send(Incarnation to, Message message) { send(to, std::move(message), 0); }
};

}  // namespace databridge::env
