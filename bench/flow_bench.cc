// Flow files a second through two processors on one node: GenerateFlowFile → ReplaceText, with the
// real store (synced), real workers and a leader that commits at once.
// Usage: flow_bench [DIRECTORY]; the directory decides which disk is measured.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>

#include "base/check.h"
#include "flow/flow_yaml.h"
#include "node/host.h"
#include "node/test_world.h"
#include "platform/clock.h"
#include "platform/store.h"
#include "platform/workers.h"

namespace databridge::node {
namespace {

// A minimal engine: one thread, a queue of calls, one batch for each turn.
class Engine : public HostEvents {
 public:
  explicit Engine(const std::string& directory)
      : clock_(platform::make_clock()),
        store_(platform::open_store({directory}).value()),
        workers_(platform::make_workers()),
        files_(*clock_),
        env_{*clock_, *store_, network_, *workers_, files_, load_, 1},
        journal_(*store_) {
    store_->on_durable([this](Result<env::Store::Durable> safe) {
      CHECK(safe.has_value());
      post([this, n = safe->number] {
        journal_.durable(n, clock_->now());
        journal_.run();
        host_->settle();
      });
    });
    Host::Options options;
    options.self = Incarnation{1};
    host_ = std::make_unique<Host>(options, HostWorld{env_, journal_, *this},
                                   [this](std::function<void()> call) { post(std::move(call)); });
    CHECK(host_->restore().has_value());
  }

  void apply(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = clock_->unix_ms();
    const Transition transition = state_.apply(state_.version() + 1, command);
    CHECK(!transition.applied.rejected);
    host_->applied(state_, transition.touched);
  }
  void begin(const FlowSpec& flow) {
    MemberInfo info;
    info.incarnation = Incarnation{1};
    info.node = NodeId("one");
    apply(AdmitMember{info});
    apply(PutFlow{flow});
    host_->renew(clock_->now() + 1h);
    for (const auto& spec : flow.processors) {
      apply(Assign{spec.id, {}, Incarnation{1}, "bench"});
      if (spec.name != "end") host_->start(spec.id, state_.assignments().find(spec.id)->epoch);
    }
  }
  // The state has given the connections ids of its own.
  void run_until(const FlowSpec& flow, size_t at, uint64_t count) {
    const Uuid connection = state_.flows().find(flow.id)->connections[at];
    for (;;) {
      for (const auto& queue : host_->queues()) {
        if (queue.connection == connection && queue.count >= count) return;
      }
      turn();
    }
  }

 private:
  void report(const ProcessorId&, Epoch, RunState state, std::string detail) override {
    if (state == RunState::failed) fmt::print("failed: {}\n", detail);
  }
  void save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) override {
    post([this, processor, checkpoint] { apply(SaveCheckpoint{processor, checkpoint}); });
  }
  void send(Incarnation, Message) override {}
  void note(const ProcessorId&, std::string text) override { fmt::print("{}\n", text); }

  void post(std::function<void()> call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    changed_.notify_one();
  }
  void turn() {
    std::deque<std::function<void()>> calls;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(10), [&] { return !calls_.empty(); });
      calls.swap(calls_);
    }
    for (auto& call : calls) call();
    host_->tick(clock_->now());
    journal_.submit(clock_->now());
    journal_.run();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> calls_;
  std::unique_ptr<env::Clock> clock_;
  std::unique_ptr<env::Store> store_;
  std::unique_ptr<env::Workers> workers_;
  flow::MemoryFiles files_;
  NoNetwork network_;
  NoLoad load_;
  env::Env env_;
  State state_;
  Journal journal_;
  std::unique_ptr<Host> host_;
};

void measure(const std::string& directory, uint64_t count, uint64_t size) {
  std::filesystem::remove_all(directory);
  const auto flow = flow::read_flow(fmt::format(
      "id: f\n"
      "processors:\n"
      "  - {{name: gen, type: GenerateFlowFile, properties: {{interval: 0s, batch: 256, "
      "count: {}, size: {}}}}}\n"
      "  - {{name: mid, type: ReplaceText, terminate: [failure], properties: {{pattern: aa, "
      "replacement: "
      "b}}}}\n"
      "  - {{name: end, type: LogAttribute}}\n"
      "connections:\n"
      "  - {{from: gen, relationship: success, to: mid}}\n"
      "  - {{from: mid, relationship: success, to: end, maxCount: 1000000, maxBytes: "
      "4GiB}}\n",
      count, size));
  CHECK(flow.has_value());
  Engine engine(directory);
  const auto begin = std::chrono::steady_clock::now();
  engine.begin(*flow);
  engine.run_until(*flow, 1, count);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{:>6} bytes each: {:>9.0f} flow files/s through two processors\n", size,
             static_cast<double>(count) / seconds);
}

}  // namespace
}  // namespace databridge::node

int main(int argc, char** argv) {
  const std::string directory =
      std::string(argc > 1 ? argv[1] : ".") + "/flow_bench." + std::to_string(::getpid());
  databridge::node::measure(directory, 100'000, 100);
  databridge::node::measure(directory, 20'000, 10'000);
  std::filesystem::remove_all(directory);
}
