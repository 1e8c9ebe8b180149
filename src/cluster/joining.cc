#include "cluster/joining.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

constexpr Duration kJoinPatience = 10s;
constexpr Duration kLookAgain = 5s;  // At the addresses that are sighted, while there is no leader.
constexpr size_t kForeignersMax = 16;  // Noted since the start.

Bytes lines_of(const std::vector<Address>& addresses) {
  Bytes lines;
  for (const Address& address : addresses) lines += address.text() + "\n";
  return lines;
}

Joining::Options with_members(Joining::Options options) {
  for (BytesView rest = options.members; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1);
    auto address = Address::parse(rest.substr(0, end));
    if (address) options.discovery.seeds.push_back(std::move(*address));
    rest.remove_prefix(end + 1);
  }
  options.discovery.only_join = options.cluster.empty() && !options.members.empty();
  return options;
}

}  // namespace

Joining::Joining(Options options, Peers& peers)
    : listed_(options.discovery.seeds),
      options_(with_members(std::move(options))),
      peers_(peers),
      cluster_(options_.cluster),
      discovery_(options_.discovery) {
  peers_.add_seeds(options_.discovery.seeds);
  peers_.enter(cluster_);
  watch_if_founder(options_.discovery.restored);
}

// After a restart, the founding set names the founders before the log does.
void Joining::watch_if_founder(const FoundingRecord& record) {
  const std::vector<Incarnation> founders = ids_of(record.promised);
  if (cluster_id_of(founders) != cluster_) return;
  peers_.add_known(founders);
  if (founders.size() > 1) orphan_.emplace(options_.self.incarnation, record);
}

void Joining::start(const Turn& turn) {
  if (!is_in_one()) discovery_.start(turn.now);
  // A founder votes before it is admitted as a member, so the seeds are dialled at every start.
  for (const Address& seed : options_.discovery.seeds) turn.effects.push_back(Dial{seed});
}

Instant Joining::due(Instant stepped) const {
  return is_in_one() ? Instant::max() : stepped + options_.discovery.probe_interval / 2;
}

void Joining::enter(const ClusterId& cluster) {
  cluster_ = cluster;
  peers_.enter(cluster);
  entered_ = is_in_one();
  ++changes_;
}

void Joining::discover(const Turn& turn) {
  if (is_in_one()) return;
  discovery_.tick(turn.now);
  for (DiscoveryOutput& output : discovery_.take_outputs()) {
    if (auto* dial = std::get_if<DialSeed>(&output)) {
      turn.effects.push_back(Dial{dial->address});
    } else if (auto* drop = std::get_if<DropSeed>(&output)) {
      turn.effects.push_back(HangUp{drop->address});
    } else if (auto* send = std::get_if<SendFounding>(&output)) {
      turn.send(send->to, std::move(send->message));
    } else if (auto* persist = std::get_if<PersistFounding>(&output)) {
      if (CANARY(promises_before_disk)) {
        discovery_.persisted(persist->record, turn.now);
        discover(turn);
      }
      turn.effects.push_back(Persist{kFoundingKey, encode(persist->record)});
    } else if (const auto* is_founder = std::get_if<Founded>(&output)) {
      founded(*is_founder, turn);
    } else if (const auto* taken_in = std::get_if<Joined>(&output)) {
      joined(taken_in->reply, turn);
    } else if (auto* note = std::get_if<DiscoveryNote>(&output)) {
      turn.note(Weight::info, note->text);
      ++changes_;
    }
    if (is_in_one()) break;
  }
}

void Joining::founded(const Founded& founded, const Turn& turn) {
  enter(founded.cluster);
  watch_if_founder(discovery_.record());
  if (told_) told_->from = cluster_;  // Its promise was final, so it is left again.
  turn.effects.push_back(Found{founded.cluster, founded.voters});
  std::vector<Address> others;
  for (const MemberInfo& member : founded.members) {
    // After a restart in between, some founders are known by their ids only.
    if (member.incarnation == options_.self.incarnation || member.address.empty()) continue;
    others.push_back(member.address);
    turn.effects.push_back(Dial{member.address});
  }
  // Nodes that found each other by sightings have no seeds. The log does not name the founders'
  // addresses yet, and who is found where a founder was has the better claim to its name.
  peers_.add_seeds(others);
  // The log has no member yet. After a restart a node without seeds would dial nobody.
  if (!others.empty()) turn.effects.push_back(Persist{kMembersKey, lines_of(others)});
}

