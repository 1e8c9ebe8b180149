// The public C++ interface, on real nodes in this process.
#include <databridge/cluster.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>

#include "base/mutex.h"
#include "platform/network.h"
#include "platform/testing.h"

namespace databridge {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

using platform::eventually;

// Free ports below the ephemeral range, so that no outgoing connection can use one of them.
std::vector<uint16_t> free_ports(size_t count) {
  std::set<uint16_t> found;
  while (found.size() < count) {
    const auto port = static_cast<uint16_t>(20'000 + Uuid::random().low % 12'000);
    if (platform::check_can_listen({"127.0.0.1", port})) found.insert(port);
  }
  return {found.begin(), found.end()};
}

ClusterConfig config_at(const std::string& directory, const std::vector<uint16_t>& ports,
                        size_t number) {
  ClusterConfig config;
  config.node_id = "node-" + std::to_string(number + 1);
  config.bind_port = ports[number];
  for (const uint16_t port : ports) {
    if (port != ports[number]) config.seed_nodes.push_back("127.0.0.1:" + std::to_string(port));
  }
  config.heartbeat_timeout = milliseconds(2000);
  config.election_timeout = milliseconds(6000);
  config.data_dir = directory + "/" + config.node_id;
  return config;
}

// Programs that embed the nodes of one cluster, and what they were told.
class Engines {
 public:
  Callbacks callbacks(const std::string& node) {
    Callbacks callbacks;
    callbacks.start = [this, node](const ProcessorStart& start) {
      const MutexLock lock(mutex_);
      if (!running_.empty()) overlaps_ = true;
      running_.insert(node);
      starts_.push_back(start);
    };
    callbacks.stop = [this, node](const Uuid& id, uint64_t epoch) {
      if (before_stop) before_stop(id, epoch);
      const MutexLock lock(mutex_);
      running_.erase(node);
    };
    callbacks.log = [](LogLevel, std::string_view) {};
    return callbacks;
  }
  std::vector<ProcessorStart> starts() const {
    const MutexLock lock(mutex_);
    return starts_;
  }
  std::set<std::string> running() const {
    const MutexLock lock(mutex_);
    return running_;
  }
  bool overlaps() const {
    const MutexLock lock(mutex_);
    return overlaps_;
  }
  std::function<void(const Uuid&, uint64_t)> before_stop;

 private:
  mutable Mutex mutex_;
  std::set<std::string> running_ GUARDED_BY(mutex_);
  std::vector<ProcessorStart> starts_ GUARDED_BY(mutex_);
  bool overlaps_ GUARDED_BY(mutex_) = false;
};

class Three : public testing::Test {
 protected:
  void SetUp() override {
    const auto ports = free_ports(3);
    for (size_t number = 0; number < 3; ++number) {
      const ClusterConfig config = config_at(at_.path(), ports, number);
      auto made = ClusterManager::create(config, engines_.callbacks(config.node_id));
      ASSERT_TRUE(made) << made.error().message;
      nodes_.push_back(std::move(*made));
    }
    std::vector<std::future<Result<void>>> starts;
    for (auto& node : nodes_) {
      starts.push_back(std::async(std::launch::async, [&node] { return node->start(); }));
    }
    for (auto& start : starts) {
      const auto started = start.get();
      ASSERT_TRUE(started) << started.error().message;
    }
  }
  ClusterManager& node(const std::string& id) {
    return **std::ranges::find_if(nodes_, [&](const auto& one) { return one->node_id() == id; });
  }

