#include "cluster/node_discovery.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/random.h"

namespace databridge::cluster {
namespace {

using testing::HasSubstr;

// A few nodes without a cluster, on a network that delays, reorders and loses messages, with slow
// disks. A node's disk survives its crashes, and nothing else does.
class Wild {
 public:
  struct Node {
    Address address;
    Incarnation incarnation;
    FoundingRecord disk;
    ClusterId cluster;  // On disk, too.
    std::unique_ptr<NodeDiscovery> process;
    std::set<Address> dials;
    std::set<Incarnation> links;
    uint32_t replicas = 3;
    uint64_t life = 0;  // Grows with each start; events of an earlier life are lost.
    bool asked_to_join = false;
    std::vector<Incarnation> voters;
  };
  // A cluster that a majority of its voters has on disk can have a leader. The others cannot.
  struct Cluster {
    std::vector<Incarnation> voters;
    std::set<Incarnation> on_disk;
    bool can_lead() const {
      const auto count = std::count_if(voters.begin(), voters.end(), [this](Incarnation voter) {
        return on_disk.contains(voter);
      });
      return static_cast<size_t>(count) * 2 > voters.size();
    }
  };

  explicit Wild(uint64_t seed) : random(seed) {}

  size_t add(uint32_t expect, std::vector<size_t> seeds = {}) {
    Node node;
    node.address = {"10.0.0." + std::to_string(nodes.size() + 1), 8090};
    node.incarnation = Incarnation{1 + random.below(1'000'000)};
    nodes.push_back(std::move(node));
    expects.push_back(expect);
    seed_lists.push_back(std::move(seeds));
    founders.insert(nodes.back().incarnation);
    return nodes.size() - 1;
  }

  void start(size_t n) {
    Node& node = nodes[n];
    ++node.life;
    NodeDiscovery::Options options;
    options.self = info(n);
    options.expect = expects[n];
    options.replica_count = node.replicas;
    for (const size_t seed : seed_lists[n]) options.seeds.push_back(nodes[seed].address);
    if (seed_lists[n].empty()) {
      for (const Node& other : nodes) options.seeds.push_back(other.address);
    }
    options.restored = node.disk;
    options.give_up_after = 5s;
    node.process = std::make_unique<NodeDiscovery>(options);
    if (!node.cluster.empty()) return;  // Then only the brain answers: see answer() below.
    node.process->start(now);
    work(n);
  }

  void crash(size_t n) {
    nodes[n].process.reset();
    nodes[n].dials.clear();
    nodes[n].links.clear();
    for (Node& other : nodes) {
      if (other.process && other.links.erase(nodes[n].incarnation) > 0) {
        other.process->unlinked(nodes[n].incarnation);
      }
    }
  }

  void wipe(size_t n) {
    crash(n);
    nodes[n].disk = {};
    nodes[n].cluster = {};
    nodes[n].incarnation = Incarnation{1 + random.below(1'000'000)};
    founders.insert(nodes[n].incarnation);
  }

  // Ends the links between two nodes, or lets them be made again.
  void cut(size_t a, size_t b, bool is_cut) {
    for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
      is_cut ? (void)cuts.insert({from, to}) : (void)cuts.erase({from, to});
      const Incarnation peer = nodes[to].incarnation;
      if (!is_cut || !nodes[from].process || nodes[from].links.erase(peer) == 0) continue;
      nodes[from].process->unlinked(peer);
    }
  }

  void run(Duration how_long) {
    for (const Instant until = now + how_long; now < until; now += 10ms) {
      deliver();
      for (size_t n = 0; n < nodes.size(); ++n) {
        if (!nodes[n].process) continue;
        mend_links(n);
        if (!nodes[n].process) continue;
        nodes[n].process->tick(now);
        work(n);
      }
    }
  }

  size_t founded() const {
    return static_cast<size_t>(std::count_if(
        clusters.begin(), clusters.end(), [](const auto& one) { return one.second.can_lead(); }));
  }
  bool all_in_one() const {
    for (const Node& node : nodes) {
      if (node.cluster.empty() || node.cluster != nodes[0].cluster) return false;
    }
    return true;
  }
  std::string notes() const {
    std::string text;
    for (const Node& node : nodes) {
      text += node.cluster.value + " " + (node.process ? node.process->note() : "down") + "\n";
    }
    return text;
  }