void Joining::joined(const JoinReply& reply, const Turn& turn) {
  enter(reply.cluster);
  turn.effects.push_back(Enter{cluster_});
  std::vector<Address> members;
  peers_.add_known({reply.leader});
  for (const MemberInfo& member : reply.members) {
    peers_.add_known({member.incarnation});
    if (member.incarnation != options_.self.incarnation) members.push_back(member.address);
  }
  // The leader may not have admitted the seeds yet that this node has asked.
  for (const Address& seed : peers_.seeds()) {
    if (std::find(members.begin(), members.end(), seed) == members.end()) members.push_back(seed);
  }
  turn.effects.push_back(Persist{kMembersKey, lines_of(members)});
  for (const Address& member : members) turn.effects.push_back(Dial{member});
}

// Joins the cluster behind the seeds (POST /api/cluster/join). A cluster that this node has founded
// alone is given up for it, but only once a member of another one is found (safety.md 5.3).
void Joining::join(const JoinCluster& request, const Actor& by, Ticket ticket, const Turn& turn) {
  const std::string why_not = !options_.clustered
                                  ? "this node stands alone: start it with --cluster-enabled"
                              : told_ ? "it is joining one already"
                                      : why_not_alone(turn);
  if (!why_not.empty()) {
    turn.effects.push_back(Reply{ticket, fail(Code::conflict, why_not)});
    return;
  }
  told_ = Told{ticket, request.seeds, cluster_, turn.now + kJoinPatience, by};
  if (!is_in_one()) {
    turn.effects.push_back(Persist{kMembersKey, lines_of(request.seeds)});
    peers_.add_seeds(request.seeds);
    discovery_.join(request.seeds, turn.now);
    return discover(turn);
  }
  for (const Address& seed : request.seeds) turn.effects.push_back(Dial{seed});
}

// Answers once this node is in and sees its own entry, or says why it is not.
std::optional<Asked> Joining::answer_join(const Turn& turn) {
  if (!told_) return std::nullopt;
  const auto answer = [&](Answer with) -> std::optional<Asked> {
    turn.effects.push_back(Reply{told_->ticket, std::move(with)});
    told_.reset();
    return std::nullopt;
  };
  const bool late = turn.now >= told_->deadline;
  if (!is_in_one()) {
    if (!discovery_.refused().empty()) return answer(fail(Code::conflict, discovery_.refused()));
    if (!late) return std::nullopt;
    return answer(fail(Code::unavailable, note() + "; this node goes on asking to be taken in"));
  }
  if (cluster_ != told_->from && turn.state.member(options_.self.incarnation) != nullptr) {
    std::optional<Asked> noted;
    if (told_->by) {
      noted.emplace();
      noted->request.body = Change{NoteAction{"join", options_.self.node.value}};
      noted->request.by = told_->by;
    }
    // The client learns of the join, whatever becomes of the event.
    answer(Outcome{.index = turn.state.version(), .plan = {}, .text = cluster_.value});
    return noted;
  }
  if (!late) return std::nullopt;
  if (cluster_ != told_->from) {
    return answer(fail(Code::timed_out, "this node is in the cluster " + cluster_.value +
                                            " now, but has not caught up with it yet"));
  }
  return answer(fail(
      Code::unavailable,
      "no member of another cluster answered at the seeds: this node stays in " + cluster_.value));
}

// A node stays in a cluster that has other members, or that holds anything.
std::string Joining::why_not_alone(const Turn& turn) const {
  if (!is_in_one()) return {};
  const State& state = turn.state;
  const std::string ours = "this node belongs to the cluster " + cluster_.value;
  if (turn.consensus.voters != std::vector<Incarnation>{options_.self.incarnation} ||
      !turn.consensus.learners.empty() || state.members().size() > 1) {
    return ours + ", which has other members";
  }
  if (CANARY(gives_up_what_it_holds)) return {};
  if (!state.flows().empty() || !state.processors().empty() || !state.assignments().empty() ||
      !state.config().empty() || state.strategy() != State().strategy()) {
    return ours + ", which holds flows, processors, configuration or a strategy";
  }
  return {};
}

