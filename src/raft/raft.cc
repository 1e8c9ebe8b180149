#include "raft/raft.h"

#include "raft/core.h"

namespace databridge::raft {

Raft::Raft(const Options& options, Restored restored, Instant now)
    : core_(std::make_unique<Core>(options, std::move(restored), now)) {}
Raft::~Raft() = default;
Raft::Raft(Raft&&) noexcept = default;

void Raft::step(const Message& message, Instant now) { core_->step(message, now); }
void Raft::tick(Instant now) { core_->tick(now); }
Instant Raft::next_wake() const { return core_->next_wake(); }
bool Raft::has_ready() const { return core_->has_ready(); }
Ready Raft::ready() { return core_->ready(); }
void Raft::persisted(uint64_t number, Instant now) { core_->persisted(number, now); }

Result<Position> Raft::propose(Payload command, Instant now) {
  return core_->propose(std::move(command), now);
}
Result<Position> Raft::propose_configuration(const Change& change, Instant now) {
  return core_->propose_configuration(change, now);
}
Result<void> Raft::read_index(uint64_t context, Instant now) {
  return core_->read_index(context, now);
}
Result<void> Raft::transfer(ServerId to, Instant now) { return core_->transfer(to, now); }
void Raft::leader_lost(ServerId leader, Instant now) { core_->leader_lost(leader, now); }
void Raft::peer_log(ServerId peer, Position last) { core_->peer_log(peer, last); }
void Raft::peer_gone(ServerId peer) { core_->peer_gone(peer); }
void Raft::peer_is_older_copy(ServerId peer, std::string why) {
  core_->peer_is_older_copy(peer, std::move(why));
}
void Raft::is_older_copy(std::string why) { core_->is_older_copy(std::move(why)); }
void Raft::term_named(Term term) { core_->term_named(term); }
void Raft::resign(Instant now) { core_->resign(now); }
Instant Raft::quorum_contact(Instant now) const { return core_->quorum_contact(now); }
bool Raft::compact(Index upto, Index snapshot_index, Pieces state) {
  return core_->compact(upto, snapshot_index, std::move(state));
}

Role Raft::role() const { return core_->role(); }
Term Raft::term() const { return core_->hard_state().term; }
ServerId Raft::leader() const { return core_->leader(); }
Index Raft::commit() const { return core_->hard_state().commit; }
Index Raft::last_index() const { return core_->log().last(); }
Position Raft::last() const { return {core_->log().last_term(), core_->log().last()}; }
const Configuration& Raft::configuration() const { return core_->members().latest(); }
const std::string& Raft::diverged() const { return core_->diverged(); }
const std::string& Raft::older_copy() const { return core_->older_copy(); }
Status Raft::status() const { return core_->status(); }

Standing Raft::standing() const {
  const Log& log = core_->log();
  return {.term = core_->hard_state().term,
          .vote = core_->hard_state().vote,
          .stable = log.stable(),
          .stable_term = log.term(log.stable()).value_or(0),
          .stable_hash = log.hash(log.stable()),
          .commit = core_->hard_state().commit,
          .voters = core_->members().latest().voters.size()};
}

}  // namespace databridge::raft
