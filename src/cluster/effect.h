// What a node is to do, as data. The body carries effects out in the order of the list.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cluster/input.h"
#include "model/message.h"

namespace databridge::cluster {

// Waits for the sync of all that was written before it (safety.md 6). To itself is fine.
struct Send {
  Incarnation to;
  Message message;
  uint64_t start = 0;  // Of the process that shall have it; 0: the one that was let in.
};
struct Propose {
  Command command;
};
struct Reply {
  Ticket ticket = 0;
  Answer answer;
};
struct AskRead {  // A linearizable read; ReadReady follows, also when leadership is lost.
  uint64_t context = 0;
};

// The host may run what it has until then, in that term (safety.md 3).
struct RenewLease {
  Instant until;
  Term term = 0;
};
// All conditions of safety.md 1.1 hold: begin.
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
// Own evidence that the leader's process is gone (safety.md 2): an election hint, no more.
struct LeaderLost {
  Incarnation leader;
};

struct Dial {
  Address address;
};
struct HangUp {
  Address address;
};
// What a member's greeting said of its log; or its link has ended (safety.md 9.1).
struct PeerLog {
  Incarnation peer;
  LogEnd log;
  bool is_linked = true;
};
// A greeting on a link that this node dialled to a known member's address named it (safety.md 10).
struct TermNamed {
  Term term = 0;
};
// Which processes may speak as members from now on.
struct Know {
  KnownPeers peers;
};

// A small fact of this node that must be durable before anything after it is said.
struct Persist {
  std::string key;
  Bytes value;
};
// The founders agree: begin the log with these voters.
struct Found {
  ClusterId cluster;
  std::vector<Incarnation> voters;
};
// This node belongs to that cluster from now on; its log comes from the leader.
struct Enter {
  ClusterId cluster;
};
// The cluster that this node founded alone, and that holds nothing, is given up: its log, its state
// and all work that ever ran in it.
struct Abandon {};
// This node must not go on.
struct Leave {
  std::string why;
  bool removed = true;  // Else it cannot follow: what the leader sent is beyond this version.
};

// This process must never speak as its incarnation again, and neither must any later one that
// starts on this data directory (safety.md 9.1, 9.2). It ends once that is durable.
struct Renounce {
  std::string why;
  bool comes_back = true;  // As a new incarnation, by itself. Else it ends for good.
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
