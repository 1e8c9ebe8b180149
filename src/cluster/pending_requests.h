// Takes requests from clients and sees each of them to exactly one answer, on whichever node
// it came in (safety.md 5.5).
//
// - Owns: the requests under way: those of this node's clients, and, on the leader, those of
//   everybody.
// - Hides: forwarding, waiting for a commit, waiting until this node's view has what the answer
//   tells of: that a stop is done, a transfer has taken place, a check was answered.
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
    Duration patience = 10s;         // After that the outcome is unknown: `timed_out`.
    Duration begun_patience = 1min;  // For what is begun and not seen yet; likewise.
    size_t under_way_max = 65536;    // More than that at once: `unavailable`.
    Duration quorum_window{};        // A leader without a quorum for so long takes nothing.
    Duration voter_silence{};        // A voter silent for so long counts as out of reach.
  };
  PendingRequests(const Limits& limits, Incarnation self, uint64_t boot);

  // A client of this node asks. Returns the request if this node is to serve it as the leader.
  struct ToServe {
    RequestId id;
    Request request;
  };
  std::optional<ToServe> ask(Asked asked, const SoftTable& soft, const Turn& turn);
  std::optional<ToServe> on_forward(Incarnation from, const Forward& forward, const Turn& turn);
  void on_reply(const ForwardReply& reply, const Turn& turn);

  // ---- The leader's side: how a request ends.
  // Proposes the change; the answer follows its commit.
  void propose(const ToServe& served, CommandBody body, const Turn& turn);
  // Proposes the change; once committed, the answer waits until the processor has been given a
  // place, or a reason why it has none.
  void propose_placed(const ToServe& served, CommandBody body, ProcessorId processor,
                      const Turn& turn);
  void read(const RequestId& id, const Turn& turn);
  void answer(const RequestId& id, Answer answer, const Turn& turn);

  // ---- What happens below.
  void on_applied(const Command& command, const Transition& transition, const Turn& turn);
  void on_version(const Turn& turn);  // The state has moved on.
  void on_read(const ReadReady& ready, const Turn& turn);
  void tick(const Turn& turn);
  // To be called last in a step: answers what was begun, and is seen now.
  void look(const SoftTable& soft, const Turn& turn);
  Instant due() const;
  bool idle() const { return local_.empty() && begun_.empty() && proposed_.empty(); }

 private:
  struct Local {
    Ticket ticket = 0;
    Instant deadline;
    Term term = 0;
    bool is_read = false;            // Changes nothing: it may be asked again at any time.
    std::optional<Answer> answer;    // Known, and waits until the view here shows it.
    std::optional<Awaited> awaited;  // What must be seen before it is answered.
    Instant begun_deadline;          // By when.
  };
  struct Begun {
    Ticket ticket = 0;
    Instant deadline;
    Awaited awaited;
    std::optional<Outcome> outcome;  // As the leader said; none: its word was lost.
  };
  // Of the facts that look() depends on: the state, the term, the leader, and the soft table.
  using Sight = std::tuple<LogIndex, Term, Incarnation, Term, int64_t>;
  // Why a leader that was there a moment ago is not.
  Error leader_lost(const Turn& turn) const;
  Error why_no_leader(const Turn& turn) const;
  bool has_quorum(const Turn& turn) const;
  void finish(const RequestId& id, Answer answer, const Turn& turn);
  void placed(ProcessorId processor, const Answer& with, const Turn& turn);
  void refuse(const RequestId& id, Error error, const Turn& turn);
  // Of this node's client: the outcome is known, or never will be.
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
  std::optional<Sight> looked_;  // When they were looked at last.
  Instant look_next_{};          // When time alone may end one of them.
  // Leader only; emptied when the term ends.
  std::map<RequestId, std::optional<ProcessorId>> proposed_;
  std::multimap<ProcessorId, RequestId> placing_;
  std::map<uint64_t, RequestId> reads_;
};

}  // namespace databridge::cluster