  Random random;
  Instant now{};
  std::vector<Node> nodes;
  std::vector<uint32_t> expects;
  std::vector<std::vector<size_t>> seed_lists;
  std::set<Incarnation> founders;  // All that there ever were.
  std::map<ClusterId, Cluster> clusters;
  double loss = 0.1;
  double crash_at_founding = 0;

 private:
  struct Flying {
    Instant at;
    size_t to;
    uint64_t life;
    std::function<void()> arrive;
  };

  MemberInfo info(size_t n) const {
    MemberInfo info;
    info.incarnation = nodes[n].incarnation;
    info.node = NodeId("node-" + std::to_string(n + 1));
    info.address = nodes[n].address;
    return info;
  }

  void mend_links(size_t n) {
    for (const Address& address : std::set<Address>(nodes[n].dials)) {
      for (size_t to = 0; to < nodes.size(); ++to) {
        const Incarnation peer = nodes[to].incarnation;
        if (nodes[to].address != address || !nodes[to].process || cuts.contains({n, to})) continue;
        if (nodes[n].links.contains(peer) || !random.chance(0.2)) continue;
        nodes[n].links.insert(peer);
        const auto& seeds = seed_lists[n];
        if (seeds.empty() || std::find(seeds.begin(), seeds.end(), to) != seeds.end()) {
          nodes[n].process->met(address, peer, nodes[to].cluster);
        }
        nodes[n].process->linked(peer, now);
        work(n);
      }
    }
  }

  void deliver() {
    for (size_t i = 0; i < flying.size();) {
      if (flying[i].at > now) {
        ++i;
        continue;
      }
      Flying one = std::move(flying[i]);
      flying.erase(flying.begin() + static_cast<ptrdiff_t>(i));
      if (nodes[one.to].process && nodes[one.to].life == one.life) {
        one.arrive();
        work(one.to);
      }
    }
  }

  void fly(size_t to, uint64_t most_ms, std::function<void()> arrive) {
    flying.push_back({now + std::chrono::milliseconds(random.below(most_ms)), to, nodes[to].life,
                      std::move(arrive)});
  }

  void work(size_t n) {
    if (!nodes[n].process) return;
    for (const DiscoveryOutput& output : nodes[n].process->take_outputs()) {
      if (const auto* dial = std::get_if<DialSeed>(&output)) {
        nodes[n].dials.insert(dial->address);
      } else if (const auto* sent = std::get_if<SendFounding>(&output)) {
        send(n, *sent);
      } else if (const auto* persist = std::get_if<PersistFounding>(&output)) {
        const FoundingRecord record = *decode_founding_record(encode(persist->record));
        // It reaches the disk at some moment. The node hears of it later, if it lives that long.
        const uint64_t life = nodes[n].life;
        if (random.chance(0.5)) nodes[n].disk = record;
        fly(n, 50, [this, n, record, life] {
          nodes[n].disk = record;
          ASSERT_EQ(nodes[n].life, life);
          nodes[n].process->persisted(record, now);
        });
      } else if (const auto* one = std::get_if<Founded>(&output)) {
        auto& voters = clusters[one->cluster].voters;
        EXPECT_TRUE(voters.empty() || voters == one->voters) << "they begin with other voters";
        voters = one->voters;
        nodes[n].voters = one->voters;
        if (!random.chance(crash_at_founding)) nodes[n].cluster = one->cluster;
        if (nodes[n].cluster.empty()) return crash(n);  // It ends before the cluster was written.
        clusters[one->cluster].on_disk.insert(nodes[n].incarnation);
      } else if (const auto* joined = std::get_if<Joined>(&output)) {
        nodes[n].cluster = joined->reply.cluster;
        clusters[nodes[n].cluster].on_disk.insert(nodes[n].incarnation);
      }
    }
  }

  void send(size_t from, const SendFounding& sent) {
    if (!nodes[from].links.contains(sent.to) || random.chance(loss)) return;
    const Incarnation sender = nodes[from].incarnation;
    const Bytes bytes = encode(sent.message);
    for (size_t to = 0; to < nodes.size(); ++to) {
      if (nodes[to].incarnation != sent.to || !nodes[to].process) continue;
      fly(to, 200, [this, to, sender, bytes] { arrive(to, sender, *decode_message(bytes)); });
    }
  }

