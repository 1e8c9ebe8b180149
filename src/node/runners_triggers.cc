// Triggers: when a processor gets one, which inputs it is offered, and what follows from its
// result.
#include <algorithm>

#include "env/workers.h"
#include "node/runners.h"

namespace databridge::node {

using flow::StateScope;

namespace {

constexpr Duration kNothingDone = 10ms;
constexpr Duration kWatchEvery = 100ms;

}  // namespace

void Runners::tick(Instant now) {
  lapse(now);
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const ProcessorId id = timers_.begin()->second;
    timers_.erase(timers_.begin());
    wake_.insert(id);
    cover(id, now);
  }
  look_for_stuck(now);
}

std::optional<Instant> Runners::next_wake() const {
  std::optional<Instant> next;
  const auto also = [&](Instant at) { next = next ? std::min(*next, at) : at; };
  if (!timers_.empty()) also(timers_.begin()->first);
  if (!with_workers_.empty()) also(with_workers_.begin()->first + kStuckAfter);
  // An epoch that is ending already does not wait for the end of the lease. Otherwise this function
  // would return a time that is past, again and again. But the embedding program must hear of that
  // end while it stops an epoch.
  const bool leased = std::any_of(runners_.begin(), runners_.end(),
                                  [](const auto& entry) { return !entry.second.ending(); });
  if (leased || external_.can_be_lost()) also(options_.board->ends());
  return next;
}

void Runners::pause_sources(bool paused) {
  if (sources_paused_ == paused) return;
  sources_paused_ = paused;
  for (const auto& [id, runner] : runners_) wake_.insert(id);
}

bool Runners::settle() {
  if (wake_.empty()) return false;
  const Instant now = world_.env.clock.now();
  for (const ProcessorId& id : std::exchange(wake_, {})) schedule(id, now);
  return true;
}

bool Runners::may_trigger(Runner& runner, Instant now) {
  if (runner.state != RunState::running || runner.open || runner.type == nullptr) return false;
  if (runner.type->source && sources_paused_) return false;
  if (runner.type->settles &&
      (runner.durable < runner.record.commit || runner.covered < runner.needs_cover)) {
    return false;
  }
  const ProcessorId& id = runner.spec.id;
  if (!runner.type->source && !queues_.has_input(id)) return false;
  if (!queues_.has_room(id)) return false;
  if (now < runner.due) {
    timers_.emplace(runner.due, id);
    return false;
  }
  return is_leased(now);
}

// Some processors must not miss changes outside while they can put nothing out, such as the
// rotation of a log file. So they look around from time to time.
void Runners::watch(Runner& runner, Instant now) {
  if (runner.type == nullptr || !runner.type->watches || runner.open ||
      runner.state != RunState::running || !is_leased(now)) {
    return;
  }
  const ProcessorId& id = runner.spec.id;
  if (!sources_paused_ && queues_.has_room(id)) return;
  if (now < runner.watched_at + kWatchEvery) {
    timers_.emplace(runner.watched_at + kWatchEvery, id);
    return;
  }
  auto trigger = make_trigger(runner);
  trigger->watches = true;
  run_trigger(trigger);
}

void Runners::schedule(const ProcessorId& processor, Instant now) {
  const auto at = runners_.find(processor);
  if (at == runners_.end()) return;
  if (!may_trigger(at->second, now)) return watch(at->second, now);
  Runner& runner = at->second;
  if (!take_spec(runner)) return;
  auto trigger = make_trigger(runner);
  trigger->offer = make_offer(runner);
  run_trigger(trigger);
}

// Changed properties take effect between two triggers. False: the processor cannot go on as the
// flow describes it now.
bool Runners::take_spec(Runner& runner) {
  const ProcessorId id = runner.spec.id;
  const ProcessorSpec* spec = state_->processors().find(id);
  if (spec == nullptr || *spec == runner.spec) return true;
  if (spec->type != runner.spec.type) return false;  // A leader releases it.
  // If the properties are the same, the instance goes on, since files that only it has open could
  // be lost with it.
  const bool same = spec->properties == runner.spec.properties;
  runner.spec = *spec;
  if (same) return true;
  const auto made = make_instance(runner);
  if (made) return true;
  const Epoch epoch = runner.record.epoch;
  kill(runner, made.error().message);
  world_.events.report(id, epoch, RunState::failed, made.error().message);
  return false;
}

std::shared_ptr<Trigger> Runners::make_trigger(Runner& runner) const {
  // It is shared by the job on the worker and the call that follows the job.
  auto trigger = std::make_shared<Trigger>();
  trigger->processor = runner.spec.id;
  trigger->epoch = runner.record.epoch;
  trigger->watch = world_.watch;
  trigger->instance = runner.instance;
  trigger->board = options_.board;
  trigger->time_max = options_.trigger_time_max;
  runner.open = trigger;
  return trigger;
}

void Runners::run_trigger(const std::shared_ptr<Trigger>& trigger) {
  trigger->scheduled_at = world_.env.clock.now();
  with_workers_.emplace(trigger->scheduled_at, trigger->processor);
  world_.env.workers.run([this, trigger, post = post_, &clock = world_.env.clock] {
    run(*trigger, clock);
    post([this, trigger] { finish(*trigger); });
  });
}

// Each input connection gets an equal share of the trigger. Another connection goes first each
// time.
flow::Offer Runners::make_offer(Runner& runner) {
  const ProcessorId& id = runner.spec.id;
  flow::Offer offer;
  offer.epoch = runner.record.epoch;
  offer.state = runner.record.saved.state;
  offer.inputs = queues_.take(id, runner.turn++, runner.files_max, options_.trigger_bytes_max);
  for (const flow::Input& input : offer.inputs) {
    runner.offered[input.connection].push_back(input.arrival);
  }
  offer.outputs = queues_.topology().outputs(id);
  offer.room = queues_.room(id);
  return offer;
}

void Runners::finish(Trigger& trigger) {
  const Instant now = world_.env.clock.now();
  const auto at = runners_.find(trigger.processor);
  if (at == runners_.end()) return;
  Runner& runner = at->second;
  runner.open.reset();
  // The worker may hold the trigger a little longer, but the instance must not live on with it. The
  // runner drops the instance before the next one begins, which takes over the files that only the
  // old one has open.
  trigger.instance.reset();
  returned(trigger, now);
  note(runner, std::move(trigger.notes), now);
  lapse(now);
  const auto still = runners_.find(trigger.processor);  // lapse() may have ended it.
  if (still == runners_.end() || still->second.record.epoch != trigger.epoch ||
      still->second.instance->gone) {
    finish_stop(trigger.processor);
    return;
  }
  runner.watched_at = now;
  take_result(runner, trigger, now);
  if (!finish_stop(trigger.processor)) wake_.insert(trigger.processor);
}

void Runners::take_result(Runner& runner, Trigger& trigger, Instant now) {
  if (!trigger.began || trigger.watches) return put_back(runner);
  if (!trigger.result) return failed(runner, trigger.result.error().message, now);
  if (runner.type->state == StateScope::cluster && trigger.result->state &&
      trigger.result->state->size() > flow::kStateMax) {
    return failed(runner, "its state is over " + std::to_string(flow::kStateMax) + " bytes", now);
  }
  if (trigger.result->wait) {
    runner.due = trigger.began_at + *trigger.result->wait;
  } else if (trigger.result->empty()) {
    // It did nothing, and did not say how long to wait.
    runner.due = now + kNothingDone;
  }
  commit(runner, *trigger.result, trigger.trouble, now);
}

}  // namespace databridge::node
