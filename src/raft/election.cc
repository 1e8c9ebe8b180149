// Elections: timers, pre-vote, votes, leader stickiness, check-quorum, transfer of leadership.
#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "raft/core.h"
#include "raft/quorum.h"

namespace databridge::raft {
namespace {

constexpr int kRoundsThatWiden = 5;  // Jitter grows to at most 0.05 · 2⁵ = 1.6 e.
constexpr int kDoublings = 20;       // Of the wait after evidence; it reaches e long before.

Duration part(Duration whole, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(whole.count()) * factor));
}

// The place of `id` among `voters`, not counting `without`.
size_t rank_of(ServerId id, const std::vector<ServerId>& voters, ServerId without) {
  size_t rank = 0;
  for (const ServerId voter : voters) {
    if (voter < id && voter != without) ++rank;
  }
  return rank;
}

}  // namespace

// e·(1 + 0.1·rank + 0…0.05), and the random part doubles with each failed round: ranks keep two
// candidates apart at first, and then chance does. A server with evidence that the leader is gone
// cannot disturb it, so it tries again soon after a failed round.
void Core::arm_election_timer() {
  const auto& voters = members_.latest().voters;
  if (role_ == Role::follower && voters.size() == 1 && voters.front() == options_.id) {
    election_deadline_ = now_;  // There is no other voter to wait for.
    return;
  }
  const double rank = static_cast<double>(rank_of(options_.id, voters, 0));
  if (lost_leader_ && leader_ == 0) {
    const auto base = options_.lost_stagger * (1 << std::min(failed_rounds_ + 2, kDoublings));
    const Duration wait = part(base, 1 + 0.25 * rank + 0.5 * random_.unit());
    if (wait < options_.election) {
      election_deadline_ = now_ + wait;
      return;
    }
  }
  const double width = 0.05 * static_cast<double>(1 << std::min(failed_rounds_, kRoundsThatWiden));
  election_deadline_ = now_ + part(options_.election, 1 + 0.1 * rank + width * random_.unit());
}

// No server campaigns on a log that could still shrink: it would name entries that are not durable
// yet, or a snapshot that is half installed (libraft PR #367, #353, #429, #467).
//
// A server that its newest configuration leaves out still campaigns until that configuration is
// committed (thesis §4.2.2): its log may be the only one long enough to win, and its own vote does
// not count anyway. Without this, three living voters of four can wait for each other for ever.
bool Core::may_campaign() const {
  const bool voter =
      members_.latest().is_voter(options_.id) || members_.at(hard_.commit).is_voter(options_.id);
  return voter && !removed_ && !sits_out() && log_.all_stable();
}

void Core::campaign_if_due() {
  if (now_ < election_deadline_) return;
  leader_ = 0;
  if (!may_campaign()) return;
  if (lacks_a_longer_log({log_.last_term(), log_.last()}, options_.id)) {
    return arm_election_timer();  // The server that has it shall lead.
  }
  const auto& voters = members_.latest().voters;
  start_round(voters.size() == 1 && voters.front() == options_.id, false);
}

void Core::start_round(bool real, bool transfer) {
  CHECK(role_ != Role::leader);
  if (role_ == Role::pre_candidate && !real) ++failed_rounds_;
  if (role_ == Role::candidate) ++failed_rounds_;
  role_ = real ? Role::candidate : Role::pre_candidate;
  leader_ = 0;
  votes_.clear();
  if (real) {
    enter_term(hard_.term + 1);
    hard_.vote = options_.id;
  }
  arm_election_timer();

  for (const ServerId voter : members_.latest().voters) {
    if (voter == options_.id) continue;
    Message ask = message(real ? Message::Kind::vote : Message::Kind::pre_vote, voter);
    if (!real) ask.term = hard_.term + 1;
    ask.index = log_.last();
    ask.log_term = log_.last_term();
    ask.hash = log_.last_hash();
    ask.leader_lost = lost_leader_;
    ask.transfer = transfer;
    send_after_persist_.push_back(std::move(ask));
  }
  // A real vote for itself counts once it is durable, like any other vote: see persisted().
  if (!real) count_vote(options_.id, true);
}