  platform::TemporaryDirectory at_;
  Engines engines_;
  std::vector<std::unique_ptr<ClusterManager>> nodes_;
};

TEST_F(Three, AnExternalProcessorMovesWithItsState) {
  const Uuid id = Uuid::random();
  const auto first = nodes_[0]->assign_processor(id, {{"path", "/a"}});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(nodes_[0]->processor_assignment(id), *first);
  ASSERT_TRUE(eventually([&] { return engines_.starts().size() == 1; }));
  const ProcessorStart start = engines_.starts()[0];
  EXPECT_EQ(start.id, id);
  EXPECT_EQ(start.type, "external");
  EXPECT_EQ(start.properties.at("path"), "/a");
  EXPECT_EQ(start.state, "");

  const auto saved = node(*first).save(id, start.epoch, "the state");
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(node(*first).save(id, start.epoch - 1, "x").error().code, Code::forbidden);
  EXPECT_EQ(node(*first).save(id, start.epoch, std::string(70'000, 'x')).error().code,
            Code::too_large);

  std::string to = "node-1";
  if (to == *first) to = "node-2";
  std::atomic<bool> may_stop = false, late_counts = false;
  engines_.before_stop = [&](const Uuid&, uint64_t epoch) {
    // It is released, so this is refused at once. A stop may wait for it.
    if (epoch == start.epoch && node(*first).save(id, epoch, "late")) late_counts = true;
    EXPECT_TRUE(eventually([&] { return may_stop.load(); }));
  };
  auto moved = std::async(std::launch::async, [&] { return nodes_[2]->move_processor(id, to); });
  // While the old owner has not stopped it, the new one does not start it.
  EXPECT_EQ(moved.wait_for(milliseconds(700)), std::future_status::timeout);
  EXPECT_THAT(engines_.starts(), SizeIs(1));
  may_stop = true;
  const auto done = moved.get();
  EXPECT_TRUE(done) << done.error().message;
  ASSERT_TRUE(eventually([&] { return engines_.starts().size() == 2; }));
  const ProcessorStart second = engines_.starts()[1];
  EXPECT_GT(second.epoch, start.epoch);
  EXPECT_EQ(second.state, "the state");
  EXPECT_FALSE(late_counts);
  EXPECT_EQ(second.properties.at("path"), "/a");
  EXPECT_FALSE(engines_.overlaps());
  EXPECT_THAT(engines_.running(), ElementsAre(to));
  EXPECT_EQ(node(*first).save(id, start.epoch, "x").error().code, Code::forbidden);
  ASSERT_TRUE(nodes_[0]->unassign_processor(id));
  EXPECT_FALSE(nodes_[0]->processor_assignment(id));
  EXPECT_TRUE(eventually([&] { return engines_.running().empty(); }));
}

TEST_F(Three, AStopMaySaveForTheLastTime) {
  const Uuid id = Uuid::random();
  const auto owner = nodes_[0]->assign_processor(id);
  ASSERT_TRUE(owner);
  ASSERT_TRUE(eventually([&] { return engines_.starts().size() == 1; }));
  Result<void> saved, refused;
  engines_.before_stop = [&](const Uuid& which, uint64_t epoch) {
    if (which != id || epoch != engines_.starts()[0].epoch) return;
    refused = node(*owner).put_config("a", "1");
    saved = node(*owner).save(which, epoch, "last");
  };
  // The callback looks at this test, so the nodes end first.
  const std::shared_ptr<void> end(nullptr, [&](void*) { nodes_.clear(); });
  const auto stopped = node(*owner).stop();
  ASSERT_TRUE(stopped) << stopped.error().message;
  // The leader may release it before that, since the node says that it ends. Then it is refused.
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("callback"));
  ASSERT_TRUE(eventually([&] { return engines_.starts().size() == 2; }));
  EXPECT_EQ(engines_.starts()[1].state, saved ? "last" : "");
  EXPECT_FALSE(engines_.overlaps());
  // It comes back on the same data.
  const auto again = node(*owner).start();
  EXPECT_TRUE(again) << again.error().message;
}

TEST_F(Three, EventsComeOnceAndInOrder) {
  Mutex mutex;
  std::vector<ClusterEvent> seen;
  auto subscription = nodes_[1]->subscribe({}, [&](const ClusterEvent& event) {
    EXPECT_FALSE(nodes_[1]->put_config("b", "2"));  // Not from a callback.
    const MutexLock lock(mutex);
    seen.push_back(event);
  });
  for (int number = 0; number < 5; ++number) {
    ASSERT_TRUE(nodes_[0]->put_config("key", std::to_string(number)));
  }
  const auto changes = [&] {
    const MutexLock lock(mutex);
    return std::ranges::count(seen, "config_changed", &ClusterEvent::type);
  };
  ASSERT_TRUE(eventually([&] { return changes() == 5; }));
  const EventId last = subscription.last();
  subscription = {};
  ASSERT_TRUE(nodes_[0]->put_config("key", "5"));
  std::atomic<int> later = 0;
  auto next = nodes_[2]->subscribe(last, [&](const ClusterEvent& event) {
    EXPECT_GT(event.id, last);
    ++later;
  });
  EXPECT_TRUE(eventually([&] { return later >= 1; }));
  EXPECT_EQ(changes(), 5);
  EXPECT_FALSE(next.failure());
  const MutexLock lock(mutex);
  EXPECT_TRUE(std::ranges::is_sorted(seen, {}, &ClusterEvent::id));
  EXPECT_EQ(std::ranges::adjacent_find(seen, {}, &ClusterEvent::id), seen.end());
}

TEST_F(Three, ConfigurationIsComparedAndSet) {
  ClusterManager& manager = *nodes_[0];
  ASSERT_TRUE(manager.put_config("a/b", R"({"x": 1})", 0));
  const auto entry = manager.config("a/b");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->json, R"({"x":1})");
  EXPECT_EQ(manager.put_config("a/b", "2", 0).error().code, Code::conflict);
  EXPECT_TRUE(manager.put_config("a/b", "2", entry->version));
  EXPECT_EQ(manager.put_config("a/b", "{").error().code, Code::invalid);
  EXPECT_TRUE(manager.delete_config("a/b"));
  EXPECT_FALSE(manager.config("a/b"));
}

TEST(ClusterManager, RefusesWhatCannotBe) {
  const auto why = [](const ClusterConfig& config) {
    const auto made = ClusterManager::create(config);
    return made ? "" : made.error().message;
  };
  ClusterConfig config;
  config.settings["cluster.rebalanceWindow"] = "soon";
  EXPECT_THAT(why(config), HasSubstr("cluster.rebalanceWindow"));
  config.settings = {{"cluster.nothing", "1"}};
  EXPECT_THAT(why(config), HasSubstr("no such key"));
  config.settings = {{"cluster.bindPort", "1"}};
  EXPECT_THAT(why(config), HasSubstr("ClusterConfig::bind_port"));
  config.settings = {{"node.guardian", "true"}};
  EXPECT_THAT(why(config), HasSubstr("daemon"));
  config.settings = {{"cluster.seeds", "127.0.0.1:1"}};
  EXPECT_THAT(why(config), HasSubstr("has a field"));
  config.settings.clear();
  config.seed_nodes = {"nowhere"};
  EXPECT_THAT(why(config), HasSubstr("seed_nodes"));
}

TEST(ClusterManager, ANodeAloneAndItsEnd) {
  const platform::TemporaryDirectory at;
  ClusterConfig config = config_at(at.path(), free_ports(1), 0);
  config.enabled = false;
  std::atomic<int> lines = 0;
  Callbacks callbacks;
  callbacks.log = [&](LogLevel, std::string_view) { ++lines; };
  auto manager = ClusterManager::create(config, callbacks).value();
  EXPECT_FALSE(manager->is_leader());
  EXPECT_EQ(manager->leader().error().code, Code::no_leader);
  EXPECT_EQ(manager->statistics().total_nodes, 0u);
  EXPECT_EQ(manager->put_config("a", "1").error().code, Code::unavailable);
  const auto started = manager->start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(manager->start().error().code, Code::conflict);
  EXPECT_TRUE(manager->is_leader());
  EXPECT_EQ(manager->node_id(), "node-1");
  EXPECT_GT(lines, 0);
  EXPECT_TRUE(manager->put_config("a", "1"));
  EXPECT_TRUE(manager->stop());
  EXPECT_TRUE(manager->stop());
  EXPECT_EQ(manager->put_config("a", "2").error().code, Code::unavailable);
  ASSERT_TRUE(manager->start());
  EXPECT_EQ(manager->config("a")->json, "1");
}

TEST(ClusterManager, SaysWhyItIsNoMember) {
  const platform::TemporaryDirectory at;
  ClusterConfig config = config_at(at.path(), free_ports(3), 0);
  config.start_timeout = milliseconds(300);
  Callbacks quiet;
  quiet.log = [](LogLevel, std::string_view) {};
  auto manager = ClusterManager::create(config, quiet).value();
  const auto started = manager->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::timed_out);
  EXPECT_THAT(started.error().message, HasSubstr("did not become a member in time: "));
}

