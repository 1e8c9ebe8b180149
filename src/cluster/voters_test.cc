// Tables in sentences: a title, the servers and their situation, and the next step.
//
//   1:voter,leader 2:voter,dead 3:learner        a server and its properties
//   replicas=3 pair pending uncommitted          the situation
//
// By default it is a member that answers, is caught up, steady and stays. `dead` is silent for
// longer than voterReplaceAfter, `mute` only for a second, `behind` is not caught up, `new` is not
// steady for long enough, `gone` is no member.
#include "cluster/voters.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "base/random.h"

namespace databridge::cluster {
namespace {

VotersInput before(const std::string& text) {
  VotersInput input;
  input.committed_in_term = true;
  std::istringstream words(text);
  std::string word;
  while (words >> word) {
    if (word.rfind("replicas=", 0) == 0) {
      input.replica_count = static_cast<uint32_t>(std::stoul(word.substr(9)));
    } else if (word == "pair") {
      input.founding_pair = true;
    } else if (word == "pending") {
      input.change_pending = true;
    } else if (word == "uncommitted") {
      input.committed_in_term = false;
    } else {
      Server server;
      server.answered = true;
      server.caught_up = true;
      server.steady = kSteady;
      const size_t colon = word.find(':');
      server.incarnation = Incarnation{std::stoull(word)};
      std::istringstream parts(word.substr(colon + 1));
      std::string part;
      while (std::getline(parts, part, ',')) {
        if (part == "voter") server.voter = true;
        if (part == "learner") server.learner = true;
        if (part == "leader") input.leader = server.incarnation;
        if (part == "leaving") server.leaving = true;
        if (part == "gone") server.member = false;
        if (part == "behind") server.caught_up = false;
        if (part == "new") server.steady = kSteady - 1ms;
        if (part == "successor") server.successor = true;
        if (part.starts_with("zone=")) server.zone = part.substr(5);
        if (part == "mute") server.answered = false, server.silent = 1s;
        if (part == "dead") server.answered = false, server.silent = 31s;
      }
      input.servers.push_back(server);
    }
  }
  return input;
}

std::string compute(const std::string& text) {
  const VotersAdvice advice = next_voter_step(before(text));
  if (advice.change) {
    return std::string(name(advice.change->kind)) + " " + std::to_string(advice.change->who.value);
  }
  return advice.waiting.empty() ? "nothing" : "wait: " + advice.waiting;
}

struct Row {
  const char* why;
  const char* before;
  const char* computed;
};

TEST(VotersTest, TableOfSentences) {
  const Row rows[] = {
      {"a cluster of one has one voter", "1:voter,leader", "nothing"},
      {"three voters of three", "1:voter,leader 2:voter 3:voter", "nothing"},
      {"a founding pair has two", "pair 1:voter,leader 2:voter", "nothing"},
      {"a founding pair that asked for one copy has one", "pair replicas=1 1:voter,leader 2:voter",
       "demote 2"},
      {"a newcomer first learns", "1:voter,leader 2:", "add_learner 2"},
      {"but not while it is silent", "1:voter,leader 2:mute", "nothing"},
      {"one and a worker: an even number bears no more loss", "1:voter,leader 2:learner",
       "nothing"},
      {"three nodes, one voter: two can follow", "1:voter,leader 2:learner 3:learner", "promote 2"},
      {"the second waits for the third", "1:voter,leader 2:learner 3:learner,behind",
       "wait: a second server that can vote is not there yet"},
      {"on the way from one to three", "1:voter,leader 2:voter 3:learner", "promote 3"},
      {"a pair grows to three", "1:voter,leader 2:voter 3:learner", "promote 3"},
      {"not before it is caught up", "1:voter,leader 2:voter 3:learner,behind", "nothing"},
      {"nor before it was steady for a while", "1:voter,leader 2:voter 3:learner,new", "nothing"},
      {"but the successor of a wiped voter does not wait",
       "1:voter,leader 2:voter 3:learner,new,successor", "promote 3"},
      {"a fourth stays a worker", "1:voter,leader 2:voter 3:voter 4:learner", "nothing"},
      {"five copies, five nodes", "replicas=5 1:voter,leader 2:voter 3:voter 4:learner 5:learner",
       "promote 4"},
      {"an even wish is rounded down",
       "replicas=4 1:voter,leader 2:voter 3:voter 4:learner 5:learner", "nothing"},
      {"the present voters are kept, not the lowest", "7:voter,leader 8:voter 9:voter 1:learner",
       "nothing"},

      {"zones: the zone without a voter comes first",
       "1:voter,leader,zone=a 2:voter,zone=b 3:learner,zone=a 4:learner,zone=c", "promote 4"},
      {"all voters in one zone, a worker in another",
       "1:voter,leader,zone=a 2:voter,zone=a 3:voter,zone=a 4:learner,zone=b", "promote 4"},
      {"then the larger zone gives a vote back, but not the leader's",
       "1:voter,zone=a 2:voter,zone=a 3:voter,leader,zone=a 4:voter,zone=b", "demote 2"},
      {"two and one is as good as one and two",
       "1:voter,leader,zone=a 2:voter,zone=a 3:voter,zone=b 4:learner,zone=b", "nothing"},
      {"a third zone is better than two",
       "1:voter,leader,zone=a 2:voter,zone=a 3:voter,zone=b 4:learner,zone=c", "promote 4"},
      {"nothing is exchanged while a voter is silent",
       "1:voter,leader,zone=a 2:voter,zone=a 3:voter,zone=b,mute 4:learner,zone=c", "nothing"},
      {"nor for a newcomer",
       "1:voter,leader,zone=a 2:voter,zone=a 3:voter,zone=a 4:learner,zone=b,new", "nothing"},
      {"nodes without a label form one zone",
       "1:voter,leader 2:voter 3:voter,zone=b 4:learner,zone=c", "promote 4"},
      {"a dead voter is replaced from the zone that lacks one",
       "1:voter,leader,zone=a 2:voter,zone=b 3:dead,zone=c 4:learner,zone=a 5:learner,zone=c",
       "promote 5"},

      {"a dead voter is removed first", "1:voter,leader 2:voter,dead 3:voter 4:learner",
       "remove 2"},
      {"then the worker is promoted", "1:voter,leader 2:dead 3:voter 4:learner", "promote 4"},
      {"a voter that was silent for a second is waited for",
       "1:voter,leader 2:voter,mute 3:voter 4:learner", "nothing"},
      {"a dead voter stays if nobody can replace it", "1:voter,leader 2:voter,dead 3:voter",
       "nothing"},
      {"nor can one that is behind", "1:voter,leader 2:voter,dead 3:voter 4:learner,behind",
       "nothing"},
      {"it comes back as a learner", "1:voter,leader 2: 3:voter 4:voter", "add_learner 2"},
      {"two of five dead: one at a time",
       "replicas=5 1:voter,leader 2:voter,dead 3:voter 4:voter,dead 5:voter 6:learner 7:learner",
       "remove 2"},
      {"never to the point of losing quorum",
       "replicas=5 1:voter,leader 2:voter,dead 3:voter,dead 4:voter,dead 5:voter 6:learner",
       "wait: remove of 2 waits: only 2 of the resulting 4 voters answer"},
      {"the dead one of a pair is replaced by a living third",
       "1:voter,leader 2:voter,dead 3:learner", "remove 2"},

      {"a living voter that leaves: first promote",
       "1:voter,leader 2:voter,leaving 3:voter 4:learner", "promote 4"},
      {"then demote it", "1:voter,leader 2:voter,leaving 3:voter 4:voter", "demote 2"},
      {"then it is removed from the state, and from the configuration",
       "1:voter,leader 2:learner,gone 3:voter 4:voter", "remove 2"},
      {"a dead voter that was removed goes at once", "1:voter,leader 2:voter,gone,mute 3:voter",
       "remove 2"},
      {"with the leader the leadership goes first", "1:voter,leader,leaving 2:voter 3:voter",
       "transfer 2"},
      {"first the replacement, then the leadership",
       "1:voter,leader,leaving 2:voter 3:voter 4:learner", "promote 4"},
      {"the last one cannot leave", "1:voter,leader,leaving",
       "wait: the leader is to go, and there is nobody to lead in its place"},
      {"three become two: then one votes", "1:voter,leader 2:voter,leaving 3:voter", "demote 2"},
      {"and the other steps back", "1:voter,leader 3:voter", "demote 3"},

      {"nothing before the last change is committed",
       "pending 1:voter,leader 2:voter,dead 3:voter 4:learner",
       "wait: the last change is not committed yet"},
      {"nothing before the leader has committed in its term",
       "uncommitted 1:voter,leader 2:voter,dead 3:voter 4:learner",
       "wait: the leader has not committed in its term"},
      {"a promotion counts in the resulting set",
       "replicas=5 1:voter,leader 2:voter,mute 3:voter,mute 4:learner 5:learner",
       "wait: promote of 4 waits: only 2 of the resulting 4 voters answer"},
      {"what is not safe does not hold up what is",
       "replicas=5 1:voter,leader 2:voter,mute 3:voter,mute 4:learner 5:learner 6:",
       "add_learner 6"},
  };
  for (const Row& row : rows) EXPECT_EQ(compute(row.before), row.computed) << row.why;
}

TEST(VotersTest, InitialVotersAreTheLowestIds) {
  const auto voters = [](std::vector<Incarnation> founders, uint32_t replica_count) {
    std::string text;
    for (const Incarnation id : initial_voters(std::move(founders), replica_count)) {
      text += std::to_string(id.value) + " ";
    }
    return text;
  };
  EXPECT_EQ(voters({Incarnation{9}}, 3), "9 ");
  EXPECT_EQ(voters({Incarnation{9}, Incarnation{4}}, 3), "4 9 ");
  EXPECT_EQ(voters({Incarnation{9}, Incarnation{4}, Incarnation{5}}, 3), "4 5 9 ");
  EXPECT_EQ(voters({Incarnation{9}, Incarnation{4}, Incarnation{5}, Incarnation{1}}, 3), "1 4 5 ");
  EXPECT_EQ(voters({Incarnation{9}, Incarnation{4}, Incarnation{5}, Incarnation{1}}, 5), "1 4 5 ");
}

// Servers die and come back: each step keeps a majority of answering voters. Once all servers that
// are left answer, the changes come to rest with as many voters as are wanted.
TEST(VotersTest, ComesToRestAndNeverLosesQuorum) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    VotersInput input;
    input.committed_in_term = true;
    input.replica_count = static_cast<uint32_t>(random.between(1, 7));
    const uint64_t n = random.between(1, 9);
    for (uint64_t id = 1; id <= n; ++id) {
      Server server;
      server.incarnation = Incarnation{id};
      server.voter = random.chance(0.5);
      server.learner = !server.voter && random.chance(0.5);
      server.answered = random.chance(0.8);
      server.caught_up = server.answered;
      server.steady = kSteady;
      server.zone = std::string(1, static_cast<char>('a' + random.below(3)));
      server.silent = server.answered ? 0s : 40s;
      server.leaving = random.chance(0.1);
      server.member = random.chance(0.9);
      input.servers.push_back(server);
    }
    const size_t leader = random.below(n);
    input.servers[leader].voter = true;
    input.servers[leader].learner = false;
    input.servers[leader].answered = input.servers[leader].caught_up = true;
    input.servers[leader].silent = 0s;
    input.leader = Incarnation{leader + 1};
    for (int step = 0;; ++step) {
      ASSERT_LT(step, 100) << "never comes to rest";
      const VotersAdvice advice = next_voter_step(input);
      if (!advice.change) break;
      Server* who = nullptr;
      for (Server& server : input.servers) {
        if (server.incarnation == advice.change->who) who = &server;
      }
      ASSERT_NE(who, nullptr);
      const bool voted = who->voter;
      switch (advice.change->kind) {
        case VoterStep::Kind::add_learner:
          ASSERT_FALSE(who->voter || who->learner);
          who->learner = true;
          break;
        case VoterStep::Kind::promote:
          ASSERT_TRUE(who->learner && who->answered);
          who->learner = false;
          who->voter = true;
          break;
        case VoterStep::Kind::demote:
          ASSERT_TRUE(who->voter && who->incarnation != input.leader);
          who->voter = false;
          who->learner = true;
          break;
        case VoterStep::Kind::remove:
          ASSERT_TRUE((who->voter || who->learner) && who->incarnation != input.leader);
          who->voter = who->learner = false;
          break;
        case VoterStep::Kind::transfer:
          ASSERT_TRUE(who->voter && who->answered);
          input.leader = who->incarnation;
          break;
      }
      if (advice.change->kind == VoterStep::Kind::transfer) continue;
      size_t voters = 0, answering = 0;
      for (const Server& server : input.servers) {
        voters += server.voter;
        answering += server.voter && server.answered;
      }
      const bool no_quorum_effect = advice.change->kind == VoterStep::Kind::add_learner ||
                                    (advice.change->kind == VoterStep::Kind::remove && !voted);
      if (!no_quorum_effect) {
        ASSERT_GT(2 * answering, voters);
      }
    }
    // At rest, with all servers alive and none leaving, there are as many voters as wanted.
    size_t nodes = 0, voters = 0;
    bool calm = true;
    std::map<std::string, size_t> in_zone;
    for (const Server& server : input.servers) {
      nodes += server.member && !server.leaving;
      voters += server.voter;
      in_zone[server.zone] += server.voter;
      calm = calm && server.answered && server.member && !server.leaving;
    }
    if (calm) {
      EXPECT_EQ(voters, voters_wanted(input.replica_count, nodes, false));
      // No exchange would spread them better.
      for (const Server& server : input.servers) {
        if (server.voter) continue;
        for (const auto& [zone, count] : in_zone) EXPECT_LT(count, in_zone[server.zone] + 2);
      }
    }
  }
}

}  // namespace
}  // namespace databridge::cluster
