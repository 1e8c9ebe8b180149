// A disk is put back to an older copy: a vote or an acknowledgement is forgotten.
#include <gtest/gtest.h>

#include "raft/log.h"
#include "raft/test_net.h"

namespace databridge::raft {
namespace {

using Kind = Message::Kind;
using Texts = std::vector<std::string>;

Message from_leader(Net& net, Kind kind, ServerId from, ServerId to) {
  Message m;
  m.kind = kind;
  m.from = from;
  m.to = to;
  m.term = net.raft(to).term();
  m.sent_at = net.now();
  return m;
}

// Server 1 leads term 2 with the vote of 2, and has appended x. Then 2 is put back and has
// forgotten its vote. So 3 also leads term 2, and y is committed.
struct LostVote {
  Net net{{1, 2, 3}};
  bool mute = true;

  LostVote() {
    net.elect(3);
    net.propose(3, "base");
    net.advance(50ms);
    const auto old = net.copy(2);
    net.cut(3);
    net.drop = [this](const Message& m) {
      return mute && m.from == 1 && m.to == 2 &&
             (m.kind == Kind::append || m.kind == Kind::heartbeat);
    };
    net.advance(150ms);
    net.elect(1);
    net.propose(1, "x");
    net.settle();
    net.put_back(2, old);
    net.heal();
    net.cut(1);
    mute = false;
    net.elect(3);
    net.propose(3, "y");
    net.settle();
  }
};

TEST(Loss, EntriesOfOneTermThatDifferAreNotTheSameAndTheUncommittedOnesAreCut) {
  LostVote lost;
  Net& net = lost.net;
  ASSERT_EQ(net.raft(1).term(), net.raft(3).term());
  ASSERT_EQ(net.raft(1).last(), net.raft(3).last());
  ASSERT_NE(net.raft(1).status().stable_hash, net.raft(3).status().stable_hash);
  net.heal();
  net.advance(2s);
  net.propose(net.leader(), "z");
  net.advance(1s);
  for (const ServerId id : {1u, 2u, 3u}) {
    EXPECT_EQ(net.commands(id), (Texts{"base", "y", "z"})) << "server " << id;
    EXPECT_EQ(net.raft(id).status().stable_hash, net.raft(1).status().stable_hash);
  }
}

TEST(Loss, ACandidateWhoseLogContradictsWhatIsCommittedGetsNoVote) {
  LostVote lost;
  Net& net = lost.net;
  net.advance(30ms);  // Server 2 learns that y is committed.
  net.cut(3);
  net.crash(3);
  net.heal();
  net.advance(1s);
  EXPECT_NE(net.leader(), 1u) << "its log is as long, but not the same";
  EXPECT_EQ(net.commands(2), (Texts{"base", "y"}));
}

TEST(Loss, WhatIsCommittedIsNeverCutTheServerTakesPartNoMore) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "base");
  net.advance(50ms);
  const auto old = net.copy(2);
  net.cut(3);
  net.propose(1, "acknowledged");
  net.advance(50ms);
  ASSERT_EQ(net.commands(1), (Texts{"base", "acknowledged"}));
  net.cut(1);
  net.put_back(2, old);  // Only server 1 knows it now, and it is cut off.
  net.heal();
  net.cut(1);
  net.advance(1s);
  ASSERT_NE(net.leader(), 0u);
  const ServerId leader = net.raft(2).role() == Role::leader ? 2 : 3;
  net.propose(leader, "other");
  net.advance(50ms);
  EXPECT_EQ(net.raft(1).status().diverged, "");
  net.heal();
  net.advance(2s);
  net.propose(leader, "more");
  net.advance(1s);
  const Status status = net.raft(1).status();
  EXPECT_NE(status.diverged.find("differs from what server"), std::string::npos) << status.diverged;
  EXPECT_NE(status.role, Role::leader);
  EXPECT_EQ(net.commands(1), (Texts{"base", "acknowledged"}));
  EXPECT_EQ(net.commands(leader), (Texts{"base", "other", "more"}));
  EXPECT_EQ(net.raft(leader).status().diverged, "");
  // Its vote cannot elect a leader.
  const ServerId third = leader == 2 ? 3 : 2;
  net.crash(leader);
  net.advance(2s);
  EXPECT_NE(net.raft(third).role(), Role::leader);
  EXPECT_NE(net.raft(1).role(), Role::leader);
}