  void arrive(size_t to, Incarnation from, const Message& message) {
    Node& node = nodes[to];
    if (!node.cluster.empty()) return answer(to, from, message);
    if (const auto* probe = std::get_if<Probe>(&message)) node.process->probe(from, *probe, now);
    if (const auto* reply = std::get_if<ProbeReply>(&message)) {
      node.process->probe_reply(from, *reply, now);
    }
    if (const auto* reply = std::get_if<JoinReply>(&message)) {
      node.process->join_reply(from, *reply, now);
    }
  }

  // A member answers like this, restarted or not.
  void answer(size_t to, Incarnation from, const Message& message) {
    if (const auto* probe = std::get_if<Probe>(&message)) {
      nodes[to].dials.insert(probe->self.address);
      ProbeReply reply;
      reply.self = info(to);
      reply.cluster = nodes[to].cluster;
      reply.attempt = nodes[to].disk.attempt;
      send(to, {from, reply});
    } else if (std::holds_alternative<Join>(message) && has_leader(nodes[to].cluster)) {
      send(to, {from, JoinReply{nodes[to].cluster, nodes[to].incarnation, {info(to)}, ""}});
    }
  }

  // A majority of the voters runs. A cluster without one takes nobody in.
  bool has_leader(const ClusterId& cluster) const {
    const std::vector<Incarnation>& voters = clusters.at(cluster).voters;
    const auto there = std::count_if(nodes.begin(), nodes.end(), [&](const Node& node) {
      return node.process && node.cluster == cluster &&
             std::find(voters.begin(), voters.end(), node.incarnation) != voters.end();
    });
    return static_cast<size_t>(there) * 2 > voters.size();
  }