// A member of another cluster was found at a seed, and nothing is under way in ours.
bool Joining::may_give_up(const LinkChanged& news, const Turn& turn) const {
  if (!told_ || !is_in_one() || cluster_ != told_->from) return false;
  const auto& seeds = told_->seeds;
  const bool is_seed = std::find(seeds.begin(), seeds.end(), news.address) != seeds.end();
  return is_seed && !news.cluster.empty() && news.cluster != cluster_ &&
         discovery_.is_wanted(news.cluster) && why_not_alone(turn).empty() &&
         turn.consensus.ready && turn.consensus.last == turn.state.version();
}

void Joining::give_up(const LinkChanged& news, const Turn& turn) {
  const FoundingRecord& last = discovery_.record();
  turn.note(Weight::info,
            "gives up the cluster " + cluster_.value + ", which holds nothing, to join another");
  leave({last.attempt + 1, {}, 0, last.given_up}, told_->seeds, turn);
  discovery_.join(told_->seeds, turn.now);
  peers_.add_seeds(told_->seeds);
  peers_.each_link([&](const Address&, Incarnation peer) { discovery_.linked(peer, turn.now); });
  discover(turn);
  discovery_.trust(news.peer, news.cluster);  // It greeted at the seed.
}

// Leaves the cluster with all that this node has of it, and begins the search anew.
void Joining::leave(const FoundingRecord& record, const std::vector<Address>& seeds,
                    const Turn& turn) {
  turn.effects.push_back(Abandon{});
  turn.effects.push_back(Persist{kMembersKey, lines_of(seeds)});
  turn.effects.push_back(Persist{kFoundingKey, encode(record)});
  orphan_.reset();
  enter({});
  options_.discovery.restored = record;
  discovery_ = NodeDiscovery(options_.discovery);
}

bool Joining::is_orphan(const Turn& turn) {
  if (!orphan_ || CANARY(orphan_stays)) return false;
  if (!orphan_->is_lonely(turn.consensus, turn.now, options_.discovery.give_up_after)) return false;
  if (turn.state.version() != 0) return false;
  if (orphan_->is_proved(turn.consensus.voters)) return true;
  if (asked_at_ && turn.now - *asked_at_ < options_.discovery.probe_interval) return false;
  asked_at_ = turn.now;
  peers_.each_link(
      [&](const Address&, Incarnation peer) { turn.send(peer, Probe{options_.self}); });
  return false;
}

// It may found with the others, as a node that has just started. So it forgets the addresses of the
// founders of before, or it would only join after a restart.
void Joining::give_up_orphan(const Turn& turn) {
  turn.note(Weight::warning, "gives up the cluster " + cluster_.value +
                                 ", which it has founded: other founders have left it, so it can "
                                 "never have a leader");
  const FoundingRecord left = orphan_->left();
  std::vector<Address> told;
  if (options_.discovery.only_join) told = options_.discovery.seeds;
  if (told_) told.insert(told.end(), told_->seeds.begin(), told_->seeds.end());
  options_.discovery.seeds = listed_;
  leave(left, told, turn);
  if (told_) told_->from = {};
  for (const Address& address : own_) discovery_.met_self(address, true, turn.now);
  peers_.each_link([&](const Address& address, Incarnation peer) {
    if (is_listed(address)) discovery_.met(address, peer, {});
    discovery_.linked(peer, turn.now);
  });
  discovery_.start(turn.now);
  discovery_.sighted({sighted_.begin(), sighted_.end()}, turn.now);
  if (!told.empty()) discovery_.join(told, turn.now);
  discover(turn);
}

// ---- Messages of others

bool Joining::is_self(const LinkChanged& news) const {
  return news.peer == options_.self.incarnation && news.boot == options_.self.boot &&
         news.start == options_.self.start;
}

bool Joining::is_listed(const Address& address) const {
  return peers_.is_seed(address) || sighted_.contains(address);
}

