// Takes requests from clients and brings each of them to exactly one answer, on any node
// (safety.md 5.5).
//
// - Owns: the requests under way: those of this node's clients, and, on the leader, those of all
//   nodes.
// - Hides: forwarding, waiting for a commit, and waiting until this node's view shows what the
//   answer is about: that a stop is done, a transfer has taken place, a check was answered.
// - Pure: no clock, no socket, no thread.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "base/time.h"
#include "cluster/awaited.h"
#include "cluster/turn.h"

namespace databridge::cluster {

class PendingRequests {
 public:
  struct Limits {
    Duration patience = 10s;         // After this time the outcome is unknown: `timed_out`.
    Duration begun_patience = 1min;  // The same for a request that is begun and not seen yet.
    size_t under_way_max = 65536;    // With more requests at once a new one gets `unavailable`.
    Duration quorum_window{};        // A leader without a quorum for this long accepts nothing.
    Duration voter_silence{};        // A voter that is silent for this long counts as out of reach.
  };
  PendingRequests(const Limits& limits, Incarnation self, uint64_t boot);

  // A client of this node asks. Returns the request if this node must serve it as the leader.
  struct ToServe {
    RequestId id;
    Request request;
  };
  std::optional<ToServe> ask(Asked asked, const SoftTable& soft, const Turn& turn);
  std::optional<ToServe> on_forward(Incarnation from, const Forward& forward, const Turn& turn);
  void on_reply(const ForwardReply& reply, const Turn& turn);

  // ---- The leader's side: how a request ends.
  // Proposes the change. The answer follows its commit.
  void propose(const ToServe& served, CommandBody body, const Turn& turn);
  // Proposes the change. After its commit the answer waits until the processor has a place, or a
  // reason why it has none.
  void propose_placed(const ToServe& served, CommandBody body, ProcessorId processor,
                      const Turn& turn);
  void read(const RequestId& id, const Turn& turn);
  void answer(const RequestId& id, Answer answer, const Turn& turn);

  // ---- Events from below.
  void on_applied(const Command& command, const Transition& transition, const Turn& turn);
  void on_version(const Turn& turn);  // The state has moved on.
  void on_read(const ReadReady& ready, const Turn& turn);
  void tick(const Turn& turn);
  // Call it last in a step: it answers requests that were begun and are seen now.
  void look(const SoftTable& soft, const Turn& turn);
  Instant due() const;
  bool idle() const { return local_.empty() && begun_.empty() && proposed_.empty(); }

 private:
  struct Local {
    Ticket ticket = 0;
    Instant deadline;
    Term term = 0;
    bool is_read = false;  // It changes nothing, so it may be asked again at any time.
    // The answer is known, and waits until the view of this node shows it.
    std::optional<Answer> answer;
    std::optional<Awaited> awaited;  // What must be seen before it is answered.
    Instant begun_deadline;          // The deadline for seeing it.
  };
  struct Begun {
    Ticket ticket = 0;
    Instant deadline;
    Awaited awaited;
    std::optional<Outcome> outcome;  // The leader's answer; nullopt: it was lost.
  };
  // The facts that look() depends on: the state, the term, the leader, and the soft table.
  using Sight = std::tuple<LogIndex, Term, Incarnation, Term, int64_t>;
  // Why there is no leader, although there was one a moment ago.
  Error leader_lost(const Turn& turn) const;
  Error why_no_leader(const Turn& turn) const;
  bool has_quorum(const Turn& turn) const;
  void finish(const RequestId& id, Answer answer, const Turn& turn);
  void placed(ProcessorId processor, const Answer& with, const Turn& turn);
  void refuse(const RequestId& id, Error error, const Turn& turn);
  // For a request of this node's client: the outcome is known, or never will be.
  void end(std::map<RequestId, Local>::iterator local, Answer answer, const Turn& turn);
  void give_up(const RequestId& id, const Turn& turn);

  Limits limits_;
  Incarnation self_;
  uint64_t counter_;
  uint64_t read_context_ = 0;
  Term term_ = 0;
  std::map<RequestId, Local> local_;
  std::multimap<LogIndex, RequestId> until_shown_;
  std::map<RequestId, Begun> begun_;
  std::optional<Sight> looked_;  // The facts at the last look.
  Instant look_next_{};          // When time alone may end one of them.
  // Leader only; cleared when the term ends.
  std::map<RequestId, std::optional<ProcessorId>> proposed_;
  std::multimap<ProcessorId, RequestId> placing_;
  std::map<uint64_t, RequestId> reads_;
};

}  // namespace databridge::cluster
