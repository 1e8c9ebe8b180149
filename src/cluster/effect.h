// What a node must do, as data. The body carries effects out in the order of the list.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cluster/input.h"
#include "model/message.h"

namespace databridge::cluster {

// Waits for the sync of all that was written before it (safety.md 6). A node may send to itself.
struct Send {
  Incarnation to;
  Message message;
  // The start number of the process that must get it; 0: the process that was let in.
  uint64_t start = 0;
};
struct Propose {
  Command command;
};
struct Reply {
  Ticket ticket = 0;
  Answer answer;
};
struct AskRead {  // A linearizable read. ReadReady follows, even if leadership is lost.
  uint64_t context = 0;
};

// The host may run its work until then, in that term (safety.md 3).
struct RenewLease {
  Instant until;
  Term term = 0;
};
// All conditions of safety.md 1.1 hold, so the host begins.
struct StartHost {
  ProcessorId processor;
  Epoch epoch;
};
struct StopHost {
  ProcessorId processor;
  Epoch epoch;
};

enum class VoterChange : uint8_t { add_learner, promote, demote, remove };
struct ChangeVoters {
  VoterChange change = VoterChange::add_learner;
  Incarnation server;
};
struct Transfer {
  Incarnation to;
};
// Own evidence that the leader's process is gone (safety.md 2). It is an election hint and nothing
// more.
struct LeaderLost {
  Incarnation leader;
};

struct Dial {
  Address address;
};
struct HangUp {
  Address address;
};
// A member's greeting named the end of its log, or its link has ended (safety.md 9.1).
struct PeerLog {
  Incarnation peer;
  LogEnd log;
  bool is_linked = true;
};
// A greeting named this term, on a link that this node dialled to a known member's address
// (safety.md 10).
struct TermNamed {
  Term term = 0;
};
// The processes that may speak as members from now on.
struct Know {
  KnownPeers peers;
};

// A small fact of this node. It must be durable before later effects are carried out.
struct Persist {
  std::string key;
  Bytes value;
};
// The founders agree: begin the log with these voters.
struct Found {
  ClusterId cluster;
  std::vector<Incarnation> voters;
};
// This node belongs to that cluster from now on. It gets the log from the leader.
struct Enter {
  ClusterId cluster;
};
// Gives up the cluster that this node founded alone and that holds nothing: its log, its state and
// all work that ever ran in it.
struct Abandon {};
// This node must not continue.
struct Leave {
  std::string why;
  // False: it cannot follow, since the leader sent something newer than this version.
  bool removed = true;
};

// This process, and every later one on this data directory, must never speak as its incarnation
// again (safety.md 9.1, 9.2). The process ends once this is durable.
struct Renounce {
  std::string why;
  bool comes_back = true;  // It comes back by itself as a new incarnation. False: it ends for good.
};

enum class Weight : uint8_t { debug, info, warning, error };
struct Note {
  Weight weight = Weight::info;
  std::string text;
};

using Effect = std::variant<Send, Propose, Reply, AskRead, RenewLease, StartHost, StopHost,
                            ChangeVoters, Transfer, LeaderLost, Dial, HangUp, PeerLog, TermNamed,
                            Know, Persist, Found, Enter, Abandon, Leave, Renounce, Note>;
using Effects = std::vector<Effect>;

}  // namespace databridge::cluster
