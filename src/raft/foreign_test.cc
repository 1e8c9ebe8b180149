// An outside message may be anything that decodes. It may cost leadership, but never the process.
#include <gtest/gtest.h>

#include "base/random.h"
#include "raft/test_net.h"

namespace databridge::raft {
namespace {

Message anything(Random& random, Term about, Index near, Instant now) {
  Message m;
  m.kind = static_cast<Message::Kind>(random.between(1, 11));
  m.from = random.between(1, 5);
  m.to = random.between(1, 2);
  m.term = random.chance(0.02) ? random.next() : random.below(about + 3);
  m.index = random.chance(0.05) ? random.next() : random.below(near + 3);
  m.log_term = random.below(about + 2);
  m.commit = random.below(near + 5);
  m.reject = random.chance(0.3);
  m.leader_lost = random.chance(0.3);
  m.transfer = random.chance(0.3);
  m.removed = random.chance(0.05);
  m.hint = random.chance(0.1) ? random.next() : random.below(near + 3);
  m.hint_term = random.below(about + 2);
  m.sent_at = random.chance(0.5) ? now : Instant(Duration(static_cast<int64_t>(random.next())));
  m.round = random.chance(0.1) ? random.next() : random.below(20);
  m.offset = random.below(4);
  m.total = random.below(6);
  m.chunk = Payload(Bytes(random.below(4), 's'));
  if (random.chance(0.5)) m.configuration = {{1, 2, 3}, {}};
  Term term = m.log_term;
  for (uint64_t i = random.below(4); i > 0; --i) {
    term += random.below(2);
    Entry e{term, m.index + m.entries.size() + 1, Entry::Kind::command, {}};
    if (random.chance(0.1)) {
      e.kind = Entry::Kind::configuration;
      e.data = Payload(random.chance(0.5) ? encode_configuration({{1, 2}, {3}}) : Bytes("junk"));
    }
    m.entries.push_back(e);
  }
  return m;
}

TEST(Foreign, NonsenseNeverStopsAServer) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    Net net({1, 2, 3}, [&](Options& o) { o.seed = seed; });
    net.elect(1);
    for (int i = 0; i < 300; ++i) {
      const ServerId to = random.between(1, 2);
      Raft& raft = net.raft(to);
      Message m = anything(random, raft.term(), raft.last_index(), net.now());
      m.to = to;
      raft.step(m, net.now());
      if (random.chance(0.1)) (void)net.raft(1).propose(Payload(Bytes("a")), net.now());
      if (random.chance(0.05)) net.advance(Duration(random.below(200) * 1000000));
      net.work();
      net.under_way().clear();
    }
  }
}

TEST(Foreign, AFollowerCannotMakeContactOutOfTheFutureNorConfirmARoundThatWasNot) {
  Net net({1, 2, 3});
  net.elect(1);
  net.cut(2);
  net.cut(3);
  Message m;
  m.kind = Message::Kind::heartbeat_reply;
  m.from = 2;
  m.to = 1;
  m.term = net.raft(1).term();
  m.sent_at = net.now() + 1h;
  m.round = 1000;
  net.raft(1).step(m, net.now());
  EXPECT_LE(net.raft(1).quorum_contact(net.now()), net.now());
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.work();
  EXPECT_TRUE(net[1].reads.empty());
}

}  // namespace
}  // namespace databridge::raft
