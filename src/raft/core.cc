#include "raft/core.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "raft/codec.h"

namespace databridge::raft {

namespace {

// No real cluster gets this far. A message that does is broken, and adding to it must not overflow.
constexpr Term kTermMax = Term{1} << 62;
constexpr Index kIndexMax = Index{1} << 62;

}  // namespace

Core::Core(const Options& options, Restored restored, Instant now)
    : options_(options),
      random_(options.seed ^ options.id),
      now_(now),
      log_({restored.snapshot.term, restored.snapshot.index}, restored.snapshot.hash,
           std::move(restored.entries)),
      members_({restored.snapshot.term, restored.snapshot.index}, restored.snapshot.configuration),
      snapshot_(std::move(restored.snapshot)),
      hard_(restored.hard_state) {
  CHECK(options_.id != 0);
  for (Index i = log_.first(); i <= log_.last(); ++i) {
    const Entry& entry = log_.at(i);
    if (entry.kind != Entry::Kind::configuration) continue;
    was_member_ |= members_.latest().has(options_.id);
    auto configuration = decode_configuration(entry.data.view());
    CHECK(configuration);  // It was checked before it was stored.
    members_.append({entry.term, i}, std::move(*configuration));
  }
  hard_.commit = std::clamp(hard_.commit, snapshot_.index, log_.last());
  hard_.term = std::max(hard_.term, log_.last_term());
  applied_ = snapshot_.index;
  was_member_ |= members_.at(hard_.commit).has(options_.id);
  removed_ =
      was_member_ && !members_.latest().has(options_.id) && members_.latest_index() <= hard_.commit;
  handed_hard_ = hard_;
  durable_term_ = restored.hard_state.term;
  told_term_ = hard_.term;
  lost_.led = now_;
  arm_election_timer();
}

Message Core::message(Message::Kind kind, ServerId to) const {
  Message message;
  message.kind = kind;
  message.from = options_.id;
  message.to = to;
  message.term = hard_.term;
  return message;
}

// For replies about durable entries only. A reply need not wait for pending writes, unless the
// present term is among them. So acknowledgements do not lag one sync behind, and heartbeats are
// answered while a large batch is written.
void Core::answer(Message reply) {
  (durable_term_ == hard_.term ? send_now_ : send_after_persist_).push_back(std::move(reply));
}

bool Core::well_formed(const Message& m) const {
  if (m.from == 0 || m.from == options_.id || m.to != options_.id) return false;
  if (m.term > kTermMax || m.index > kIndexMax) return false;
  if (m.kind == Message::Kind::snapshot_chunk) {
    return m.index > 0 && m.log_term <= m.term && m.offset <= m.total &&
           m.chunk.size() <= m.total - m.offset;
  }
  if (m.kind != Message::Kind::append) return true;
  if (m.log_term > m.term) return false;
  Position before{m.log_term, m.index};
  for (const Entry& entry : m.entries) {
    if (entry.index != before.index + 1 || entry.term < before.term || entry.term > m.term) {
      return false;
    }
    if (entry.kind == Entry::Kind::configuration && !decode_configuration(entry.data.view())) {
      return false;
    }
    before = {entry.term, entry.index};
  }
  return true;
}

void Core::step(const Message& m, Instant now) {
  now_ = std::max(now_, now);
  if (!well_formed(m) || leaps(m)) return;
  using Kind = Message::Kind;

  const bool from_leader = m.kind == Kind::append || m.kind == Kind::heartbeat ||
                           m.kind == Kind::snapshot_chunk || m.kind == Kind::timeout_now;
  // A pre-vote names a term that no server is in yet, and so does the consent to it.
  const bool hypothetical =
      m.kind == Kind::pre_vote || (m.kind == Kind::pre_vote_reply && !m.reject);
  if (m.kind == Kind::vote || m.kind == Kind::pre_vote) return on_vote_request(m);
  if (m.removed) return on_vote_reply(m);  // It is about the log, whatever the terms.
  if (!hypothetical && m.term > hard_.term) {
    become_follower(m.term, from_leader ? m.from : 0);
  } else if (!hypothetical && m.term < hard_.term) {
    if (from_leader) {
      // The old leader must learn of the newer term. Otherwise this server, which is ahead of it by
      // a failed candidacy, could never be brought back.
      Message reply = message(Kind::append_reply, m.from);
      reply.reject = true;
      send_after_persist_.push_back(std::move(reply));
    }
    // Late answers of an old leader or candidate say nothing about this term.
    return;
  }
  if (from_leader && !obeys(m)) return;

  switch (m.kind) {
    case Kind::pre_vote_reply:
    case Kind::vote_reply:
      return on_vote_reply(m);
    case Kind::append:
      return on_append(m);
    case Kind::append_reply:
      return on_append_reply(m);
    case Kind::heartbeat:
      return on_heartbeat(m);
    case Kind::heartbeat_reply:
      return on_heartbeat_reply(m);
    case Kind::snapshot_chunk:
      return on_snapshot_chunk(m);
    case Kind::snapshot_reply:
      return on_snapshot_reply(m);
    case Kind::timeout_now:
      return on_timeout_now(m);
    case Kind::pre_vote:
    case Kind::vote:
      break;
  }
}

void Core::tick(Instant now) {
  now_ = std::max(now_, now);
  if (role_ != Role::leader) return campaign_if_due();
  if (transferee_ != 0 && now_ >= transfer_deadline_) stop_transfer();
  check_quorum();
  if (role_ == Role::leader && now_ >= heartbeat_due_) {
    commit_to_heal();
    forget_the_departed();
    broadcast_heartbeat();
  }
}

Instant Core::next_wake() const {
  if (role_ == Role::leader) {
    return transferee_ != 0 ? std::min(heartbeat_due_, transfer_deadline_) : heartbeat_due_;
  }
  // A server that may not campaign only forgets a silent leader. A write may remove the obstacle,
  // so persisted() looks again.
  if (leader_ == 0 && !may_campaign()) return Instant::max();
  return election_deadline_;
}

void Core::enter_term(Term term) {
  CHECK(term > hard_.term);
  hard_.term = term;
  hard_.vote = 0;
  lost_.term_leader = 0;
  verified_ = acknowledged_ = 0;
  append_sent_at_ = {};
  incoming_.reset();
}

void Core::become_follower(Term term, ServerId leader) {
  if (term > hard_.term) enter_term(term);
  if (role_ == Role::leader) {
    drop_reads();
    peers_.clear();
    stop_transfer();
    lost_.term_leader = 0;  // Another leader of this term may well be the one to follow.
    lost_.led = now_;
  }
  if (role_ != Role::follower) {
    role_ = Role::follower;
    votes_.clear();
    arm_election_timer();
  }
  if (leader_ != leader) lost_leader_ = false;
  leader_ = leader;
}

void Core::heard_from_leader(const Message& m) {
  if (role_ != Role::follower || leader_ != m.from) become_follower(m.term, m.from);
  heard_leader_ = lost_.led = now_;
  lost_.term_leader = m.from;
  lost_leader_ = false;
  failed_rounds_ = 0;
  early_vote_.reset();
  arm_election_timer();
}

void Core::set_commit(Index index) {
  CHECK(index <= log_.last());
  if (index <= hard_.commit) return;  // The index never goes back.
  hard_.commit = index;
  heal();
  after_commit();
}

void Core::persisted(uint64_t number, Instant now) {
  now_ = std::max(now_, now);
  const bool moved = log_.persisted(number);
  bool own_vote = false;
  while (!unpersisted_.empty() && unpersisted_.front().number <= number) {
    const Unpersisted& write = unpersisted_.front();
    durable_term_ = write.term;
    own_vote |= write.term == hard_.term && write.vote == options_.id;
    unpersisted_.pop_front();
  }
  if (own_vote && role_ == Role::candidate) count_vote(options_.id, true);
  if (moved && role_ == Role::leader) advance_commit();
  if (moved && role_ != Role::leader) acknowledge_persisted();
  if (role_ != Role::leader) campaign_if_due();
}

bool Core::has_ready() const {
  const bool to_persist = log_.has_unhanded() || hard_.term != handed_hard_.term ||
                          hard_.vote != handed_hard_.vote || snapshot_unhanded_ || compact_to_ != 0;
  return to_persist || sends_due_ || !send_now_.empty() || !send_after_persist_.empty() ||
         !answers_.empty() || applied_ < std::min(hard_.commit, log_.stable()) ||
         role_ != told_role_ || hard_.term != told_term_ || leader_ != told_leader_;
}

Ready Core::ready() {
  if (role_ == Role::leader) {
    assign_reads();
    fill_pipelines();
  }
  sends_due_ = false;

  Ready out;
  out.number = ++ready_number_;
  const bool hard_changed = hard_.term != handed_hard_.term || hard_.vote != handed_hard_.vote;
  if (log_.has_unhanded() || hard_changed || snapshot_unhanded_ || compact_to_ != 0) {
    out.entries = log_.hand_over(out.number);
    // The commit mark alone is not worth a sync, so it goes along with other writes.
    if (hard_ != handed_hard_) out.hard_state = hard_;
    handed_hard_ = hard_;
    if (snapshot_unhanded_) out.snapshot = snapshot_;
    out.install = install_unhanded_;
    out.compact_to = compact_to_;
    snapshot_unhanded_ = install_unhanded_ = false;
    compact_to_ = 0;
    unpersisted_.push_back({out.number, hard_.term, hard_.vote});
  }
  out.send_now.swap(send_now_);
  out.send_after_persist.swap(send_after_persist_);
  out.reads.swap(answers_);

  const Index safe =
      CANARY(apply_uncommitted) ? log_.stable() : std::min(hard_.commit, log_.stable());
  if (applied_ < safe) {
    out.committed = log_.slice(applied_ + 1,
                               std::min<size_t>(safe - applied_, options_.committed_max), SIZE_MAX);
    applied_ += out.committed.size();
  }

  out.role = role_;
  out.term = hard_.term;
  out.leader = leader_;
  out.changed = role_ != told_role_ || hard_.term != told_term_ || leader_ != told_leader_;
  told_role_ = role_;
  told_term_ = hard_.term;
  told_leader_ = leader_;
  return out;
}

Status Core::status() const {
  Status s;
  s.id = options_.id;
  s.role = role_;
  s.term = hard_.term;
  s.leader = leader_;
  s.vote = hard_.vote;
  s.first = log_.first();
  s.last = log_.last();
  s.stable = log_.stable();
  s.stable_term = log_.term(s.stable).value_or(0);
  s.stable_hash = log_.hash(s.stable);
  s.commit = hard_.commit;
  s.applied = applied_;
  s.committed_in_term = role_ == Role::leader && hard_.commit >= term_start_;
  s.configuration = members_.latest();
  s.committed = members_.at(hard_.commit);
  s.configuration_index = members_.latest_index();
  s.change_pending = members_.latest_index() > hard_.commit;
  s.removed = removed_;
  s.transferee = transferee_;
  s.diverged = lost_.diverged;
  s.contradicted = lost_.for_good;
  s.older_copy = lost_.older_copy;
  s.leap_from = lost_.leap_from;
  s.leap_term = lost_.leap_term;
  s.leaps_refused = lost_.leaps_refused;
  for (const auto& [id, peer] : peers_) {
    const auto older = lost_.older_ones.find(id);
    s.peers.push_back({id, members_.latest().is_voter(id), peer.flow, peer.match, peer.next,
                       peer.contact, older == lost_.older_ones.end() ? "" : older->second});
  }
  return s;
}

}  // namespace databridge::raft
