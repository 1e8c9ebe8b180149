// Replication: which entries may be acknowledged and committed, and the effect of lost and late
// messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/test_net.h"

namespace databridge::raft {
namespace {

using Kind = Message::Kind;
using ::testing::ElementsAre;

Entry command(Term term, Index index, const std::string& text) {
  return {term, index, Entry::Kind::command, Payload(text)};
}

Message append(Term term, Position before, std::vector<Entry> entries, Index commit) {
  Message m;
  m.kind = Kind::append;
  m.from = 1;
  m.to = 2;
  m.term = term;
  m.index = before.index;
  m.log_term = before.term;
  m.entries = std::move(entries);
  m.commit = commit;
  return m;
}

// The newest answer that server 2 has sent or is about to send to server 1.
Message answer(Net& net) {
  net.work();
  for (auto m = net.under_way().rbegin(); m != net.under_way().rend(); ++m) {
    if (m->from == 2 && m->to == 1) return *m;
  }
  return {};
}

// A follower (server 2) with the tail of a deposed leader: X X X of term 2 after entry 1.
Net with_tail() {
  Net net({1, 2, 3});
  net.crash(2);
  net[2].hard = {2, 0, 1};
  net[2].log = {command(1, 1, "a"), command(2, 2, "x"), command(2, 3, "x"), command(2, 4, "x")};
  net.start(2);
  return net;
}

// libraft 2.2, cowsql 66ed6afd: they acknowledged up to the log's end, with an old leader's tail.
TEST(Replication, AnUnverifiedTailIsNotAcknowledged) {
  Net net = with_tail();
  net.raft(2).step(append(4, {1, 1}, {}, 1), net.now());
  EXPECT_EQ(answer(net).kind, Kind::append_reply);
  EXPECT_FALSE(answer(net).reject);
  EXPECT_EQ(answer(net).index, 1u);
}

TEST(Replication, ATailThatBecomesDurableUnderTheNextLeaderIsNotAcknowledgedToIt) {
  Net net({1, 2, 3});
  net.hold_disk(2);
  net.raft(2).step(append(2, {0, 0}, {command(2, 1, "x"), command(2, 2, "x")}, 0), net.now());
  net.work();
  Message beat = append(3, {0, 0}, {}, 0);
  beat.kind = Kind::heartbeat;
  beat.from = 3;
  net.raft(2).step(beat, net.now());
  net.work();
  std::vector<Message> sent;
  net.watch = [&](const Message& m) { sent.push_back(m); };
  net.release_disk(2);
  for (const Message& m : sent) EXPECT_NE(m.kind, Kind::append_reply);
}

// cowsql 000eacf2.
TEST(Replication, AFollowersCommitIsCappedAtWhatTheAppendVerified) {
  Net net = with_tail();
  net.raft(2).step(append(4, {1, 1}, {}, 4), net.now());
  EXPECT_EQ(net.raft(2).commit(), 1u);
  net.raft(2).step(append(4, {1, 1}, {command(3, 2, "b")}, 4), net.now());
  EXPECT_EQ(net.raft(2).commit(), 2u);
}

TEST(Replication, AHeartbeatCommitsOnlyWhatTheFollowerIsKnownToHold) {
  Net net({1, 2, 3});
  net.elect(1);
  net.drop = [](const Message& m) { return m.kind == Kind::append && m.to == 2; };
  net.propose(1, "a");
  net.settle();
  std::vector<Message> beats;
  net.watch = [&](const Message& m) {
    if (m.kind == Kind::heartbeat && m.to == 2) beats.push_back(m);
  };
  net.advance(50ms);
  ASSERT_FALSE(beats.empty());
  EXPECT_EQ(net.raft(1).commit(), 2u);
  for (const Message& beat : beats) EXPECT_EQ(beat.commit, 1u);
}

TEST(Replication, OnlyWhatIsDurableIsAcknowledged) {
  Net net({1, 2, 3});
  net.elect(1);
  net.hold_disk(2);
  net.hold_disk(3);
  net.propose(1, "a");
  net.settle();
  EXPECT_EQ(net.raft(1).commit(), 1u);
  net.release_disk(3);
  net.settle();
  EXPECT_EQ(net.raft(1).commit(), 2u);
}

TEST(Replication, TheLeadersOwnDiskCountsOnlyWhenItHasWritten) {
  Net net({1, 2, 3});
  net.elect(1);
  net.cut(3);
  net.hold_disk(1);
  net.propose(1, "a");
  net.settle();
  // It was sent before the leader's own sync, and is durable there.
  EXPECT_EQ(net[2].log.size(), 2u);
  EXPECT_EQ(net.raft(1).commit(), 1u);
  net.release_disk(1);
  EXPECT_EQ(net.raft(1).commit(), 2u);
}

TEST(Replication, ALeaderMayCommitWithoutItsDiskButAppliesOnlyWhatIsOnIt) {
  Net net({1, 2, 3});
  net.elect(1);
  net.hold_disk(1);
  net.propose(1, "a");
  net.settle();
  EXPECT_EQ(net.raft(1).commit(), 2u);
  EXPECT_TRUE(net.commands(1).empty());
  net.release_disk(1);
  EXPECT_THAT(net.commands(1), ElementsAre("a"));
}

// libraft 1996d32: a follower that always lags a little must not starve the commit.
TEST(Replication, APartOfTheLogIsCommittedWhenAMajorityHasThatPart) {
  Net net({1, 2, 3});
  net.elect(1);
  net.cut(3);
  net.propose(1, "a");
  net.work();
  net.hold_disk(2);
  net.propose(1, "b");
  net.settle();
  EXPECT_EQ(net.raft(1).commit(), 1u);
  // Server 2's first write is durable, the second is not.
  auto& s = net[2];
  ASSERT_GE(s.writes.size(), 2u);
  s.raft->persisted(s.writes.front().number, net.now());
  net.settle();
  EXPECT_EQ(net.raft(1).last_index(), 3u);
  EXPECT_EQ(net.raft(1).commit(), 2u);
}

// A-B-A: entries are written, truncated and written again. The first write's success says nothing
// about the third write.
TEST(Replication, ALateWriteDoesNotVouchForWhatWasTruncatedSince) {
  Net net({1, 2, 3});
  net.hold_disk(2);
  const std::vector<Entry> old{command(2, 1, "x"), command(2, 2, "x")};
  net.raft(2).step(append(2, {0, 0}, old, 0), net.now());
  net.work();
  const uint64_t first = net[2].writes.back().number;
  Message other = append(3, {0, 0}, {command(3, 1, "y")}, 0);
  other.from = 3;
  net.raft(2).step(other, net.now());
  net.work();
  net.raft(2).step(append(4, {0, 0}, old, 0), net.now());
  net.work();
  net.raft(2).persisted(first, net.now());  // The disk is about to erase these entries again.
  EXPECT_EQ(net.raft(2).status().stable, 0u);
  EXPECT_NE(answer(net).kind, Kind::append_reply);
  net.release_disk(2);
  EXPECT_EQ(net.raft(2).status().stable, 2u);
}

// libraft PR #367, #342, #340.
TEST(Replication, LateAnswersOfAnOldTermDoNotCountForTheNewOne) {
  Net net({1, 2, 3});
  net.elect(1);
  const Term old = net.raft(1).term();
  net.elect(2);
  net.drop = [](const Message& m) { return m.from == 1; };
  net.raft(1).tick(net.now());
  net.cut(2);
  net.drop = nullptr;
  net.advance(10ms);
  net.cut(2);
  net.elect(1);
  net.drop = [](const Message& m) { return m.kind == Kind::append_reply; };
  net.propose(1, "a");
  net.settle();
  const Index before = net.raft(1).commit();
  Message late;
  late.kind = Kind::append_reply;
  late.from = 3;
  late.to = 1;
  late.term = old;
  late.index = net.raft(1).last_index();
  net.raft(1).step(late, net.now());
  EXPECT_EQ(net.raft(1).commit(), before);
  late.term = net.raft(1).term();
  net.raft(1).step(late, net.now());
  EXPECT_EQ(net.raft(1).commit(), net.raft(1).last_index());
}

// libraft PR #423.
TEST(Replication, TheCommitIndexNeverGoesBack) {
  Net net({1, 2, 3});
  const Message whole =
      append(1, {0, 0}, {command(1, 1, "a"), command(1, 2, "b"), command(1, 3, "c")}, 3);
  net.raft(2).step(whole, net.now());
  ASSERT_EQ(net.raft(2).commit(), 3u);
  net.raft(2).step(append(1, {0, 0}, {command(1, 1, "a")}, 1), net.now());  // It came late.
  Message beat = append(1, {0, 0}, {}, 2);
  beat.kind = Kind::heartbeat;
  net.raft(2).step(beat, net.now());
  EXPECT_EQ(net.raft(2).commit(), 3u);
  EXPECT_EQ(net.raft(2).last_index(), 3u);
}

TEST(Replication, ALateAppendDoesNotCutEntriesThatCameAfterIt) {
  Net net({1, 2, 3});
  net.raft(2).step(append(1, {0, 0}, {command(1, 1, "a"), command(1, 2, "b")}, 0), net.now());
  net.raft(2).step(append(1, {0, 0}, {command(1, 1, "a")}, 0), net.now());
  EXPECT_EQ(net.raft(2).last_index(), 2u);
}

// libraft 2.3: an idle follower with a longer, conflicting tail stayed behind until the next
// command.
TEST(Replication, AnIdleFollowerWithATailConvergesWithoutNewCommands) {
  Net net({1, 2, 3});
  net.crash(2);
  net[2].hard = {2, 0, 0};
  for (Index i = 1; i <= 60; ++i) net[2].log.push_back(command(2, i, "x"));
  for (const ServerId id : {1u, 3u}) {
    net.crash(id);
    net[id].hard = {3, 0, 0};
    net[id].log = {command(3, 1, "a")};
    net.start(id);
  }
  net.start(2);
  net.elect(1);
  net.advance(30ms);
  EXPECT_THAT(net.commands(2), ElementsAre("a"));
  EXPECT_EQ(net.raft(2).last_index(), net.raft(1).last_index());
  EXPECT_EQ(net.raft(2).commit(), net.raft(1).commit());
}

TEST(Replication, LostAppendsAreSentAgain) {
  Net net({1, 2, 3});
  net.elect(1);
  int lost = 0;
  net.drop = [&](const Message& m) {
    return m.kind == Kind::append && m.to == 2 && !m.entries.empty() && lost++ < 3;
  };
  for (const char* text : {"a", "b", "c"}) {
    net.propose(1, text);
    net.work();
  }
  net.settle();
  EXPECT_TRUE(net.commands(2).empty());
  net.advance(50ms);
  EXPECT_THAT(net.commands(2), ElementsAre("a", "b", "c"));
}

TEST(Replication, ProposalsOfATurnShareOneAppendAndOneWrite) {
  Net net({1, 2, 3});
  net.elect(1);
  size_t appends = 0;
  net.watch = [&](const Message& m) { appends += m.kind == Kind::append && m.to == 2; };
  const size_t before = net[1].seen.size();
  for (int i = 0; i < 100; ++i) net.propose(1, "a");
  net.work();
  EXPECT_EQ(appends, 1u);
  EXPECT_EQ(net[1].seen[before].entries.size(), 100u);
  net.settle();
  EXPECT_EQ(net.commands(3).size(), 100u);
}

TEST(Replication, ThePipelineIsBounded) {
  Net net({1, 2, 3}, [](Options& o) { o.appends_in_flight_max = 4; });
  net.elect(1);
  net.cut(2);
  size_t appends = 0;
  net.watch = [&](const Message& m) { appends += m.kind == Kind::append && m.to == 2; };
  for (int i = 0; i < 20; ++i) {
    net.propose(1, "a");
    net.work();
  }
  EXPECT_EQ(appends, 4u);
}

TEST(Replication, AnAppendIsBoundedInEntriesAndBytes) {
  Net net({1, 2, 3}, [](Options& o) {
    o.append_entries_max = 3;
    o.append_bytes_max = 10;
  });
  net.elect(1);
  std::vector<size_t> sizes;
  net.watch = [&](const Message& m) {
    if (m.kind == Kind::append && m.to == 2) sizes.push_back(m.entries.size());
  };
  for (const char* text : {"a", "b", "c", "d", "0123456789abcdef", "e"}) net.propose(1, text);
  net.work();
  EXPECT_THAT(sizes, ElementsAre(3, 1, 1, 1));
}

TEST(Replication, PayloadsAreSharedNotCopied) {
  Net net({1, 2, 3});
  net.elect(1);
  const Payload payload(Bytes(1000, 'x'));
  ASSERT_TRUE(net.raft(1).propose(payload, net.now()));
  const Ready ready = net.raft(1).ready();
  ASSERT_EQ(ready.entries.size(), 1u);
  EXPECT_EQ(ready.entries[0].data.view().data(), payload.view().data());
  ASSERT_FALSE(ready.send_now.empty());
  EXPECT_EQ(ready.send_now[0].entries[0].data.view().data(), payload.view().data());
}

TEST(Replication, ProposalsAreRefusedWithoutLeadershipAndWithoutRoom) {
  Net net({1, 2, 3}, [](Options& o) { o.uncommitted_max = 2; });
  EXPECT_EQ(net.raft(1).propose({}, net.now()).error().code, Code::no_leader);
  net.elect(1);
  net.cut(1);
  EXPECT_TRUE(net.raft(1).propose({}, net.now()));
  EXPECT_TRUE(net.raft(1).propose({}, net.now()));
  EXPECT_EQ(net.raft(1).propose({}, net.now()).error().code, Code::unavailable);
}

TEST(Replication, MalformedMessagesChangeNothing) {
  Net net({1, 2, 3});
  Message gap = append(1, {0, 0}, {command(1, 2, "a")}, 0);
  Message future = append(1, {0, 0}, {command(2, 1, "a")}, 0);
  Message nobody = append(1, {0, 0}, {command(1, 1, "a")}, 0);
  nobody.from = 0;
  Message astray = append(1, {0, 0}, {command(1, 1, "a")}, 0);
  astray.to = 3;
  Message nonsense = append(1, {0, 0}, {command(1, 1, "a")}, 0);
  nonsense.entries[0].kind = Entry::Kind::configuration;
  for (const Message& m : {gap, future, nobody, astray, nonsense}) net.raft(2).step(m, net.now());
  EXPECT_EQ(net.raft(2).last_index(), 0u);
  EXPECT_EQ(net.raft(2).term(), 0u);
}

TEST(Replication, ARestartAppliesAgainWhatWasCommitted) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.settle();
  net.propose(1, "b");
  net.settle();
  net.crash(2);
  net.start(2);
  net.advance(20ms);
  EXPECT_THAT(net.commands(2), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace databridge::raft