TEST(Loss, ASnapshotThatContradictsWhatIsCommittedIsNotTaken) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.advance(50ms);
  Message chunk = from_leader(net, Kind::snapshot_chunk, 1, 2);
  const Status status = net.raft(2).status();
  chunk.index = status.commit;
  chunk.log_term = status.stable_term;
  chunk.hash = status.stable_hash;
  net.raft(2).step(chunk, net.now());
  EXPECT_EQ(net.raft(2).status().diverged, "");
  chunk.hash ^= 1;
  net.raft(2).step(chunk, net.now());
  EXPECT_NE(net.raft(2).status().diverged, "");
}

TEST(Loss, ALeaderAndAFollowerTakeNothingOfASecondLeaderOfTheirTermAndSaySo) {
  Net net({1, 2, 3}, [](Options& o) { o.longer_log_wait = 1s; });
  net.elect(1);
  net.propose(1, "a");
  net.advance(50ms);
  for (const ServerId id : {1u, 2u}) {
    const Status before = net.raft(id).status();
    Message append = from_leader(net, Kind::append, 3, id);
    append.index = before.last;
    append.log_term = before.stable_term;
    append.hash = before.stable_hash;
    append.entries = {{before.term, before.last + 1, Entry::Kind::command, Payload(Bytes("b"))}};
    append.commit = before.last + 1;
    net.raft(id).step(append, net.now());
    const Status after = net.raft(id).status();
    EXPECT_EQ(
        after.diverged,
        "term 1 has two leaders, server 1 and server 3: a voter has forgotten its vote; was a "
        "data directory put back?");
    EXPECT_EQ(after.last, before.last);
    EXPECT_EQ(after.leader, 1u);
    EXPECT_EQ(after.role, before.role);
  }
  // Both continue. Once no second leader was heard for long, all is well again, with or without
  // writes.
  net.propose(1, "c");
  net.advance(50ms);
  EXPECT_EQ(net.commands(2), (Texts{"a", "c"}));
  EXPECT_NE(net.raft(2).status().diverged, "");
  net.advance(1s);
  for (const ServerId id : {1u, 2u}) EXPECT_EQ(net.raft(id).status().diverged, "");
}

// Leader `a` restarts with an entry that only it and `b` had; `b` is put back; `c` comes back.
void expect_kept(ServerId a, ServerId b, ServerId c) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Net net({1, 2, 3}, [&](Options& o) { o.seed = seed; });
    net.greets = true;
    net.elect(a);
    net.propose(a, "base");
    net.advance(50ms);
    const auto old = net.copy(b);
    net.cut(c);
    net.propose(a, "acknowledged");
    net.advance(50ms);
    ASSERT_EQ(net.commands(a).size(), 2u);
    net.crash(a);
    net.crash(c);
    net.heal();
    net.put_back(b, old);
    net.start(c);
    net.start(a);
    net.advance(2s);
    ASSERT_EQ(net.leader(), a) << "seed " << seed;
    EXPECT_EQ(net.commands(a), (Texts{"base", "acknowledged"}));
  }
}

TEST(Loss, NobodyIsElectedPastALinkedVoterWithALongerLog) {
  expect_kept(1, 2, 3);
  expect_kept(2, 1, 3);
  expect_kept(3, 1, 2);
}

TEST(Loss, ALongerLogHoldsUpAnElectionOnlyWhileItsServerIsLinkedAndOnlyForAWhile) {
  Net net({1, 2, 3}, [](Options& o) { o.longer_log_wait = 1s; });
  net.elect(1);
  net.advance(50ms);
  net.cut(1);
  net.raft(2).peer_log(1, {9, 9});
  net.raft(3).peer_log(1, {9, 9});
  net.advance(900ms);
  EXPECT_EQ(net.raft(2).role(), Role::follower);
  EXPECT_EQ(net.raft(3).role(), Role::follower);
  net.advance(600ms);
  const ServerId next = net.raft(2).role() == Role::leader ? 2 : 3;
  EXPECT_EQ(net.raft(next).role(), Role::leader);

  net.advance(50ms);
  const ServerId last = next == 2 ? 3 : 2;
  net.cut(next);
  net.heal();
  net.cut(next);
  net.raft(last).peer_gone(1);
  net.raft(last).peer_log(next, {9, 9});
  net.raft(1).peer_log(next, {9, 9});
  net.advance(300ms);
  EXPECT_NE(net.raft(last).role(), Role::leader);
  net.raft(last).peer_gone(next);
  net.raft(1).peer_gone(next);
  net.advance(400ms);
  EXPECT_TRUE(net.raft(last).role() == Role::leader || net.raft(1).role() == Role::leader);
}