void Core::count_vote(ServerId from, bool granted) {
  const auto& configuration = members_.latest();
  if (!configuration.is_voter(from) || lost_.older_ones.contains(from)) return;
  votes_[from] = granted;
  size_t yes = 0;
  for (const auto& [id, vote] : votes_) yes += vote ? 1 : 0;
  const size_t no = votes_.size() - yes;
  if (CANARY(elect_with_half) && role_ == Role::candidate &&
      2 * (yes + 1) > configuration.voters.size()) {
    return become_leader();
  }
  switch (tally(configuration.voters.size(), yes, no)) {
    case Verdict::pending:
      return;
    case Verdict::won:
      if (role_ == Role::pre_candidate &&
          lacks_a_longer_log({log_.last_term(), log_.last()}, options_.id)) {
        return become_follower(hard_.term, 0);
      }
      return role_ == Role::pre_candidate ? start_round(true, false) : become_leader();
    case Verdict::lost:
      ++failed_rounds_;
      return become_follower(hard_.term, 0);
  }
}

void Core::become_leader() {
  role_ = Role::leader;
  leader_ = lost_.term_leader = options_.id;
  votes_.clear();
  failed_rounds_ = 0;
  lost_leader_ = false;
  early_vote_.reset();
  leader_since_ = now_;
  heartbeat_due_ = now_ + options_.heartbeat;
  peers_.clear();
  configuration_changed();
  // Entries of earlier terms are committed by committing one of this term (paper §5.4.2); without
  // it they would wait for the next command, and reads would have to wait with them (thesis §6.4).
  append_own(Entry::Kind::noop, {});
  term_start_ = log_.last();
}

// True while this server hears a leader, or leads with a quorum. A candidate is then a server that
// was cut off, and knows no better (thesis §4.2.3).
bool Core::protects_leader() const {
  if (role_ == Role::leader) {
    return now_ < std::max(leader_since_, quorum_contact(now_)) + options_.election;
  }
  return leader_ != 0 && !lost_leader_ && now_ < heard_leader_ + options_.election;
}

void Core::on_vote_request(const Message& m) {
  if (sits_out() || lost_.older_ones.contains(m.from)) return;
  const bool pre = m.kind == Message::Kind::pre_vote;
  Message reply = message(pre ? Message::Kind::pre_vote_reply : Message::Kind::vote_reply, m.from);
  reply.reject = true;

  const Configuration& committed = members_.at(hard_.commit);
  if (!committed.voters.empty() && !committed.has(m.from) && !CANARY(removed_untold)) {
    // The candidate was removed and never learned of it, or it is new and this server has not heard
    // of it yet. Only the candidate can tell, so its request is judged all the same.
    Message notice = reply;
    const Position since = members_.position_at(hard_.commit);
    notice.removed = true;
    notice.index = since.index;
    notice.log_term = since.term;
    send_after_persist_.push_back(std::move(notice));
  }
  if (m.term > hard_.term && !m.transfer && protects_leader()) {
    if (pre && m.leader_lost && role_ == Role::follower) early_vote_ = m;
    return;
  }
  if (m.term > hard_.term && !pre) become_follower(m.term, 0);
  reply.term = hard_.term;

  const bool longer =
      m.log_term > log_.last_term() || (m.log_term == log_.last_term() && m.index >= log_.last());
  const bool up_to_date =
      (longer && !contradicts(m) && !lacks_a_longer_log({m.log_term, m.index}, m.from)) ||
      CANARY(vote_for_shorter_log);
  bool grant = false;
  if (pre) {
    grant = m.term > hard_.term && up_to_date;
    if (grant) reply.term = m.term;
    if (grant && lost_leader_ && role_ == Role::follower) {
      // A candidate is ahead with this server's consent. To compete at once would split the votes.
      const auto voters = static_cast<int64_t>(members_.latest().voters.size());
      election_deadline_ = std::max(election_deadline_, now_ + options_.lost_stagger * voters);
    }
  } else if (m.term == hard_.term) {
    const bool free =
        hard_.vote == m.from || (hard_.vote == 0 && leader_ == 0) || CANARY(vote_twice);
    grant = free && up_to_date && role_ == Role::follower;
    if (grant) {
      hard_.vote = m.from;
      arm_election_timer();
    }
  }
  reply.reject = !grant;
  auto& out = CANARY(vote_before_persist) ? send_now_ : send_after_persist_;
  out.push_back(std::move(reply));
}