  std::vector<Flying> flying;
  std::set<std::pair<size_t, size_t>> cuts;
};

// ---- Plain cases

TEST(NodeDiscovery, OneFoundsAloneAtOnce) {
  NodeDiscovery::Options options;
  options.self.incarnation = Incarnation{7};
  NodeDiscovery discovery(options);
  discovery.start(Instant{});
  auto outputs = discovery.take_outputs();
  const auto is_persist = [](const auto& o) { return std::holds_alternative<PersistFounding>(o); };
  const auto persist = std::find_if(outputs.begin(), outputs.end(), is_persist);
  ASSERT_NE(persist, outputs.end());
  EXPECT_FALSE(discovery.done()) << "not before it is durable";
  discovery.persisted(std::get<PersistFounding>(*persist).record, Instant{});
  outputs = discovery.take_outputs();
  const auto founded = std::find_if(outputs.begin(), outputs.end(), [](const auto& o) {
    return std::holds_alternative<Founded>(o);
  });
  ASSERT_NE(founded, outputs.end());
  EXPECT_EQ(std::get<Founded>(*founded).cluster, cluster_id_of({Incarnation{7}}));
  EXPECT_EQ(std::get<Founded>(*founded).voters, std::vector<Incarnation>{Incarnation{7}});
}

TEST(NodeDiscovery, ThreeFoundOneHoweverLateTheLastStarts) {
  Wild wild(1);
  for (int n = 0; n < 3; ++n) wild.add(3);
  wild.start(0);
  wild.start(2);
  wild.run(20s);
  EXPECT_EQ(wild.founded(), 0u);
  EXPECT_THAT(wild.nodes[0].process->note(), HasSubstr("2 of 3 founders are here: node-"));
  wild.start(1);
  wild.run(5s);
  EXPECT_TRUE(wild.all_in_one()) << wild.notes();
}

TEST(NodeDiscovery, AFourthJoinsAsSoonAsThereIsACluster) {
  Wild wild(2);
  for (int n = 0; n < 4; ++n) wild.add(3);
  for (size_t n = 0; n < 3; ++n) wild.start(n);
  wild.run(5s);
  wild.start(3);
  wild.run(5s);
  EXPECT_TRUE(wild.all_in_one()) << wild.notes();
  EXPECT_EQ(wild.founded(), 1u);
}

TEST(NodeDiscovery, MoreThanExpectedStopAndSaySo) {
  const auto info = [](uint64_t id) {
    MemberInfo one;
    one.incarnation = Incarnation{id};
    one.node = NodeId("node-" + std::to_string(id));
    one.address = {"10.0.0." + std::to_string(id), 8090};
    return one;
  };
  NodeDiscovery::Options options;
  options.self = info(1);
  options.expect = 3;
  NodeDiscovery discovery(options);
  const auto hear = [&](uint64_t id, Instant now, const std::vector<Incarnation>& promised = {}) {
    ProbeReply reply;
    reply.self = info(id);
    for (uint64_t other = 1; other <= 4; ++other) reply.known.push_back(info(other));
    discovery.met(info(id).address, Incarnation{id}, {});
    reply.promised = promised;
    reply.attempts.assign(promised.size(), 1);
    discovery.probe_reply(Incarnation{id}, reply, now);
  };
  discovery.start(Instant{});
  discovery.linked(Incarnation{2}, Instant{});
  hear(2, Instant{});
  EXPECT_THAT(discovery.note(), HasSubstr("2 of 3 founders are here"));
  hear(3, Instant{});
  discovery.persisted({1, {{Incarnation{1}, 1}, {Incarnation{2}, 1}, {Incarnation{3}, 1}}},
                      Instant{});
  hear(4, Instant{1s});
  EXPECT_EQ(discovery.note(),
            "4 nodes want to found a cluster, 3 are expected: node-1 (10.0.0.1:8090), node-2 "
            "(10.0.0.2:8090), node-3 (10.0.0.3:8090), node-4 (10.0.0.4:8090); stop those that do "
            "not belong, or set --cluster-bootstrap-expect");
  EXPECT_FALSE(discovery.done());
  // The fourth one is stopped; the others promise.
  const std::vector<Incarnation> all = {Incarnation{1}, Incarnation{2}, Incarnation{3}};
  hear(2, Instant{5s}, all);
  EXPECT_FALSE(discovery.done());
  hear(3, Instant{5s}, all);
  EXPECT_TRUE(discovery.done());
}

// The members of node 2's cluster have forgotten their attempts, so the news once looked old.
// `said` has node 2's replies in turn: its attempt, and its cluster if any. Does node 1 ask it
// then?
bool asks_after(const std::vector<std::pair<uint64_t, ClusterId>>& said) {
  NodeDiscovery::Options options;
  options.self.incarnation = Incarnation{1};
  options.expect = 3;
  NodeDiscovery discovery(options);
  discovery.start(Instant{});
  discovery.linked(Incarnation{2}, Instant{});
  ProbeReply reply;
  reply.self.incarnation = Incarnation{2};
  reply.self.address = {"10.0.0.2", 8090};
  for (const auto& [attempt, cluster] : said) {
    reply.attempt = attempt;
    reply.cluster = cluster;
    (void)discovery.take_outputs();
    discovery.trust(Incarnation{2}, {});
    discovery.probe_reply(Incarnation{2}, reply, Instant{100ms});
  }
  discovery.tick(Instant{1s});
  const auto outputs = discovery.take_outputs();
  return std::any_of(outputs.begin(), outputs.end(), [](const auto& output) {
    const auto* send = std::get_if<SendFounding>(&output);
    return send != nullptr && std::holds_alternative<Join>(send->message);
  });
}

TEST(NodeDiscovery, NewsOfAFoundedClusterCarriesTheAttemptThatFoundedIt) {
  const ClusterId founded("founded"), none;
  EXPECT_TRUE(asks_after({{4, none}, {4, founded}}));
  EXPECT_TRUE(asks_after({{4, founded}, {4, none}})) << "within one attempt a cluster is final";
}

TEST(NodeDiscovery, WhoWantsOneClusterAsksNoOtherAndFoundsNone) {
  NodeDiscovery::Options options;
  options.self.incarnation = Incarnation{1};
  options.expect = 1;
  options.wanted = ClusterId("wanted");
  NodeDiscovery discovery(options);
  discovery.start(Instant{});
  discovery.trust(Incarnation{2}, {});
  discovery.linked(Incarnation{2}, Instant{});
  ProbeReply reply;
  reply.self.incarnation = Incarnation{2};
  const auto asked = [&](const char* cluster) {
    reply.cluster = ClusterId(cluster);
    discovery.probe_reply(Incarnation{2}, reply, Instant{100ms});
    const auto outputs = discovery.take_outputs();
    return std::any_of(outputs.begin(), outputs.end(), [](const auto& output) {
      EXPECT_FALSE(std::holds_alternative<PersistFounding>(output));
      const auto* send = std::get_if<SendFounding>(&output);
      return send != nullptr && std::holds_alternative<Join>(send->message);
    });
  };
  EXPECT_FALSE(asked("other"));
  EXPECT_NE(discovery.note().find("wanted"), std::string::npos);
  discovery.join_reply(Incarnation{2}, {ClusterId("other"), Incarnation{2}, {}, ""}, Instant{1s});
  EXPECT_FALSE(discovery.done());
  EXPECT_TRUE(asked("wanted"));
  discovery.join_reply(Incarnation{2}, {ClusterId("wanted"), Incarnation{2}, {}, ""}, Instant{1s});
  EXPECT_TRUE(discovery.done());
}

TEST(NodeDiscovery, AClusterThatOnlyAStrangerNamesIsNotJoined) {
  NodeDiscovery::Options options;
  options.self.incarnation = Incarnation{1};
  options.expect = 3;
  NodeDiscovery discovery(options);
  discovery.start(Instant{});
  const JoinReply forged{ClusterId("c"), Incarnation{9}, {}, ""};
  discovery.join_reply(Incarnation{9}, forged, Instant{1s});
  EXPECT_FALSE(discovery.done());
  // Node 2 greeted at a seed, and names node 3, which is a member of that cluster.
  discovery.trust(Incarnation{2}, {});
  ProbeReply reply;
  reply.self.incarnation = Incarnation{2};
  reply.known.push_back({});
  reply.known.back().incarnation = Incarnation{3};
  discovery.probe_reply(Incarnation{2}, reply, Instant{1s});
  reply = {};
  reply.self.incarnation = Incarnation{3};
  reply.cluster = ClusterId("c");
  discovery.probe_reply(Incarnation{3}, reply, Instant{1s});
  discovery.join_reply(Incarnation{9}, forged, Instant{1s});
  EXPECT_TRUE(discovery.done()) << "by way of whoever leads it";
}

TEST(NodeDiscovery, StrangersDoNotFillTheMemory) {
  NodeDiscovery::Options options;
  options.self.incarnation = Incarnation{1};
  options.expect = 3;
  NodeDiscovery discovery(options);
  discovery.start(Instant{});
  size_t dialled = 0;
  for (uint64_t id = 10; id < 5'000; ++id) {
    Probe probe;
    probe.self.incarnation = Incarnation{id};
    probe.self.address = {"10.0.0.1", static_cast<uint16_t>(id)};
    discovery.probe(Incarnation{id}, probe, Instant{1s});
    for (const DiscoveryOutput& output : discovery.take_outputs()) {
      dialled += std::holds_alternative<DialSeed>(output) ? 1 : 0;
    }
  }
  EXPECT_LE(dialled, 256u);
}

TEST(NodeDiscovery, AClusterThatWasGivenUpIsAskedNoMore) {
  const ClusterId founded("founded"), none;
  EXPECT_FALSE(asks_after({{4, founded}, {5, none}}));
  EXPECT_FALSE(asks_after({{5, none}, {4, founded}})) << "old news";
}

TEST(NodeDiscovery, WhoIsRefusedGoesOnAskingAndSaysWhyOnce) {
  NodeDiscovery::Options options;
  options.self.incarnation = Incarnation{1};
  options.expect = 3;
  NodeDiscovery discovery(options);
  discovery.start(Instant{});
  discovery.linked(Incarnation{2}, Instant{});
  discovery.trust(Incarnation{2}, {});
  ProbeReply member;
  member.self.incarnation = Incarnation{2};
  member.cluster = ClusterId("c");
  size_t asked = 0, refusals = 0;
  for (Duration now = 0s; now < 20s; now += 500ms) {
    discovery.probe_reply(Incarnation{2}, member, Instant{now});
    discovery.join_reply(Incarnation{2}, {{}, Incarnation{2}, {}, "the name is taken"},
                         Instant{now});
    for (const DiscoveryOutput& output : discovery.take_outputs()) {
      const auto* send = std::get_if<SendFounding>(&output);
      if (send != nullptr && std::holds_alternative<Join>(send->message)) ++asked;
      const auto* note = std::get_if<DiscoveryNote>(&output);
      if (note != nullptr && note->text == "not taken in: the name is taken") ++refusals;
    }
  }
  EXPECT_GT(asked, 10u);
  EXPECT_EQ(refusals, 1u);
}

// ---- Lists that name only some

TEST(NodeDiscovery, TenWithTheSameThreeSeedsBecomeOne) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Wild wild(seed);
    for (size_t n = 0; n < 10; ++n) wild.add(n < 3 ? 3 : 4, {0, 1, 2});
    for (size_t n = 0; n < 10; ++n) wild.start(9 - n);
    wild.run(10s);
    ASSERT_TRUE(wild.all_in_one()) << wild.notes();
    ASSERT_EQ(wild.founded(), 1u);
    for (size_t n = 3; n < 10; ++n) EXPECT_TRUE(wild.nodes[n].voters.empty()) << "it founded";
  }
}

