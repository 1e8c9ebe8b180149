// Replication: proposals, appends and their answers, heartbeats, the commit index.
#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "raft/codec.h"
#include "raft/core.h"
#include "raft/quorum.h"

namespace databridge::raft {

Result<Position> Core::propose(Payload command, Instant now) {
  now_ = std::max(now_, now);
  if (role_ != Role::leader) return fail(Code::no_leader, "not the leader");
  if (transferee_ != 0) return fail(Code::unavailable, "leadership is being handed over");
  if (log_.last() - hard_.commit >= options_.uncommitted_max) {
    return fail(Code::unavailable, "too many uncommitted entries; a quorum is slow or away");
  }
  append_own(Entry::Kind::command, std::move(command));
  return Position{hard_.term, log_.last()};
}

void Core::append_own(Entry::Kind kind, Payload data) {
  log_.append({hard_.term, log_.last() + 1, kind, std::move(data)});
  sends_due_ = true;
}

// Commits the entries that a majority has on disk; this server's own disk counts like any other.
// Only an entry of this term is committed by counting, and the entries before it are committed with
// it (paper, figure 8).
void Core::advance_commit() {
  std::vector<Index> reached;
  for (const ServerId voter : members_.latest().voters) {
    const auto peer = peers_.find(voter);
    const Index own = CANARY(commit_before_own_sync) ? log_.last() : log_.stable();
    reached.push_back(voter == options_.id ? own : peer != peers_.end() ? peer->second.match : 0);
  }
  const Index index = agreed(reached);
  if (index <= hard_.commit) return;
  if (log_.term(index) != hard_.term && !CANARY(commit_old_term)) return;
  sends_due_ = true;
  set_commit(index);
}

void Core::broadcast_heartbeat() {
  heartbeat_due_ = now_ + options_.heartbeat;
  for (auto& [id, peer] : peers_) send_heartbeat(id, peer);
}

void Core::send_heartbeat(ServerId to, Progress& peer) {
  Message beat = message(Message::Kind::heartbeat, to);
  // It never goes beyond entries that this follower is known to hold: a heartbeat does not check
  // its log.
  beat.index = std::max(peer.match, peer.lost);
  beat.log_term = log_.term(beat.index).value_or(0);
  beat.hash = log_.hash(beat.index);
  beat.commit = CANARY(commit_beyond_match) ? hard_.commit : std::min(hard_.commit, peer.match);
  beat.sent_at = now_;
  beat.round = round_;
  peer.commit_sent = std::max(peer.commit_sent, beat.commit);
  send_now_.push_back(std::move(beat));
}

// Everything that may be sent is sent once per Ready, so the proposals of a turn share an append.
void Core::fill_pipelines() {
  for (auto& [id, peer] : peers_) {
    if (lost_.older_ones.contains(id)) continue;  // It takes nothing; heartbeats say why.
    while (peer.lacks(log_.last()) && peer.may_append(options_.appends_in_flight_max)) {
      send_append(id, peer, options_.append_entries_max);
    }
    if (peer.flow == Progress::Flow::snapshot) send_chunks(id, peer);
    if (peer.commit_sent < std::min(hard_.commit, peer.match)) send_heartbeat(id, peer);
  }
}

void Core::send_append(ServerId to, Progress& peer, size_t entries_max) {
  const Index before = peer.next - 1;
  const auto before_term = log_.term(before);
  if (!before_term) {
    peer.become_snapshot(snapshot_, now_);
    return;
  }
  Message append = message(Message::Kind::append, to);
  append.index = before;
  append.log_term = *before_term;
  append.hash = log_.hash(before);
  append.commit = hard_.commit;
  append.sent_at = now_;
  append.entries = log_.slice(peer.next, entries_max, options_.append_bytes_max);
  const Index last = before + append.entries.size();
  if (peer.flow == Progress::Flow::probe) peer.moved = now_;
  peer.sent_append(last);
  peer.commit_sent = std::max(peer.commit_sent, std::min(hard_.commit, last));
  send_now_.push_back(std::move(append));
}

void Core::on_append(const Message& m) {
  heard_from_leader(m);
  append_sent_at_ = std::max(append_sent_at_, m.sent_at);

  // Every leader's log has the entries that are committed here, so the message is read from there
  // on.
  if (contradicts(m)) return diverge(m);
  const bool reaches_back = m.index < hard_.commit;
  const Index before = reaches_back ? hard_.commit : m.index;
  if (!reaches_back && !log_.matches({m.log_term, m.index}, m.hash) &&
      !(CANARY(append_without_log_check) && m.index <= log_.last())) {
    Message reply = message(Message::Kind::append_reply, m.from);
    reply.reject = true;
    reply.index = m.index;
    // If only the hash differs, one term had two leaders, and the search goes back step by step.
    const bool same_place = log_.matches({m.log_term, m.index});
    reply.hint =
        same_place ? m.index - 1 : log_.last_not_after(m.log_term, std::min(m.index, log_.last()));
    reply.hint_term = log_.term(reply.hint).value_or(0);
    reply.sent_at = m.sent_at;
    answer(std::move(reply));
    return;
  }
  const Index last = m.index + m.entries.size();
  ChainHash hash = m.hash;
  for (const Entry& entry : m.entries) {
    hash = chained(hash, entry);
    if (entry.index <= before) continue;
    if (log_.matches({entry.term, entry.index}, hash)) continue;  // It is here, perhaps with more.
    if (entry.index <= log_.last()) {
      CHECK(entry.index > hard_.commit);
      log_.truncate_from(entry.index);
      if (members_.truncate_from(entry.index)) configuration_changed();
    }
    log_.append(entry, hash);
    if (entry.kind == Entry::Kind::configuration) {
      members_.append({entry.term, entry.index}, decode_configuration(entry.data.view()).value());
      configuration_changed();
    }
  }
  verified_ = std::max({verified_, before, last});
  set_commit(std::min(m.commit, last));

  // It answers now if all entries are durable, and otherwise after the write.
  if (log_.stable() >= last || CANARY(ack_before_persist)) {
    Message reply = message(Message::Kind::append_reply, m.from);
    reply.index = std::min(verified_, CANARY(ack_before_persist) ? verified_ : log_.stable());
    reply.sent_at = m.sent_at;
    acknowledged_ = std::max(acknowledged_, reply.index);
    answer(std::move(reply));
  }
}

// Tells the leader of this term which of the entries that it sent in this term are durable. Entries
// after them may be an old leader's tail, and must not be acknowledged.
void Core::acknowledge_persisted() {
  if (role_ != Role::follower || leader_ == 0 || sits_out()) return;
  const Index done =
      CANARY(ack_unverified_tail) ? log_.stable() : std::min(verified_, log_.stable());
  if (done <= acknowledged_) return;
  acknowledged_ = done;
  Message reply = message(Message::Kind::append_reply, leader_);
  reply.index = done;
  reply.sent_at = append_sent_at_;
  answer(std::move(reply));
}

void Core::answered(Progress& peer, const Message& m) {
  peer.contact =
      std::max(peer.contact, CANARY(contact_by_receipt) ? now_ : std::min(m.sent_at, now_));
}

void Core::on_append_reply(const Message& m) {
  const auto found = peers_.find(m.from);
  if (role_ != Role::leader || found == peers_.end()) return;
  Progress& peer = found->second;
  if (lost_.older_ones.contains(m.from) || refused_what_it_had(m.from, peer, m)) return;
  answered(peer, m);
  if (m.reject) {
    const Index hint = log_.last_not_after(m.hint_term, m.hint);
    if (peer.refused(m.index, hint)) sends_due_ = true;
    return;
  }
  if (m.index > log_.last()) return;  // This leader has not sent that.
  const bool was_paused = !peer.may_append(options_.appends_in_flight_max);
  const bool moved = peer.accepted(m.index);
  if (moved) {
    peer.moved = peer.matched_at = now_;
    advance_commit();
    if (role_ != Role::leader) return;
    if (m.from == transferee_) send_timeout_now();
  }
  if (moved || was_paused) sends_due_ = true;
}

void Core::on_heartbeat(const Message& m) {
  heard_from_leader(m);
  if (has_lost(m)) return tell_loss(m);
  if (m.index == log_.last() && m.index == m.commit) heal();  // All entries are the leader's.
  // The leader names only entries that it knows to be durable here. The log's end is a second
  // limit.
  set_commit(std::min(m.commit, log_.last()));
  Message reply = message(Message::Kind::heartbeat_reply, m.from);
  reply.sent_at = m.sent_at;
  reply.round = m.round;
  answer(std::move(reply));
}

void Core::on_heartbeat_reply(const Message& m) {
  const auto found = peers_.find(m.from);
  if (role_ != Role::leader || found == peers_.end() || lost_.older_ones.contains(m.from)) return;
  Progress& peer = found->second;
  answered(peer, m);
  if (m.round > peer.round && m.round <= round_) {
    peer.round = m.round;
    confirm_reads();
  }
  if (m.from == transferee_) send_timeout_now();
  if (peer.match >= log_.last() || now_ < peer.moved + options_.heartbeat) return;

  // The follower lives, but nothing moved for a whole interval: a message was lost on the way.
  peer.moved = now_;
  sends_due_ = true;
  switch (peer.flow) {
    case Progress::Flow::probe:
      peer.probing = false;
      break;
    case Progress::Flow::replicate:
      send_append(m.from, peer, 0);  // Refused if there is a gap before `next`.
      break;
    case Progress::Flow::snapshot:
      peer.chunk_next = peer.chunk_acked;
      peer.chunk_last_sent = false;
      break;
  }
}

}  // namespace databridge::raft