void Core::on_vote_reply(const Message& m) {
  if (m.removed) {
    // The notice counts only if it is about the newest configuration that this server holds, or a
    // later one. One of a later term is later, whatever its index: entries that this server
    // appended since were never committed.
    const Position own = members_.latest_position();
    const bool later = m.log_term > own.term || (m.log_term == own.term && m.index >= own.index);
    if (later && role_ != Role::leader) {
      become_follower(hard_.term, 0);
      removed_ = true;
    }
    return;
  }
  const bool pre = m.kind == Message::Kind::pre_vote_reply;
  if (pre && role_ == Role::pre_candidate && (m.reject || m.term == hard_.term + 1)) {
    count_vote(m.from, !m.reject);
  } else if (!pre && role_ == Role::candidate && m.term == hard_.term) {
    count_vote(m.from, !m.reject);
  }
}

void Core::leader_lost(ServerId leader, Instant now) {
  now_ = std::max(now_, now);
  if (role_ != Role::follower || leader == 0 || leader != leader_) return;
  lost_leader_ = true;
  const auto rank = rank_of(options_.id, members_.latest().voters, leader);
  election_deadline_ =
      std::min(election_deadline_, now_ + options_.lost_stagger * static_cast<int64_t>(rank));
  if (early_vote_) {
    const Message asked = *early_vote_;
    early_vote_.reset();
    on_vote_request(asked);
  }
  campaign_if_due();
}

Result<void> Core::transfer(ServerId to, Instant now) {
  now_ = std::max(now_, now);
  if (role_ != Role::leader) return fail(Code::no_leader, "not the leader");
  if (to == options_.id) return fail(Code::invalid, "this server leads already");
  if (!members_.latest().is_voter(to)) {
    return fail(Code::invalid, "server " + std::to_string(to) + " is no voter");
  }
  if (transferee_ != 0 && transferee_ != to) {
    return fail(Code::conflict, "leadership is being handed to another server");
  }
  if (transferee_ == 0) transfer_deadline_ = now_ + options_.election;
  transferee_ = to;
  send_timeout_now();
  return {};
}

// Sent once the transferee has all entries on disk, and again with its answers, since messages get
// lost.
void Core::send_timeout_now() {
  const auto peer = peers_.find(transferee_);
  if (peer == peers_.end() || peer->second.match != log_.last()) return;
  send_after_persist_.push_back(message(Message::Kind::timeout_now, transferee_));
}

void Core::stop_transfer() { transferee_ = 0; }

void Core::on_timeout_now(const Message& m) {
  if (role_ != Role::follower || leader_ != m.from || !may_campaign()) return;
  start_round(true, true);
}

Instant Core::quorum_contact(Instant now) const {
  if (role_ != Role::leader) return Instant::min();
  std::vector<Instant> contacts;
  for (const ServerId voter : members_.latest().voters) {
    const auto peer = peers_.find(voter);
    contacts.push_back(voter == options_.id   ? now
                       : peer != peers_.end() ? peer->second.contact
                                              : Instant::min());
  }
  return agreed(contacts);
}

void Core::resign(Instant now) {
  now_ = std::max(now_, now);
  if (role_ == Role::leader) become_follower(hard_.term, 0);
}

void Core::check_quorum() {
  if (now_ < std::max(leader_since_, quorum_contact(now_)) + options_.election) return;
  become_follower(hard_.term, 0);
}

}  // namespace databridge::raft