TEST(NodeDiscovery, WhoIsNotCountedWaitsAndSaysWhy) {
  Wild wild(3);
  for (size_t n = 0; n < 4; ++n) wild.add(n < 3 ? 3 : 4, {0, 1, 2});
  wild.start(0);
  wild.start(3);
  wild.run(5s);
  EXPECT_THAT(wild.nodes[0].process->note(), HasSubstr("1 of 3 founders are here: node-1"));
  EXPECT_THAT(wild.nodes[3].process->note(),
              HasSubstr("this node is not in the list of node-1 (10.0.0.1:8090)"));
}

TEST(NodeDiscovery, AStarFoundsWithItsCentre) {
  Wild wild(4);
  for (size_t n = 0; n < 5; ++n) wild.add(2, {n == 0 ? size_t{1} : size_t{0}});
  for (size_t n = 0; n < 5; ++n) wild.start(n);
  wild.run(10s);
  EXPECT_TRUE(wild.all_in_one()) << wild.notes();
  EXPECT_EQ(wild.founded(), 1u);
}

TEST(NodeDiscovery, ARingCannotFoundAndSaysSo) {
  Wild wild(5);
  wild.loss = 0;
  for (size_t n = 0; n < 4; ++n) wild.add(2, {(n + 1) % 4});
  for (size_t n = 0; n < 4; ++n) wild.start(n);
  wild.run(20s);
  EXPECT_EQ(wild.founded(), 0u);
  for (size_t n = 0; n < 4; ++n) {
    EXPECT_THAT(wild.nodes[n].process->note(), HasSubstr("none can found a cluster: give all nodes "
                                                         "the same --cluster-seeds"));
  }
}

