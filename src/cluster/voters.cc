#include "cluster/voters.h"

#include <algorithm>
#include <map>

#include "base/check.h"

namespace databridge::cluster {
namespace {

using Kind = VoterStep::Kind;

std::string text(Incarnation id) { return std::to_string(id.value); }

class Advisor {
 public:
  explicit Advisor(const VotersInput& input) : input_(input), servers_(input.servers) {
    std::sort(servers_.begin(), servers_.end(),
              [](const Server& a, const Server& b) { return a.incarnation < b.incarnation; });
    size_t nodes = 0;
    for (const Server& server : servers_) {
      if (server.member && !server.leaving) ++nodes;
      if (server.voter) ++voters_;
      if (server.voter && stays(server)) ++keepers_, ++in_zone_[server.zone];
      if (is_ready(server)) ready_.push_back(&server);
    }
    // The zone with the fewest voters comes first.
    std::stable_sort(ready_.begin(), ready_.end(), [&](const Server* a, const Server* b) {
      return in_zone_[a->zone] < in_zone_[b->zone];
    });
    wanted_ = voters_wanted(input.replica_count, nodes, input.founding_pair);
  }

  VotersAdvice advise() {
    // The most urgent step comes first. A step that is not safe now does not hold up the next one.
    if (auto change = part_with_the_leaver()) return done(*change);
    if (auto change = replace_the_dead()) return done(*change);
    if (auto change = shrink()) return done(*change);
    if (auto change = grow()) return done(*change);
    if (auto change = spread()) return done(*change);
    if (auto change = take_in()) return done(*change);
    if (auto change = clean_up()) return done(*change);
    return {std::nullopt, waiting_};
  }

 private:
  static bool stays(const Server& server) { return server.member && !server.leaving; }
  static bool is_ready(const Server& server) {
    return stays(server) && server.learner && !server.voter && server.answered &&
           server.caught_up && (server.steady >= kSteady || server.successor);
  }
  bool is_dead(const Server& server) const {
    return !server.answered && server.silent >= input_.voter_replace_after;
  }

  VotersAdvice done(const VoterStep& change) {
    if (!input_.committed_in_term)
      return {std::nullopt, "the leader has not committed in its term"};
    if (change.kind == Kind::transfer) return {change, waiting_};
    if (input_.change_pending) return {std::nullopt, "the last change is not committed yet"};
    return {change, waiting_};
  }

  // safety.md 5.2: a majority of the *resulting* voters answered within W.
  bool is_safe(const VoterStep& change) {
    size_t count = 0;
    size_t answered = 0;
    for (const Server& server : servers_) {
      bool votes = server.voter;
      if (server.incarnation == change.who) votes = change.kind == Kind::promote;
      if (!votes) continue;
      ++count;
      if (server.answered) ++answered;
    }
    if (count > 0 && answered > count / 2) return true;
    wait(std::string(name(change.kind)) + " of " + text(change.who) + " waits: only " +
         std::to_string(answered) + " of the resulting " + std::to_string(count) +
         " voters answer");
    return false;
  }

  void wait(std::string why) {
    if (waiting_.empty()) waiting_ = std::move(why);
  }

  std::optional<VoterStep> if_safe(VoterStep change) {
    if (!is_safe(change)) return std::nullopt;
    return change;
  }

  std::optional<VoterStep> hand_over(const std::string& why) {
    for (const Server& server : servers_) {
      if (server.incarnation == input_.leader) continue;
      if (server.voter && stays(server) && server.answered && server.caught_up) {
        return VoterStep{Kind::transfer, server.incarnation, why};
      }
    }
    wait("the leader is to go, and there is nobody to lead in its place");
    return std::nullopt;
  }

  // A voter that was removed, or will be.
  std::optional<VoterStep> part_with_the_leaver() {
    for (const Server& server : servers_) {
      if (!server.voter || stays(server)) continue;
      // While it lives its vote counts, so another voter is promoted first.
      if (server.answered && keepers_ < wanted_ && !ready_.empty() && voters_ <= wanted_) {
        const VoterStep promote{
            Kind::promote, ready_.front()->incarnation,
            "it votes in place of " + text(server.incarnation) + ", which is leaving"};
        if (auto change = if_safe(promote)) return change;
        continue;
      }
      if (server.incarnation == input_.leader) {
        if (auto change = hand_over("the leader is leaving")) return change;
        continue;
      }
      const Kind kind = server.member && server.answered ? Kind::demote : Kind::remove;
      if (auto change = if_safe({kind, server.incarnation, "it is leaving"})) return change;
    }
    return std::nullopt;
  }

  // A dead voter is removed only if a server can be promoted in its place: a dead voter that comes
  // back is better than none.
  std::optional<VoterStep> replace_the_dead() {
    if (ready_.empty() || voters_ > wanted_) return std::nullopt;
    for (const Server& server : servers_) {
      if (!server.voter || !stays(server) || !is_dead(server)) continue;
      const VoterStep remove{
          Kind::remove, server.incarnation,
          "a voter that is gone; " + text(ready_.front()->incarnation) + " can vote in its place"};
      if (auto change = if_safe(remove)) return change;
    }
    return std::nullopt;
  }

