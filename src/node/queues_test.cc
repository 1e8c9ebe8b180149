#include "node/queues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "node/host_part_test.h"

namespace databridge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kFlow =
    "processors:\n"
    "  - {name: gen, type: GenerateFlowFile}\n"
    "  - {name: also, type: GenerateFlowFile}\n"
    "  - {name: end, type: LogAttribute}\n"
    "connections:\n"
    "  - {from: gen, relationship: success, to: end, maxCount: 4}\n"
    "  - {from: also, relationship: success, to: end, maxCount: 4}\n";
constexpr const char* kWithoutAlso =
    "processors:\n"
    "  - {name: gen, type: GenerateFlowFile}\n"
    "  - {name: end, type: LogAttribute}\n"
    "connections:\n"
    "  - {from: gen, relationship: success, to: end, maxCount: 4}\n";

class QueuesTest : public HostPartTest {
 protected:
  QueuesTest() {
    tell(put_flow(kFlow));
    for (const char* name : {"gen", "also", "end"}) tell(assign(name, kSelf));
  }

  void tell(const Touched& touched) {
    const auto gone = [this](const Uuid& id, const std::optional<ProcessorId>& reader) {
      dropped.emplace_back(id, reader);
    };
    changed = queues.applied(state, touched, gone);
    for (const ProcessorId& each : touched.assignments) queues.reroute(each);
    if (!touched.members.empty()) queues.members_changed(gone);
    settle();
  }
  void settle() {
    while (queues.settle()) {
    }
  }
  void put_out(size_t at, uint64_t count) {
    for (; count > 0; --count) {
      queues.append(connection(at), epoch("gen"), ++sequence, 0, std::make_shared<FlowFile>());
    }
    queues.appended(connection(at));
    settle();
  }
  size_t take(size_t turn, size_t most) {
    size_t taken = 0;
    for (const auto& input : queues.take(id("end"), turn, most, 1 << 20)) {
      by_connection[input.connection].push_back(input.arrival);
      ++taken;
    }
    return taken;
  }

  std::set<ProcessorId> woken;
  std::set<ProcessorId> changed;
  std::vector<std::pair<Uuid, std::optional<ProcessorId>>> dropped;
  std::map<Uuid, std::vector<uint64_t>> by_connection;
  uint64_t sequence = 0;
  HostWorld world{env, journal, *this};
  Queues queues{{kSelf, 0}, world, [this](const ProcessorId& one) { woken.insert(one); }};
};

TEST_F(QueuesTest, WhatIsPutOutCanBeTakenOnceItIsOnTheDisk) {
  put_out(0, 3);
  EXPECT_FALSE(queues.has_input(id("end")));
  woken.clear();
  sync();
  settle();
  EXPECT_TRUE(queues.has_input(id("end")));
  EXPECT_TRUE(woken.contains(id("end")));
  EXPECT_EQ(take(0, 10), 3u);
  EXPECT_FALSE(queues.has_input(id("end"))) << "they are with a trigger";
}

TEST_F(QueuesTest, EachInputGetsItsShareAndAnotherOneGoesFirstEachTime) {
  put_out(0, 4);
  put_out(1, 4);
  sync();
  settle();
  EXPECT_EQ(take(0, 1), 1u);
  EXPECT_EQ(take(1, 1), 1u);
  EXPECT_EQ(by_connection[connection(0)].size(), 1u);
  EXPECT_EQ(by_connection[connection(1)].size(), 1u);
  EXPECT_EQ(take(0, 4), 4u);
  EXPECT_EQ(by_connection[connection(0)].size(), 3u);
  EXPECT_EQ(by_connection[connection(1)].size(), 3u);
}

TEST_F(QueuesTest, AFullOutputHoldsItsSourceUntilSomethingIsConsumed) {
  put_out(0, 4);
  EXPECT_FALSE(queues.has_room(id("gen")));
  EXPECT_TRUE(queues.has_room(id("also")));
  EXPECT_EQ(queues.room(id("gen")), 0u);
  sync();
  settle();
  take(0, 8);
  EXPECT_FALSE(queues.has_room(id("gen"))) << "taken is not consumed";
  woken.clear();
  queues.consume(connection(0), by_connection[connection(0)]);
  settle();
  EXPECT_EQ(queues.room(id("gen")), 4u);
  EXPECT_TRUE(woken.contains(id("gen")));
}

TEST_F(QueuesTest, WhatIsPutBackIsTakenAgain) {
  put_out(0, 2);
  sync();
  settle();
  EXPECT_EQ(take(0, 4), 2u);
  queues.put_back(connection(0), by_connection[connection(0)]);
  EXPECT_EQ(take(0, 4), 2u);
}

TEST_F(QueuesTest, ADeletedConnectionIsNamedWithItsReaderAndItsEndsAreLookedAtAgain) {
  put_out(1, 2);
  sync();
  const Uuid gone = connection(1);
  tell(put_flow(kWithoutAlso));
  EXPECT_THAT(dropped, ElementsAre(std::make_pair(gone, std::optional(id("end")))));
  EXPECT_TRUE(changed.contains(id("also")) && changed.contains(id("end")));
  EXPECT_EQ(queues.depth(), 0u);
  EXPECT_FALSE(queues.may_append(gone));
}

// The connection was deleted while its entries were on their way to the disk. Nothing may use them
// when they are durable.
TEST_F(QueuesTest, AConnectionMayBeDeletedWhileTheDiskIsAtWork) {
  put_out(1, 2);
  journal.submit(clock.now());
  tell(put_flow(kWithoutAlso));
  sync();
  settle();
  EXPECT_FALSE(queues.has_input(id("end")));
}

TEST_F(QueuesTest, ADeliveryIsAnsweredOnceItIsOnTheDisk) {
  Parcel parcel{epoch("gen"), 1, std::make_shared<FlowFile>()};
  queues.receive(kOther,
                 {connection(0), id("gen"), epoch("gen"), epoch("end"), {std::move(parcel)}});
  settle();
  EXPECT_THAT(sent, IsEmpty());
  sync();
  settle();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].first, kOther);
  const auto& ack = std::get<DeliveryAck>(sent[0].second);
  EXPECT_EQ(ack.result, DeliveryResult::accepted);
  EXPECT_THAT(ack.safe, ElementsAre(1u));
  EXPECT_TRUE(queues.has_input(id("end")));
}

TEST_F(QueuesTest, WhatWaitsGoesToWhereItsDestinationHasMoved) {
  put_out(0, 2);
  sync();
  settle();
  tell(apply(Release{id("end"), epoch("end"), "moved"}));
  tell(assign("end", kOther));
  sync();
  settle();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].first, kOther);
  EXPECT_EQ(std::get<Delivery>(sent[0].second).parcels.size(), 2u);
  EXPECT_FALSE(queues.has_input(id("end")));
}

TEST_F(QueuesTest, ANextStartFindsWhatWasOnTheDisk) {
  put_out(0, 3);
  sync();
  put_out(1, 1);  // The machine ends before this is written.
  store.crash();
  Journal next_journal(store);
  Queues next({kSelf, 0}, HostWorld{env, next_journal, *this}, [](const ProcessorId&) {});
  ASSERT_TRUE(next.restore());
  EXPECT_EQ(next.depth(), 3u);
}

// The journal may outlive the host: a node that leaves its cluster makes a new host.
TEST_F(QueuesTest, NothingComesBackToAHostThatIsGone) {
  put_out(0, 1);
  *world.alive = false;
  woken.clear();
  sync();
  EXPECT_THAT(woken, IsEmpty());
  EXPECT_FALSE(queues.settle());
}

}  // namespace
}  // namespace databridge::node