// ---- Properties

TEST(NodeDiscovery, FoundsExactlyOneWhateverHappens) {
  int crashes = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Wild wild(seed);
    wild.loss = wild.random.unit() * 0.5;
    wild.crash_at_founding = 0.2;
    const auto n = static_cast<uint32_t>(wild.random.between(1, 6));
    const auto replicas = static_cast<uint32_t>(wild.random.between(1, 5));
    for (uint32_t i = 0; i < n; ++i) wild.nodes[wild.add(n)].replicas = replicas;
    for (int round = 0; round < 20; ++round) {
      const size_t who = wild.random.below(n);
      if (wild.nodes[who].process && wild.random.chance(0.5)) {
        wild.crash(who);
        ++crashes;
      } else if (!wild.nodes[who].process) {
        wild.start(who);
      }
      wild.run(std::chrono::milliseconds(wild.random.below(800)));
    }
    for (int round = 0; round < 20 && !wild.all_in_one(); ++round) {
      wild.loss = 0.05;
      for (size_t i = 0; i < n; ++i) {
        if (!wild.nodes[i].process) wild.start(i);
      }
      wild.run(2s);
    }
    ASSERT_TRUE(wild.all_in_one()) << wild.notes();
    ASSERT_EQ(wild.founded(), 1u);
  }
  EXPECT_GT(crashes, 300);
}