  // A voter that does not answer goes first, then one of the zone with the most voters. Of equals
  // the one with the highest id goes, which is the later one.
  bool goes_before(const Server& server, const Server& last) {
    if (server.answered != last.answered) return !server.answered;
    return in_zone_[server.zone] >= in_zone_[last.zone];
  }

  std::optional<VoterStep> shrink() {
    if (keepers_ <= wanted_) return std::nullopt;
    const std::string why =
        std::to_string(keepers_) + " voters, " + std::to_string(wanted_) + " wanted";
    const Server* last = nullptr;
    for (const Server& server : servers_) {
      if (!server.voter || !stays(server) || server.incarnation == input_.leader) continue;
      if (last == nullptr || goes_before(server, *last)) last = &server;
    }
    if (last == nullptr) return std::nullopt;
    const Kind kind = is_dead(*last) ? Kind::remove : Kind::demote;
    return if_safe({kind, last->incarnation, why});
  }

  std::optional<VoterStep> grow() {
    if (voters_ >= wanted_ || ready_.empty()) return std::nullopt;
    // An odd number grows only if the next odd one can be reached: an even one bears no more loss.
    if (voters_ % 2 == 1 && ready_.size() < 2) {
      wait("a second server that can vote is not there yet");
      return std::nullopt;
    }
    return if_safe({Kind::promote, ready_.front()->incarnation,
                    std::to_string(voters_) + " voters, " + std::to_string(wanted_) + " wanted"});
  }

  // A zone has two voters more than another one that has a server to vote: that server votes, and
  // shrink() then takes a vote from the larger zone. Each such exchange makes the largest
  // difference smaller, so they come to an end. While a voter is silent nothing is exchanged.
  std::optional<VoterStep> spread() {
    if (voters_ != wanted_ || keepers_ != wanted_ || ready_.empty()) return std::nullopt;
    const Server& first = *ready_.front();
    const Server* crowded = nullptr;
    for (const Server& server : servers_) {
      if (!server.voter) continue;
      if (!server.answered) return std::nullopt;
      if (crowded == nullptr || in_zone_[server.zone] > in_zone_[crowded->zone]) crowded = &server;
    }
    if (crowded == nullptr || in_zone_[crowded->zone] < in_zone_[first.zone] + 2) {
      return std::nullopt;
    }
    return if_safe({Kind::promote, first.incarnation,
                    "voters in " + zone_text(crowded->zone) + ": " +
                        std::to_string(in_zone_[crowded->zone]) + ", in " + zone_text(first.zone) +
                        ": " + std::to_string(in_zone_[first.zone])});
  }

  static std::string zone_text(const std::string& zone) {
    return zone.empty() ? "no zone" : "zone " + zone;
  }

  std::optional<VoterStep> take_in() {
    for (const Server& server : servers_) {
      // A member that leaves needs the log as well: it must hand its work over, and read of its
      // removal.
      if (!server.member || server.learner || server.voter || !server.answered) continue;
      return VoterStep{Kind::add_learner, server.incarnation, "a member without the log"};
    }
    return std::nullopt;
  }

  std::optional<VoterStep> clean_up() {
    for (const Server& server : servers_) {
      if (server.member || server.voter || !server.learner) continue;
      return VoterStep{Kind::remove, server.incarnation, "it is no member any more"};
    }
    return std::nullopt;
  }

  const VotersInput& input_;
  std::vector<Server> servers_;
  std::map<std::string, size_t> in_zone_;  // The voters that stay, by zone.
  // The servers that could vote at once, in the order in which they would be chosen.
  std::vector<const Server*> ready_;
  size_t voters_ = 0;
  size_t keepers_ = 0;  // Voters that stay.
  size_t wanted_ = 0;
  std::string waiting_;
};

}  // namespace

const char* name(Kind kind) {
  switch (kind) {
    case Kind::add_learner:
      return "add_learner";
    case Kind::promote:
      return "promote";
    case Kind::demote:
      return "demote";
    case Kind::remove:
      return "remove";
    case Kind::transfer:
      return "transfer";
  }
  return "?";
}

uint32_t voters_wanted(uint32_t replica_count, size_t nodes, bool founding_pair) {
  const uint32_t most = static_cast<uint32_t>(std::min<size_t>(replica_count, nodes));
  if (founding_pair && nodes == 2) return std::max<uint32_t>(1, most);
  if (most == 0) return 1;
  return most % 2 == 1 ? most : most - 1;
}

std::vector<Incarnation> initial_voters(std::vector<Incarnation> founders, uint32_t replica_count) {
  std::sort(founders.begin(), founders.end());
  founders.erase(std::unique(founders.begin(), founders.end()), founders.end());
  CHECK(!founders.empty());
  founders.resize(voters_wanted(replica_count, founders.size(), founders.size() == 2));
  return founders;
}

VotersAdvice next_voter_step(const VotersInput& input) { return Advisor(input).advise(); }

}  // namespace databridge::cluster
