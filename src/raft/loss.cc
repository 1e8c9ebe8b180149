// A disk that is put back to an older copy breaks the assumptions of Raft: votes and
// acknowledgements are forgotten, a term has two leaders, logs differ where they should be equal.
// This is noticed where a server that knows better is asked (safety.md 9.1). If no such server
// lives, it cannot be noticed here.
#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "raft/core.h"

namespace databridge::raft {
namespace {

std::string text(ServerId id) { return "server " + std::to_string(id); }

}  // namespace

// A single frame with an absurd term would otherwise end all elections for ever. A new server (term
// 0) has nothing to compare with. A server that was away for long learns the term from the greeting
// of a member that it dialled.
bool Core::leaps(const Message& m) {
  if (hard_.term == 0 || CANARY(any_term_goes)) return false;
  if (m.term <= std::max(hard_.term, lost_.term_named) + options_.term_leap_max) return false;
  lost_.leap_from = m.from;
  lost_.leap_term = m.term;
  ++lost_.leaps_refused;
  return true;
}

// Whether a leader's message is taken. The second leader of a term is not obeyed, even if it is the
// right one: a vote was forgotten. One of the two gets no quorum and steps down.
bool Core::obeys(const Message& m) {
  if (lost_.term_leader != 0 && lost_.term_leader != m.from && !CANARY(second_leader_obeyed)) {
    lost_.second_heard = now_;
    if (!lost_.for_good) {
      lost_.diverged = "term " + std::to_string(m.term) + " has two leaders, " +
                       text(lost_.term_leader) + " and " + text(m.from) +
                       ": a voter has forgotten its vote; was a data directory put back?";
    }
    return false;
  }
  if (role_ == Role::leader) return false;
  if (!sits_out()) return true;
  heard_from_leader(m);
  tell_loss(m);
  return false;
}

// Two leaders of a term no longer matter once no second one was heard for long and a quorum commits
// a new entry, since logs are compared by their hashes.
void Core::heal() {
  if (lost_.may_heal(now_, options_.longer_log_wait)) lost_.diverged.clear();
}

// Otherwise, a cluster without writes would never heal.
void Core::commit_to_heal() {
  if (!lost_.may_heal(now_, options_.longer_log_wait) || hard_.commit != log_.last()) return;
  append_own(Entry::Kind::noop, {});
}

void Core::term_named(Term term) { lost_.term_named = std::max(lost_.term_named, term); }

void Core::peer_log(ServerId peer, Position last) {
  if (peer != options_.id) lost_.peer_logs[peer] = last;
}

// Whether a linked voter has named a longer log than the candidate's. It matters only for
// `longer_log_wait` after a leader was heard.
bool Core::lacks_a_longer_log(Position own, ServerId candidate) const {
  if (now_ >= lost_.led + options_.longer_log_wait || CANARY(longer_log_passed_over)) return false;
  const auto& voters = members_.latest().voters;
  return std::any_of(voters.begin(), voters.end(), [&](ServerId voter) {
    const auto log = lost_.peer_logs.find(voter);
    if (voter == options_.id || voter == candidate || log == lost_.peer_logs.end()) return false;
    if (lost_.older_ones.contains(voter)) return false;
    const Position& other = log->second;
    return other.term > own.term || (other.term == own.term && other.index > own.index);
  });
}

// Whether the sender's log differs from entries that are committed here. No leader and no rightful
// candidate lacks committed entries.
bool Core::contradicts(const Message& m) const {
  Position place{m.log_term, m.index};
  ChainHash hash = m.hash;
  for (const Entry& entry : m.entries) {
    if (entry.index > hard_.commit) break;
    place = {entry.term, entry.index};
    hash = chained(hash, entry);
  }
  if (place.index > hard_.commit) return false;
  const bool candidate = m.kind == Message::Kind::vote || m.kind == Message::Kind::pre_vote;
  // This check stands behind the rules of votes. It must not hide from the simulator that one of
  // them is broken.
  if (candidate && CANARY(commit_old_term)) return false;
  if (candidate && place.index < hard_.commit) return true;
  return place.index + 1 >= log_.first() && !log_.matches(place, hash);
}

void Core::diverge(const Message& m) {
  become_follower(hard_.term, m.from);
  lost_.for_good = true;
  lost_.diverged =
      "what is committed here up to " + std::to_string(hard_.commit) + " differs from what " +
      text(m.from) + ", leader of term " + std::to_string(m.term) +
      ", holds: somebody has lost what it had acknowledged; this server takes part no more";
}

// A heartbeat names the last entry that this server acknowledged to that leader in this term. That
// entry was durable, and nothing cuts it within the term. If it is missing, the disk was put back.
bool Core::has_lost(const Message& beat) {
  if (CANARY(loss_unnoticed)) return false;
  const bool held = beat.index + 1 >= log_.first();
  const bool ends = beat.index > log_.last();
  const bool differs =
      held && beat.log_term != 0 && !log_.matches({beat.log_term, beat.index}, beat.hash);
  if (!ends && !differs) return false;
  if (!ends && beat.index <= hard_.commit) {
    diverge(beat);
    return true;
  }
  is_older_copy("its log ends at " + std::to_string(log_.last()) + ", and it had acknowledged " +
                std::to_string(beat.index) + " to " + text(beat.from) + " in term " +
                std::to_string(beat.term) + ": its data directory is an older copy");
  return true;
}

void Core::is_older_copy(std::string why) {
  if (!lost_.older_copy.empty()) return;
  if (role_ != Role::follower) become_follower(hard_.term, 0);
  lost_.older_copy = std::move(why);
}

// Tells the leader of the loss, so that it no longer counts this server.
void Core::tell_loss(const Message& m) {
  if (lost_.older_copy.empty()) return;
  Message reply = message(Message::Kind::append_reply, m.from);
  reply.reject = reply.older_copy = true;
  reply.sent_at = m.sent_at;
  answer(std::move(reply));
}

// A follower that still holds what it acknowledged matches there. An answer to a message from
// before that acknowledgement came in proves nothing, since it may only be late.
bool Core::refused_what_it_had(ServerId from, Progress& peer, const Message& m) {
  if (!m.reject || CANARY(loss_unnoticed)) return false;
  const bool after = m.sent_at > peer.matched_at && m.sent_at <= now_;
  if (m.older_copy) {
    peer_is_older_copy(from, "it says that its data directory is an older copy");
  } else if (m.hint < peer.match && after) {
    peer_is_older_copy(from, "it had acknowledged " + std::to_string(peer.match) + " in term " +
                                 std::to_string(hard_.term) + ", and its log matches only up to " +
                                 std::to_string(m.hint) + ": its data directory is an older copy");
  }
  return lost_.older_ones.contains(from);
}

void Core::peer_is_older_copy(ServerId peer, std::string why) {
  if (peer == options_.id || !members_.latest().has(peer)) return;
  lost_.older_ones.try_emplace(peer, std::move(why));
  votes_.erase(peer);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  found->second.lost = std::exchange(found->second.match, 0);
  found->second.become_probe();
  found->second.round = 0;
  found->second.contact = Instant::min();
}

}  // namespace databridge::raft