TEST(Loss, AnAbsurdTermIsRefusedAndNoted) {
  Net net({1, 2, 3});
  net.elect(1);
  const Term term = net.raft(1).term();
  for (const Kind kind : {Kind::heartbeat, Kind::vote, Kind::pre_vote, Kind::append_reply}) {
    Message m = from_leader(net, kind, 9, 1);
    m.term = Term{1} << 61;
    m.transfer = true;
    net.raft(1).step(m, net.now());
  }
  EXPECT_EQ(net.raft(1).role(), Role::leader);
  EXPECT_EQ(net.raft(1).term(), term);
  EXPECT_EQ(net.raft(1).status().leaps_refused, 4u);
  EXPECT_EQ(net.raft(1).status().leap_from, 9u);
  EXPECT_EQ(net.raft(1).status().leap_term, Term{1} << 61);
  Message m = from_leader(net, Kind::heartbeat, 2, 1);
  m.term = term + 1000;
  net.raft(1).step(m, net.now());
  EXPECT_EQ(net.raft(1).term(), term + 1000);
}

TEST(Loss, AServerThatIsNewTakesAnyTerm) {
  Net net({1, 2, 3});
  Message m = from_leader(net, Kind::heartbeat, 2, 1);
  m.term = 1'000'000;
  net.raft(1).step(m, net.now());
  EXPECT_EQ(net.raft(1).term(), 1'000'000u);
}

// One voter was away during more than a thousand elections, and another one loses its disk.
TEST(Loss, WhoWasAwayForLongComesBackByTheTermInAGreeting) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(50ms);
  const auto old = net.copy(2);
  net.crash(2);
  net.crash(3);
  net.crash(1);
  net[1].hard.term = 1200;
  net.start(1);
  net.put_back(2, old);
  net.advance(2s);
  EXPECT_EQ(net.leader(), 0u) << "nobody has named the term in a greeting";
  EXPECT_GT(net.raft(2).status().leaps_refused, 0u);
  net.greets = true;
  net.greet(2);
  net.advance(2s);
  EXPECT_NE(net.leader(), 0u);
}

// Three servers: the entry `acknowledged` is on 1 and 2. Then 2 is put back, while 1 goes on
// leading.
struct PutBack {
  Net net{{1, 2, 3}};
  PutBack() {
    net.elect(1);
    net.propose(1, "base");
    net.advance(50ms);
    const auto old = net.copy(2);
    net.cut(3);
    net.propose(1, "acknowledged");
    net.advance(50ms);
    net.put_back(2, old);
  }
};

TEST(Loss, AnOlderCopyIsToldByTheLeaderThatKnowsAndCountsNowhere) {
  PutBack back;
  Net& net = back.net;
  const Index commit = net.raft(1).commit();
  net.advance(30ms);  // No append is needed: heartbeats name the acknowledged entry.
  EXPECT_EQ(
      net.raft(2).status().older_copy,
      "its log ends at 2, and it had acknowledged 3 to server 1 in term 1: its data directory "
      "is an older copy");
  const Status leader = net.raft(1).status();
  EXPECT_EQ(leader.peers[0].id, 2u);
  EXPECT_EQ(leader.peers[0].older_copy, "it says that its data directory is an older copy");
  EXPECT_EQ(leader.peers[0].match, 0u);
  EXPECT_EQ(leader.peers[1].older_copy, "");

  net.propose(1, "lonely");
  net.advance(50ms);
  EXPECT_EQ(net.raft(1).commit(), commit) << "what it acknowledges commits nothing";
  net.advance(200ms);
  EXPECT_NE(net.raft(1).role(), Role::leader) << "no quorum answers";
  net.heal();
  net.advance(1s);
  EXPECT_EQ(net.leader(), 1u);
  EXPECT_EQ(net.commands(3), (Texts{"base", "acknowledged", "lonely"}));
  EXPECT_NE(net.raft(2).status().older_copy, "");
}

