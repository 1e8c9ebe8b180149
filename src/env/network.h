// The network between members. A link goes one way: each node dials every member it knows, speaks
// on the links it dialled and listens on the links it accepted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "model/address.h"
#include "model/ids.h"
#include "model/member.h"
#include "model/message.h"

namespace databridge::env {

// What a node has promised and holds, as its greeting names it (safety.md 9.1).
struct LogPosition {
  Term term = 0;
  Incarnation vote;     // In that term; 0: none.
  LogIndex last = 0;    // Of its log, as far as it is durable,
  Term last_term = 0;   // the term of that entry,
  uint64_t chain = 0;   // and the hash of all entries up to it.
  LogIndex commit = 0;  // As far as it knows.

  bool operator==(const LogPosition&) const = default;
};

// Who is at the other end: exchanged before anything else.
struct Greeting {
  Incarnation incarnation;
  NodeId node;
  ClusterId cluster;         // Empty: in no cluster yet.
  uint64_t boot = 0;         // How often this data directory was started.
  std::string host_boot_id;  // /proc/sys/kernel/random/boot_id
  uint64_t netns = 0;        // Inode of the network namespace.
  uint64_t pidns = 0;        // Inode of the pid namespace.
  uint64_t pid = 0;
  uint64_t pid_start = 0;  // Start time of the process, in clock ticks since boot.
  Address address;         // Where to dial it, as it advertises; may be empty.
  uint64_t start = 0;      // Random, of this start. 0: a version that names none.
  uint64_t device = 0;     // Of the locked data directory,
  uint64_t inode = 0;      // likewise.
  LogPosition log;         // All zero: it has no log yet.
  // SHA-256, in hexadecimal, of the secret that its guardian reveals once it has reaped it. Empty:
  // it has none.
  std::string guardian;

  Home home() const { return {host_boot_id, device, inode}; }
  bool operator==(const Greeting&) const = default;
};

enum class LinkNews : uint8_t {
  up,       // A link we dialled is greeted: we can speak to that incarnation. Again on the same
            // link: it belongs to another cluster than it said before.
  lost,     // That link ended: reset, closed, or broken.
  refused,  // A dial to the address was refused outright: nobody listens there.
  failed,   // A dial failed otherwise (no route, time-out, bad greeting).
};

struct LinkEvent {
  LinkNews news;
  Address address;  // That was dialled.
  Greeting peer;    // Who is or was there: the last one greeted at the address; may be nobody.
  bool process_gone = false;  // On `refused`: the peer was a process of this very host (same boot
                              // id and namespaces) and /proc says that pid and start time are gone.
};

// Who said something: the process that greeted on that link.
struct Speaker {
  Incarnation incarnation;
  uint64_t boot = 0;
  uint64_t start = 0;
  bool is_ours = false;  // Its greeting named the cluster that this node belongs to.
};

class Network {
 public:
  virtual ~Network() = default;

  struct Receiver {
    std::function<void(Speaker from, Message message)> on_message;
    std::function<void(LinkEvent event)> on_link;
    // A greeting came in: somebody dialled us, or belongs to another cluster than before.
    std::function<void(Greeting peer)> on_greeting;
    // The guardian of that process says that it has reaped it (docs/adr/0008). It may say so late:
    // the incarnation may run again by then, with a higher boot.
    std::function<void(Greeting process)> on_reaped;
  };

  // Sets who gets what arrives (called on the network's thread), and begins to listen.
  // Once, before anything else.
  virtual Result<void> start(Greeting self, Receiver receiver) = 0;

  // The cluster this node belongs to from now on: links to members of another one are cut.
  virtual void set_cluster(const ClusterId& cluster) = 0;

  // Which processes may speak as members from now on. All others are strangers: they get short
  // frames, few connections and little time, and nothing but what is for strangers is taken from
  // them (safety.md 10). Messages to a member go to the process that was let in.
  virtual void know(KnownPeers peers) = 0;

  // For the greetings to come. Those that were exchanged already stay as they are.
  virtual void set_position(const LogPosition& position) = 0;

  // Keeps a link to the address: redials for ever, at once after a loss, then backing off to at
  // most one second. Twice is once, but that it is tried at once if it waits.
  virtual void dial(const Address& address) = 0;
  // A link that was up there is told as lost: the last news of the address.
  virtual void hang_up(const Address& address) = 0;

  // Sends on the link to that incarnation: to the process that was let in, or to the one of that
  // `start` if it is not 0. In order; but deliveries of flow files, which may be long, are
  // overtaken by all else. Dropped without a word when there is no link, or when 64 MiB of
  // deliveries, or of all else, already wait there. Never blocks.
  virtual void send(Incarnation to, Message message, uint64_t start) = 0;
  void send(Incarnation to, Message message) { send(to, std::move(message), 0); }
};

}  // namespace databridge::env