TEST(ClusterManager, AStopEndsAStartThatWaits) {
  const platform::TemporaryDirectory at;
  ClusterConfig config = config_at(at.path(), free_ports(3), 0);
  config.start_timeout = std::chrono::minutes(5);
  std::promise<void> runs;
  std::atomic<bool> said = false;
  Callbacks callbacks;
  callbacks.log = [&](LogLevel, std::string_view line) {
    const bool serves = line.find("serves") != std::string_view::npos;
    if (serves && !said.exchange(true)) runs.set_value();
  };
  auto manager = ClusterManager::create(config, callbacks).value();
  auto start = std::async(std::launch::async, [&] { return manager->start(); });
  runs.get_future().get();
  EXPECT_TRUE(manager->stop());
  const auto started = start.get();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::unavailable);
  EXPECT_THAT(started.error().message, HasSubstr("stop() was called"));
}

class Restless final : public Processor {
 public:
  explicit Restless(std::function<void()> during) : during_(std::move(during)) {}
  Result<void> on_trigger(Session& session, World&) override {
    during_();
    session.wait(std::chrono::hours(1));
    return {};
  }

 private:
  const std::function<void()> during_;
};

// The factory and the trigger may look at the manager, and calls that wait are refused there.
TEST(ClusterManager, AProcessorOfItsOwnMayLookAndMustNotWait) {
  const platform::TemporaryDirectory at;
  ClusterConfig config = config_at(at.path(), free_ports(1), 0);
  config.enabled = false;
  Callbacks quiet;
  quiet.log = [](LogLevel, std::string_view) {};
  auto manager = ClusterManager::create(config, quiet).value();
  std::atomic<bool> throws = true, made = false, triggered = false;
  const auto look = [&] {
    EXPECT_EQ(manager->node_id(), "node-1");
    EXPECT_EQ(manager->stop().error().code, Code::invalid);
  };
  const auto factory =
      [&](const std::map<std::string, std::string>&) -> Result<std::unique_ptr<Processor>> {
    look();
    made = true;
    if (throws) throw std::runtime_error("no wheels");
    return std::make_unique<Restless>([&] {
      look();
      triggered = true;
    });
  };
  ProcessorTraits traits;
  traits.source = true;
  ASSERT_TRUE(manager->register_processor("Restless", {}, factory, traits));
  ASSERT_TRUE(manager->start());
  EXPECT_EQ(manager->register_processor("Later", {}, factory).error().code, Code::conflict);
  const std::string flow = "id: f\nprocessors:\n  - {name: r, type: Restless}\n";
  const auto refused = manager->apply_flow(flow);
  EXPECT_TRUE(made);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no wheels"));
  throws = false;
  const auto applied = manager->apply_flow(flow);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_TRUE(eventually([&] { return triggered.load(); }));
  EXPECT_TRUE(manager->stop());
}

}  // namespace
}  // namespace databridge