TEST(Loss, AnOlderCopyElectsNobodyAndIsNotElected) {
  PutBack back;
  Net& net = back.net;
  net.advance(30ms);
  net.crash(1);
  net.heal();
  net.advance(2s);
  EXPECT_EQ(net.leader(), 0u);
  net.start(1);
  net.advance(1s);
  EXPECT_EQ(net.leader(), 1u);
  EXPECT_EQ(net.commands(3), (Texts{"base", "acknowledged"}));
  // It counts in the size of the quorum until it is removed.
  ASSERT_TRUE(net.raft(1).propose_configuration({Change::Kind::remove, 2}, net.now()));
  net.advance(200ms);
  EXPECT_EQ(net.raft(1).configuration().voters, (std::vector<ServerId>{1, 3}));
  EXPECT_EQ(net.raft(3).commit(), net.raft(1).commit());
}

// The follower does not know its loss. A refusal after its acknowledgement shows the loss.
TEST(Loss, ALeaderNoticesARefusalOfWhatWasAcknowledgedButNotALateOne) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.advance(5ms);
  Message refusal = from_leader(net, Kind::append_reply, 2, 1);
  refusal.reject = true;
  refusal.index = 2;
  refusal.hint = 1;
  refusal.hint_term = 1;
  refusal.sent_at = net.now() - 5ms;  // From before the acknowledgement.
  net.raft(1).step(refusal, net.now());
  EXPECT_EQ(net.raft(1).status().peers[0].older_copy, "");
  refusal.sent_at = net.now();
  net.raft(1).step(refusal, net.now());
  EXPECT_EQ(net.raft(1).status().peers[0].older_copy,
            "it had acknowledged 2 in term 1, and its log matches only up to 1: its data directory "
            "is an older copy");
  EXPECT_EQ(net.raft(1).status().peers[0].contact, Instant::min());
}

TEST(Loss, WhoIsKnownToBeAnOlderCopyByOthersCountsNowhereEither) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  net.raft(1).peer_is_older_copy(2, "its boot went back");
  net.raft(1).peer_is_older_copy(7, "no member");
  net.cut(3);
  net.propose(1, "a");
  net.advance(50ms);
  EXPECT_TRUE(net.commands(1).empty());
  net.raft(3).is_older_copy("so it is marked");
  net.heal();
  net.advance(1s);
  EXPECT_EQ(net.leader(), 0u);
  EXPECT_EQ(net.raft(3).status().older_copy, "so it is marked");
}

TEST(Loss, TheHashOutlivesCompactionInstallationAndRestart) {
  Net net({1, 2, 3});
  net.elect(1);
  net.cut(3);
  for (int i = 0; i < 20; ++i) net.propose(1, "c" + std::to_string(i));
  net.advance(50ms);
  ASSERT_TRUE(net.raft(1).compact(15, 18, Pieces(Bytes("state"))));
  net.advance(20ms);
  net.heal();
  net.advance(500ms);
  ASSERT_EQ(net[3].snapshot.index, 18u);
  net.crash(2);
  net.crash(3);
  net.start(2);
  net.start(3);
  net.advance(500ms);
  const ChainHash hash = net.raft(1).status().stable_hash;
  EXPECT_NE(hash, 0u);
  EXPECT_EQ(net.raft(2).status().stable_hash, hash);
  EXPECT_EQ(net.raft(3).status().stable_hash, hash);
}

TEST(Loss, WhatIsNotKnownContradictsNothing) {
  const Entry next{1, 8, Entry::Kind::command, Payload(Bytes("a"))};
  Log unknown({1, 7}, 0, {next});
  Log known({1, 7}, 77, {next});
  EXPECT_EQ(unknown.last_hash(), 0u);
  EXPECT_NE(known.last_hash(), 0u);
  EXPECT_TRUE(unknown.matches({1, 8}, known.last_hash()));
  EXPECT_TRUE(known.matches({1, 8}, 0));
  EXPECT_FALSE(known.matches({1, 8}, known.last_hash() + 1));
  EXPECT_FALSE(known.matches({2, 8}, 0));
}

TEST(Loss, TheHashTellsEveryPartOfAnEntryApart) {
  const Entry one{3, 5, Entry::Kind::command, Payload(Bytes("data"))};
  const ChainHash hash = chained(9, one);
  for (int part = 0; part < 4; ++part) {
    Entry other = one;
    if (part == 0) other.term = 4;
    if (part == 1) other.index = 6;
    if (part == 2) other.kind = Entry::Kind::configuration;
    if (part == 3) other.data = Payload(Bytes("date"));
    EXPECT_NE(chained(9, other), hash) << part;
  }
  EXPECT_NE(chained(10, one), hash);
  EXPECT_EQ(chained(9, one), 15955571477816433489u)
      << "golden: it is on disks and compared between versions";
}

}  // namespace
}  // namespace databridge::raft
