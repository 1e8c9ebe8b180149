#include "lib/cluster.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "api/views.h"
#include "env/clock.h"
#include "env/workers.h"
#include "flow/flow_yaml.h"
#include "lib/backend.h"
#include "lib/callback_embedder.h"
#include "lib/callback_scope.h"
#include "lib/custom_type.h"
#include "lib/node.h"
#include "platform/clock.h"
#include "platform/workers.h"

namespace databridge::lib {
namespace {

constexpr size_t kFeedsMax = 64;
constexpr Duration kLookEvery = 200ms;  // While a start waits: for what no publish tells.
// Longer than a node keeps any request, which is 10 s, and 1 min for one that is begun.
constexpr Duration kPatience = 15s;
constexpr Duration kBegunPatience = 75s;

bool is_begun(const cluster::RequestBody& body) {
  return std::holds_alternative<cluster::CheckNode>(body);
}

tl::unexpected<Error> not_running(const std::optional<Error>& failure) {
  if (failure) return fail(Code::unavailable, "the node has ended: " + failure->message);
  return fail(Code::unavailable, "the node is not started");
}

}  // namespace

// One call that waits for its answer.
struct Cluster::Waiting {
  Mutex mutex;
  ConditionVariable came;
  std::optional<cluster::Answer> answer GUARDED_BY(mutex);

