#include "sim/node_engines.h"

#include <algorithm>

namespace databridge::sim {
namespace {

constexpr int kProcessors = 3;

std::string text(Epoch epoch) {
  return std::to_string(epoch.generation) + ":" + std::to_string(epoch.index);
}

uint64_t number_of(const Bytes& state) { return state.empty() ? 0 : std::stoull(state); }

}  // namespace

// One process that embeds a node.
class NodeEngines::Program final : public node::Embedder {
 public:
  Program(NodeEngines& engines, size_t node) : engines_(engines), node_(node) {}

  void start(Start start) override {
    const Place place{node_, start.processor};
    auto its = std::make_shared<Start>(std::move(start));
    engines_.add(this, place, [this, place, its] {
      // It may begin much later than its node thinks. A lost one still ends within the stop budget.
      const Duration late =
          std::min(engines_.some_ms(0, 100), engines_.cluster_.draw().timing.stop_budget / 4);
      engines_.cluster_.in(late, [this, place, its] {
        if (!engines_.is_present(this, place.first)) return;
        if (its->is_leased()) engines_.begins(this, place, *its);
        *its = {};
        engines_.next(this, place);
      });
    });
  }
  void stop(const ProcessorId& processor, Epoch epoch, std::function<void()> returned) override {
    const Place place{node_, processor};
    engines_.add(this, place, [this, place, epoch, returned = std::move(returned)] {
      engines_.ends(this, place, epoch, returned);
    });
  }
  void lost(const ProcessorId& processor, Epoch epoch) override {
    engines_.loses({node_, processor}, epoch);
  }