void Joining::on_link(const LinkChanged& news, Instant now) {
  if (is_self(news)) {
    if (!is_listed(news.address)) return;
    const bool is_there = news.state == LinkState::up;
    is_there ? (void)own_.insert(news.address) : (void)own_.erase(news.address);
    if (!is_in_one()) discovery_.met_self(news.address, is_there, now);
    return;
  }
  if (is_in_one()) {
    if (orphan_) orphan_->greeted(news.peer, news.cluster);
    return;
  }
  if (news.state == LinkState::up) {
    if (is_listed(news.address)) discovery_.met(news.address, news.peer, news.cluster);
    discovery_.linked(news.peer, now);
  } else if (news.peer) {
    // It may be linked at another address as well.
    bool is_linked = false;
    peers_.each_link([&](const Address& address, Incarnation peer) {
      is_linked |= peer == news.peer && address != news.address;
    });
    if (!is_linked) discovery_.unlinked(news.peer);
  }
}

bool Joining::is_foreign(const Sighting& sighting) const {
  if (sighting.cluster.empty() || CANARY(any_cluster_is_ours)) return false;
  return is_in_one() ? sighting.cluster != cluster_ : !discovery_.is_wanted(sighting.cluster);
}

// Before there is a cluster, what is sighted is like a list of seeds. A member needs none: nodes
// that look for the cluster dial it. It only has a look, since its members may have moved.
void Joining::on_sighted(const Sighted& input, const Turn& turn) {
  const std::set<Address> before = std::exchange(sighted_, {});
  std::vector<Address> usable;
  for (const Sighting& seen : input.seen) {
    if (usable.size() >= kSightingsMax) break;
    if (seen.address.empty() || seen.incarnation == options_.self.incarnation) continue;
    if (is_foreign(seen)) {
      if (foreigners_.size() < kForeignersMax && foreigners_.insert(seen.cluster).second) {
        turn.note(Weight::warning, "node " + shown(seen.node.value) + " at " +
                                       shown(seen.address.text()) + " belongs to the cluster " +
                                       shown(seen.cluster.value) +
                                       ", not to this one: clusters never merge");
      }
      continue;
    }
    if (sighted_.insert(seen.address).second) usable.push_back(seen.address);
  }
  if (is_in_one()) {
    for (const Address& address : usable) {
      if (address != options_.self.address && !before.contains(address)) {
        peers_.visit(address, turn);
      }
    }
    return;
  }
  discovery_.sighted(usable, turn.now);
  // A link may have been there before the address was sighted.
  peers_.each_link([&](const Address& address, Incarnation peer) {
    if (sighted_.contains(address)) discovery_.met(address, peer, {});
  });
  discover(turn);
}

void Joining::look_around(const Turn& turn) {
  if (!is_in_one() || sighted_.empty() || turn.now - looked_ < kLookAgain) return;
  if (turn.consensus.leader && !peers_.is_lonely(turn)) return;
  looked_ = turn.now;
  for (const Address& address : sighted_) {
    if (address != options_.self.address) peers_.visit(address, turn);
  }
}

void Joining::on_probe(Incarnation from, const Probe& probe, const Turn& turn) {
  if (probe.self.incarnation != from) return;
  if (!is_in_one()) {
    discovery_.probe(from, probe, turn.now);
    return discover(turn);
  }
  // The asker's address is dialled, or there would be no link to answer on.
  peers_.visit(probe.self.address, turn);
  ProbeReply about;
  about.self = options_.self;
  about.cluster = cluster_;
  about.attempt = discovery_.record().attempt;
  // The answer is for this very start: it may be the next process of a member, and not let in yet.
  turn.send(from, about, probe.self.start);
}

void Joining::on_probe_reply(Incarnation from, const ProbeReply& reply, const Turn& turn) {
  if (orphan_ && reply.self.incarnation == from) orphan_->heard(from, reply);
  if (is_in_one()) return;
  discovery_.probe_reply(from, reply, turn.now);
  discover(turn);
}

void Joining::on_join_reply(Incarnation from, const JoinReply& reply, const Turn& turn) {
  // This node may have been admitted once, and may have ended before it heard of it.
  if (reply.removed) {
    if (discovery_.trusts(from)) turn.effects.push_back(Leave{shown(reply.refused)});
    return;
  }
  discovery_.join_reply(from, reply, turn.now);
  discover(turn);
}

}  // namespace databridge::cluster