  void give(cluster::Answer with) {
    {
      const MutexLock lock(mutex);
      if (!answer) answer = std::move(with);
    }
    came.notify_all();
  }
};

Cluster::Cluster(Config config, Options options, Callbacks callbacks)
    : config_(std::move(config)),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      log_(callbacks_.log, platform::parse_log_level(config_.log_level).value()),
      clock_(platform::make_clock()),
      types_(flow::builtin_types()),
      feed_threads_(platform::make_workers({.threads_max = kFeedsMax, .apart = false})) {}

// The threads that call the callbacks end with this object, so it would wait for itself there.
Cluster::~Cluster() {
  if (CallbackScope::kind() != CallbackScope::Kind::none) {
    std::fputs("databridge: a ClusterManager must not be destroyed in a callback\n", stderr);
    std::abort();
  }
  {
    const MutexLock control(control_);
    if (auto closed = close(); !closed) {
      log_.write(platform::LogLevel::error, "node", closed.error().message);
    }
  }
  std::vector<std::shared_ptr<EventFeed>> feeds;
  {
    const MutexLock lock(mutex_);
    feeds.swap(feeds_);
  }
  for (const auto& feed : feeds) feed->close();
}

// ---- Start and stop

Result<void> Cluster::start() {
  if (auto may = CallbackScope::may_wait(); !may) return may;
  const MutexLock control(control_);
  {
    const MutexLock lock(mutex_);
    if (runs_) return fail(Code::conflict, "the node is started already");
  }
  (void)close();  // A node that had ended by itself; failure() has said why.
  if (auto opened = open(); !opened) return opened;
  auto member = await_membership();
  if (member) return member;
  if (auto closed = close(); !closed) {
    log_.write(platform::LogLevel::error, "node", closed.error().message);
  }
  return member;
}

Result<void> Cluster::open() {
  {
    const MutexLock lock(mutex_);
    was_started_ = true;
  }
  Embedding embedding;
  embedding.on_publish = [published = published_] { published->tell(); };
  embedding.types = &types_;
  if (callbacks_.start) {
    embedding.embedder = [&callbacks = callbacks_] {
      return std::make_unique<CallbackEmbedder>(callbacks);
    };
  }
  auto node = Node::open(config_, log_, nullptr, std::move(embedding));
  if (!node) return tl::make_unexpected(node.error());
  Node* running = node->get();
  {
    const MutexLock lock(mutex_);
    node_ = std::move(*node);
    runs_ = true;
    failure_.reset();
  }
  thread_ = platform::make_workers({.threads_max = 1, .apart = false});
  thread_->run([this, running] {
    running->run();
    ended();
    // No callback waits for an answer any more, so all of them return.
    running->close();
  });
  return {};
}

// The engine's thread has left the node. No answer comes any more.
void Cluster::ended() {
  std::list<std::shared_ptr<Waiting>> waiting;
  {
    const MutexLock lock(mutex_);
    runs_ = false;
    failure_ = node_->failure();
    waiting.swap(waiting_);
  }
  for (const auto& call : waiting) {
    call->give(
        fail(Code::timed_out, "the node has ended; it is not known whether the change was made"));
  }
  published_->tell();
}

std::optional<std::string> Cluster::why_no_member() const {
  const cluster::ViewPtr now = view();
  if (!now) return "the node has not opened its data directory";
  const Member* self = now->state.member(now->self.incarnation);
  const bool known = self != nullptr && self->info.boot == now->self.boot;
  if (known && now->leader && now->linked && api::is_sure(*now) && now->caught_up) {
    return std::nullopt;
  }
  const auto words = api::why_not_ready(*now);
  return words ? words->words : "this node is not in touch with the leader";
}

Result<void> Cluster::await_membership() {
  const Instant deadline = clock_->now() + options_.start_timeout;
  for (;;) {
    const uint64_t seen = published_->count();
    const auto why = why_no_member();
    if (!why) return {};
    {
      const MutexLock lock(mutex_);
      if (!runs_) return not_running(failure_);
    }
    if (stops_ > 0) return fail(Code::unavailable, "stop() was called meanwhile");
    const Instant now = clock_->now();
    if (now >= deadline) {
      return fail(Code::timed_out, "this node did not become a member in time: " + *why);
    }
    published_->wait_beyond(seen, std::min(kLookEvery, deadline - now));
  }
}

Result<void> Cluster::stop() {
  if (auto may = CallbackScope::may_wait(); !may) return may;
  ++stops_;
  published_->tell();
  Result<void> closed;
  {
    const MutexLock control(control_);
    closed = close();
  }
  --stops_;
  return closed;
}

Result<void> Cluster::close() {
  Node* node = nullptr;
  {
    const MutexLock lock(mutex_);
    node = node_.get();
  }
  if (node == nullptr) return {};
  node->stop();
  thread_.reset();  // Returns once the engine's thread has left the node.
  std::unique_ptr<Node> closed;
  std::optional<Error> failure;
  {
    const MutexLock lock(mutex_);
    last_view_ = node->backend().view();
    closed = std::move(node_);
    failure = failure_;
  }
  closed.reset();
  if (failure) return tl::make_unexpected(*failure);
  return {};
}

std::optional<Error> Cluster::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

// ---- Reading and asking

cluster::ViewPtr Cluster::view() const {
  const MutexLock lock(mutex_);
  return node_ ? node_->backend().view() : last_view_;
}

cluster::Answer Cluster::ask(cluster::RequestBody body) {
  if (auto may = CallbackScope::may_wait(); !may) return tl::make_unexpected(may.error());
  const Instant deadline = clock_->now() + (is_begun(body) ? kBegunPatience : kPatience);
  const auto call = std::make_shared<Waiting>();
  {
    const MutexLock lock(mutex_);
    if (!runs_) return not_running(failure_);
    waiting_.push_back(call);
    node_->backend().submit(cluster::Request{std::move(body), {}},
                            [call](cluster::Answer answer) { call->give(std::move(answer)); });
  }
  return wait(call, deadline);
}

cluster::Answer Cluster::wait(const std::shared_ptr<Waiting>& call, Instant deadline) {
  std::optional<cluster::Answer> answer;
  {
    const MutexLock lock(call->mutex);
    while (!call->answer) {
      const Instant now = clock_->now();
      if (now >= deadline) break;
      call->came.wait_for(call->mutex, deadline - now);
    }
    answer = std::move(call->answer);
  }
  {
    const MutexLock lock(mutex_);
    waiting_.remove(call);
  }
  if (answer) return std::move(*answer);
  return fail(Code::timed_out,
              "there was no answer in time; it is not known whether the change "
              "was made");
}

Result<void> Cluster::save(const ProcessorId& processor, Epoch epoch, Bytes state) {
  if (CallbackScope::kind() != CallbackScope::Kind::saves) {
    if (auto may = CallbackScope::may_wait(); !may) return may;
  }
  const Instant deadline = clock_->now() + kPatience;
  const auto call = std::make_shared<Waiting>();
  {
    const MutexLock lock(mutex_);
    if (!runs_) return not_running(failure_);
    waiting_.push_back(call);
    node_->save(processor, epoch, std::move(state), [call](const Result<void>& saved) {
      call->give(saved ? cluster::Answer{} : tl::make_unexpected(saved.error()));
    });
  }
  const cluster::Answer answer = wait(call, deadline);
  if (!answer) return tl::make_unexpected(answer.error());
  return {};
}

Result<void> Cluster::add_type(std::unique_ptr<CustomType> type) {
  const MutexLock lock(mutex_);
  if (was_started_) {
    return fail(Code::conflict, "register processor types before the first start()");
  }
  if (auto added = types_.add(type->type()); !added) return added;
  custom_.push_back(std::move(type));
  return {};
}

// Factories of the program are called, so no lock is held meanwhile.
Result<FlowSpec> Cluster::parse_flow(std::string_view text) const {
  {
    const MutexLock lock(mutex_);
    if (!node_) return not_running(failure_);
  }
  return flow::read_flow(text, "", types_);
}

std::shared_ptr<EventFeed> Cluster::subscribe(EventId since, EventFeed::Subscriber subscriber) {
  auto feed = std::make_shared<EventFeed>(EventFeed::Source{[this] { return view(); }, published_},
                                          since, std::move(subscriber));
  {
    const MutexLock lock(mutex_);
    std::erase_if(feeds_, [](const auto& known) { return known->is_over(); });
    if (feeds_.size() < kFeedsMax) {
      feeds_.push_back(feed);
      feed_threads_->run([feed] { feed->run(); });
      return feed;
    }
  }
  feed->refuse({Code::too_large, "there are " + std::to_string(kFeedsMax) +
                                     " subscriptions already: end one first"});
  return feed;
}

}  // namespace databridge::lib