// A founder loses its disk when all may have promised it and nobody has founded. The others give it
// up, and found with the node that comes in its place.
TEST(NodeDiscovery, AWipedFounderHoldsNobodyUp) {
  int wiped = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Wild wild(seed);
    wild.crash_at_founding = 0.2;
    const auto n = static_cast<uint32_t>(wild.random.between(3, 5));
    for (uint32_t i = 0; i < n; ++i) wild.add(n);
    for (size_t i = 0; i < n; ++i) wild.start(i);
    for (int round = 0; round < 400 && wild.clusters.empty(); ++round) {
      wild.run(10ms);
      const bool is_promised =
          std::any_of(wild.nodes.begin(), wild.nodes.end(),
                      [](const auto& it) { return !it.disk.promised.empty(); });
      if (!is_promised || !wild.clusters.empty()) continue;
      wild.wipe(wild.random.below(n));
      ++wiped;
      break;
    }
    for (int round = 0; round < 60 && !wild.all_in_one(); ++round) {
      for (size_t i = 0; i < n; ++i) {
        if (!wild.nodes[i].process) wild.start(i);
      }
      wild.run(1s);
    }
    ASSERT_TRUE(wild.all_in_one()) << wild.notes();
    ASSERT_EQ(wild.founded(), 1u);
  }
  EXPECT_GT(wiped, 40);
}

// With more founders than expected, and founders that lose their disks, there are never two
// clusters, as long as N is more than half of all that ever were. It may be that none is founded.
TEST(NodeDiscovery, NeverFoundsTwoClusters) {
  int founded = 0, wipes = 0, extra = 0;
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    SCOPED_TRACE(seed);
    Wild wild(seed);
    wild.loss = wild.random.unit() * 0.5;
    wild.crash_at_founding = 0.2;
    const auto expect = static_cast<uint32_t>(wild.random.between(2, 5));
    const uint64_t n = wild.random.between(expect, 2 * expect - 1);
    extra += static_cast<int>(n - expect);
    for (uint64_t i = 0; i < n; ++i) wild.add(expect);
    const bool is_mixed = wild.random.chance(0.2);  // Nodes have other replica counts.
    const auto replicas = static_cast<uint32_t>(wild.random.between(1, 5));
    for (auto& node : wild.nodes) node.replicas = replicas;
    for (int round = 0; round < 40; ++round) {
      const size_t who = wild.random.below(n);
      if (is_mixed && wild.random.chance(0.3)) {
        wild.nodes[who].replicas = static_cast<uint32_t>(wild.random.between(1, 3));
      }
      const size_t other = wild.random.below(n);
      if (who != other) wild.cut(who, other, wild.random.chance(0.3));
      if (wild.random.chance(0.2) && size_t{2} * expect > wild.founders.size() + 1) {
        wild.wipe(who);
        ++wipes;
      } else if (!wild.nodes[who].process) {
        wild.start(who);
      } else if (wild.random.chance(0.5)) {
        wild.crash(who);
      }
      wild.run(std::chrono::milliseconds(wild.random.below(800)));
    }
    ASSERT_LT(wild.founders.size(), 2 * expect);
    ASSERT_LE(wild.founded(), 1u);
    founded += static_cast<int>(wild.founded());
  }
  EXPECT_GT(founded, 100);
  EXPECT_GT(wipes, 100);
  EXPECT_GT(extra, 100);
}

// The same, when one founder is cut off after the promise until the others have refused.
TEST(NodeDiscovery, NeverFoundsTwoClustersAfterARefusal) {
  int refused = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    Wild wild(seed);
    const auto expect = static_cast<uint32_t>(wild.random.between(3, 4));
    for (size_t i = 1; i < size_t{2} * expect; ++i) wild.add(expect);
    for (size_t i = 0; i < expect; ++i) wild.start(i);
    const auto has_promised = [](const auto& it) { return !it.disk.promised.empty(); };
    while (std::none_of(wild.nodes.begin(), wild.nodes.end(), has_promised)) wild.run(10ms);
    wild.run(std::chrono::milliseconds(wild.random.below(200)));
    for (size_t i = 1; i < expect; ++i) wild.cut(0, i, true);
    wild.run(4'500ms + std::chrono::milliseconds(wild.random.below(1'500)));
    for (int round = 0; round < 20; ++round) {
      const size_t who = wild.random.below(wild.nodes.size());
      const size_t other = wild.random.below(wild.nodes.size());
      if (who != other) wild.cut(who, other, wild.random.chance(0.5));
      wild.nodes[who].process ? wild.crash(who) : wild.start(who);
      wild.run(std::chrono::milliseconds(wild.random.below(2'000)));
      for (const auto& node : wild.nodes) {
        refused += node.disk.voters != 0 || !node.disk.given_up.empty();
      }
    }
    ASSERT_LE(wild.founded(), 1u);
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace databridge::cluster
