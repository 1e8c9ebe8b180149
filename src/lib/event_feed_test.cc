#include "lib/event_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace databridge::lib {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A node that keeps two events. Its feeds run on a thread of the test.
class EventFeedTest : public testing::Test {
 protected:
  EventFeedTest() {
    state_.keep_events(2);
    enter("c1");
  }
  void TearDown() override {
    if (feed_) feed_->close();
  }

  void put(const std::string& key) {
    Command command;
    command.body = SetConfig{.key = key, .json = "1", .expected = {}};
    ASSERT_FALSE(state_.apply(state_.version() + 1, command).applied.rejected);
    publish();
  }
  void enter(const std::string& cluster) {
    cluster_ = ClusterId(cluster);
    publish();
  }
  void publish() {
    auto view = std::make_shared<cluster::View>();
    view->state = state_;
    view->cluster = cluster_;
    {
      const MutexLock lock(mutex_);
      view_ = view;
    }
    published_->tell();
  }

  // The feed calls on_event() until the test ends.
  void follow(EventId since) {
    feed_ = std::make_shared<EventFeed>(
        EventFeed::Source{[this] {
                            const MutexLock lock(mutex_);
                            ++looks_;
                            came_.notify_all();
                            return view_;
                          },
                          published_},
        since,
        EventFeed::Subscriber{[this](const ClusterEvent& event) { on_event(event); },
                              [this](const Error& error) { ended_.set_value(error); }});
    thread_ = std::async(std::launch::async, [feed = feed_] { feed->run(); });
  }
  void on_event(const ClusterEvent& event) {
    if (during) during();
    const MutexLock lock(mutex_);
    seen_.push_back(event.data.at("key"));
    came_.notify_all();
  }
  std::vector<std::string> await(size_t count) {
    const MutexLock lock(mutex_);
    while (seen_.size() < count) came_.wait(mutex_);
    return seen_;
  }

  std::function<void()> during;  // Inside of each call.
  State state_;
  ClusterId cluster_;
  const std::shared_ptr<Published> published_ = std::make_shared<Published>();
  Mutex mutex_;
  ConditionVariable came_;
  cluster::ViewPtr view_ GUARDED_BY(mutex_);
  std::vector<std::string> seen_ GUARDED_BY(mutex_);
  int looks_ GUARDED_BY(mutex_) = 0;  // How often the feed has got a view.
  std::promise<Error> ended_;
  std::shared_ptr<EventFeed> feed_;
  std::future<void> thread_;
};

TEST_F(EventFeedTest, BeginsWithTheOldestEventThatIsKept) {
  for (const char* key : {"a", "b", "c"}) put(key);
  follow({});
  EXPECT_THAT(await(2), ElementsAre("b", "c"));
  put("d");
  EXPECT_THAT(await(3), ElementsAre("b", "c", "d"));
  EXPECT_FALSE(feed_->failure());
  feed_->close();  // The last call has returned then.
  EXPECT_EQ(feed_->last(), state_.last_event());
}

TEST_F(EventFeedTest, EndsIfEventsAreMissing) {
  put("a");
  const EventId since = state_.last_event();
  for (const char* key : {"b", "c", "d"}) put(key);
  follow(since);
  EXPECT_EQ(ended_.get_future().get().code, Code::gone);
  EXPECT_EQ(feed_->failure()->code, Code::gone);
  const MutexLock lock(mutex_);
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(EventFeedTest, ASlowSubscriberIsToldThatItWasTooSlow) {
  std::promise<void> inside, goes_on;
  during = [&] {
    inside.set_value();
    goes_on.get_future().get();
  };
  put("a");
  follow({});
  inside.get_future().get();
  for (const char* key : {"b", "c", "d"}) put(key);
  goes_on.set_value();
  EXPECT_EQ(ended_.get_future().get().code, Code::gone);
  EXPECT_THAT(await(1), ElementsAre("a"));
}

// Before its first event, too: the ids of the other cluster mean other events.
TEST_F(EventFeedTest, EndsWhenTheNodeEntersAnotherCluster) {
  put("a");
  follow(state_.last_event());
  {
    const MutexLock lock(mutex_);
    while (looks_ == 0) came_.wait(mutex_);
  }
  enter("c2");
  EXPECT_THAT(ended_.get_future().get().message, HasSubstr("has left the cluster c1 for c2"));
}

TEST_F(EventFeedTest, MayBeClosedInItsOwnCall) {
  during = [this] { feed_->close(); };
  put("a");
  put("b");
  follow({});
  thread_.get();
  EXPECT_THAT(await(1), ElementsAre("a"));
  EXPECT_TRUE(feed_->is_over());
}

}  // namespace
}  // namespace databridge::lib