 private:
  NodeEngines& engines_;
  const size_t node_;
};

NodeEngines::NodeEngines(NodeCluster& cluster, uint64_t seed)
    : cluster_(cluster), random_(seed), takes_part_(random_.below(3) == 0) {}

NodeEngines::~NodeEngines() = default;

void NodeEngines::begin() {
  if (!takes_part_) return;
  programs_.resize(cluster_.size());
  for (int number = 0; number < kProcessors; ++number) {
    processors_.push_back(Uuid::from_name("engines", std::to_string(number)));
  }
  cluster_.embedder_of = [this](size_t node) -> node::Embedder* {
    // What the process before has held ended with it.
    std::erase_if(held_, [node](const auto& held) { return held.first.first == node; });
    std::erase_if(jobs_, [node](const auto& jobs) { return jobs.first.first == node; });
    // What it has begun may still look at it.
    if (programs_[node]) ended_.push_back(std::move(programs_[node]));
    programs_[node] = std::make_unique<Program>(*this, node);
    return programs_[node].get();
  };
  cluster_.in(some_ms(200, 400), [this] { act(); });
}

Duration NodeEngines::some_ms(uint64_t least, uint64_t most) {
  return cluster_.draw().paced(
      std::chrono::microseconds(random_.between(1000 * least, 1000 * most)));
}

void NodeEngines::act() {
  cluster_.in(some_ms(50, 400), [this] { act(); });
  const size_t node = random_.below(cluster_.size());
  if (!cluster_.is_on(node) || cluster_.is_lost(node)) return;
  const ProcessorId processor = processors_[random_.below(processors_.size())];
  const cluster::ViewPtr view = cluster_.engine(node).view();
  if (view->state.processors().find(processor) == nullptr) {
    ProcessorSpec spec;
    spec.id = processor;
    spec.type = "external";
    spec.name = processor.text();
    cluster_.ask(node, cluster::Place{std::move(spec)});
  } else if (cluster_.storming()) {
    const NodeId to = NodeCluster::id_of(random_.below(cluster_.size()));
    cluster_.ask(node, cluster::MoveWork{processor, to, false});
  }
}

bool NodeEngines::is_present(const Program* program, size_t node) const {
  return programs_[node].get() == program && cluster_.is_on(node);
}

// Starts and stops of one processor come one after the other.
void NodeEngines::add(const Program* by, const Place& place, std::function<void()> job) {
  if (!is_present(by, place.first)) return;  // Its process has ended.
  Jobs& jobs = jobs_[place];
  jobs.push_back(std::move(job));
  if (jobs.size() == 1) jobs.front()();
}

void NodeEngines::next(const Program* by, const Place& place) {
  if (!is_present(by, place.first)) return;
  Jobs& jobs = jobs_[place];
  const auto done = std::move(jobs.front());  // It is the one that calls this.
  jobs.pop_front();
  if (jobs.empty()) {
    jobs_.erase(place);
  } else {
    jobs.front()();
  }
}

void NodeEngines::begins(const Program* by, const Place& place, node::Embedder::Start& start) {
  cluster_.count("external starts");
  check_begin(place, start);
  held_[place] = {by, start.epoch, false, std::move(start.hold), false};
  work(by, place, start.epoch);
}

void NodeEngines::check_begin(const Place& place, const node::Embedder::Start& start) {
  const auto& [node, processor] = place;
  const std::string what = NodeCluster::id_of(node).value + " starts " + processor.text() +
                           " under epoch " + text(start.epoch);
  const auto is_leased = [this](size_t at) {
    const Instant ends = cluster_.engine(at).host().board()->ends();
    return cluster_.world().env_of(at).clock.now() < ends;
  };
  if (!is_leased(node)) cluster_.checker().fail(what + " without a lease");
  for (const auto& [other, held] : held_) {
    if (other.second != processor || other.first == node || held.lost) continue;
    if (!is_present(held.by, other.first) || !is_leased(other.first)) continue;
    cluster_.checker().fail(what + " before " + NodeCluster::id_of(other.first).value +
                            " has stopped it under " + text(held.epoch));
  }
  // A backup that was restored is older than what was confirmed since.
  if (number_of(start.state) < confirmed_[processor] && !cluster_.draw().restores) {
    cluster_.checker().fail(what + " from the state " + start.state + ", but " +
                            std::to_string(confirmed_[processor]) + " was confirmed");
  }
}

// A save that waits is answered in the same turn of the engine.
void NodeEngines::loses(const Place& place, Epoch epoch) {
  const auto at = held_.find(place);
  if (at == held_.end() || at->second.epoch != epoch) return;
  at->second.lost = true;
  if (!at->second.saving) return;
  cluster_.in(cluster_.draw().timing.stop_budget / 4, [this, by = at->second.by, place, epoch] {
    if (!is_saving(by, place, epoch)) return;
    cluster_.checker().fail(place.second.text() + " is lost under " + text(epoch) +
                            ", and its last save is not answered");
  });
}

// It takes its time, but a lost epoch ends within half of the stop budget.
void NodeEngines::ends(const Program* by, const Place& place, Epoch epoch,
                       std::function<void()> returned) {
  const auto at = held_.find(place);
  // It has never begun.
  if (at == held_.end() || at->second.epoch != epoch) return ended(by, place, epoch, returned);
  const Duration budget = cluster_.draw().timing.stop_budget / 2;
  const Duration takes = at->second.lost ? std::min(some_ms(1, 100), budget) : some_ms(1, 200);
  const bool saves = !at->second.lost && random_.below(3) > 0;
  cluster_.in(takes, [this, by, place, epoch, saves, returned = std::move(returned)] {
    if (!is_present(by, place.first)) return;
    if (!saves) return ended(by, place, epoch, returned);
    save_last(by, place, epoch,
              [this, by, place, epoch, returned] { ended(by, place, epoch, returned); });
  });
}

void NodeEngines::ended(const Program* by, const Place& place, Epoch epoch,
                        const std::function<void()>& returned) {
  held_.erase(place);
  over_[place.second] = epoch;
  returned();
  cluster_.world().wake(place.first);
  next(by, place);
}

void NodeEngines::save_last(const Program* by, const Place& place, Epoch epoch,
                            std::function<void()> then) {
  cluster_.count("external last saves");
  held_.at(place).saving = !held_.at(place).lost;
  await_release(by, place, epoch, nullptr);
  save(place.first, place.second, epoch, false, [this, by, place, epoch, then = std::move(then)] {
    const auto held = held_.find(place);
    if (!is_present(by, place.first) || held == held_.end() || held->second.epoch != epoch) return;
    held->second.saving = false;
    cluster_.in({}, [this, by, place, then] {  // Not inside of the engine's turn.
      if (is_present(by, place.first)) then();
    });
  });
}

bool NodeEngines::is_saving(const Program* by, const Place& place, Epoch epoch) const {
  const auto held = held_.find(place);
  return is_present(by, place.first) && held != held_.end() && held->second.epoch == epoch &&
         held->second.saving;
}

// Once the node knows of the Release, the log takes no state of that epoch. `seen`: a view that has
// it. The node has taken in the save before it publishes the next one.
void NodeEngines::await_release(const Program* by, const Place& place, Epoch epoch,
                                cluster::ViewPtr seen) {
  cluster_.in(some_ms(20, 60), [this, by, place, epoch, seen = std::move(seen)] {
    if (!is_saving(by, place, epoch)) return;
    const cluster::ViewPtr view = cluster_.engine(place.first).view();
    const Assignment* now = view->state.assignments().find(place.second);
    const bool released = now != nullptr && now->epoch == epoch && now->releasing;
    if (released && seen && seen != view) {
      cluster_.checker().fail(place.second.text() + " is released under " + text(epoch) +
                              ", and its last save is not answered");
    }
    await_release(by, place, epoch, released ? view : nullptr);
  });
}

void NodeEngines::work(const Program* by, const Place& place, Epoch epoch) {
  cluster_.in(some_ms(5, 150), [this, by, place, epoch] {
    const auto held = held_.find(place);
    if (!is_present(by, place.first) || held == held_.end() || held->second.epoch != epoch) return;
    save(place.first, place.second, epoch, false);
    const auto old = over_.find(place.second);
    if (old != over_.end() && old->second != epoch) {
      save(place.first, place.second, old->second, true);
    }
    work(by, place, epoch);
  });
}

void NodeEngines::save(size_t node, const ProcessorId& processor, Epoch epoch, bool is_over,
                       std::function<void()> answered) {
  const uint64_t number = ++saved_;
  cluster_.engine(node).save(
      processor, epoch, std::to_string(number),
      [this, node, processor, epoch, number, is_over,
       answered = std::move(answered)](const Result<void>& saved) {
        if (answered) answered();
        if (!saved) return;
        cluster_.count("external saves");
        uint64_t& newest = confirmed_[processor];
        newest = std::max(newest, number);
        if (!is_over) return;
        cluster_.checker().fail(NodeCluster::id_of(node).value + " has saved " + processor.text() +
                                " under the epoch " + text(epoch) + ", which was over");
      });
  cluster_.world().wake(node);
}

// Each processor is run by one program, the one of its owner.
std::string NodeEngines::missing() const {
  for (const ProcessorId& processor : processors_) {
    const auto runs = std::ranges::count_if(held_, [&](const auto& held) {
      return held.first.second == processor && is_present(held.second.by, held.first.first);
    });
    if (runs != 1) return std::to_string(runs) + " programs run " + processor.text();
  }
  return "";
}

}  // namespace databridge::sim
