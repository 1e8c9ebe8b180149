// Runners: a processor under an epoch, from its start to the report that it has stopped, and its
// triggers.
#include <algorithm>
#include <exception>

#include "base/canary.h"
#include "base/check.h"
#include "flow/record.h"
#include "node/host_inside.h"

namespace databridge::node {

using flow::StateScope;

namespace {

constexpr Duration kNothingDone = 10ms;
constexpr Duration kWatchEvery = 100ms;

Instant until_of(const LeaseBoard& board) { return Instant(Duration(board.until.load())); }

// What the processor may know of its time: less than is left of the lease, for what ends after that
// is not handed in.
void limit(Trigger& trigger, flow::World& world) {
  world.end = std::min(trigger.began_at + trigger.time_max, trigger.lease_until);
}

// On a worker. Nothing begins at or after the lease's end, even if the engine is stuck; and what
// ends after it is not handed in.
void run(Trigger& trigger, const env::Clock& clock) {
  Instance& instance = *trigger.instance;
  trigger.began_at = clock.now();
  // It is on the board before it looks whether its epoch is over.
  if (!enter(trigger, trigger.began_at)) return;
  trigger.lease_until = until_of(*trigger.board);
  const bool leased = trigger.began_at < trigger.lease_until || CANARY(trigger_after_lease);
  if (!instance.gone && leased) {
    trigger.began = true;
    if (trigger.watch != nullptr) {
      trigger.watch->began(trigger.processor, trigger.epoch, trigger.began_at, trigger.lease_until);
    }
    limit(trigger, instance.world);
    flow::Session session(std::move(trigger.offer), instance.world.random, clock.unix_ms(),
                          &instance.world);
    try {
      Result<void> done;
      if (trigger.watches) {
        instance.processor->watch(instance.world);
      } else {
        done = instance.processor->on_trigger(session, instance.world);
      }
      trigger.result = done ? session.finish() : tl::make_unexpected(done.error());
    } catch (const std::exception& error) {
      trigger.result = fail(Code::internal, std::string("the processor threw: ") + error.what());
    }
    trigger.notes = std::exchange(instance.world.notes, {});
    trigger.trouble = std::exchange(instance.world.trouble, {});
    if (clock.now() >= until_of(*trigger.board)) {
      trigger.result = fail(Code::unavailable, "the lease ended during the trigger");
    }
  }
  leave(trigger);
}

}  // namespace

bool enter(Trigger& trigger, Instant now) {
  LeaseBoard::Slot* slot = trigger.board->take();
  if (slot == nullptr) return false;
  slot->since = now.time_since_epoch().count();
  trigger.slot = slot;
  return true;
}

void leave(Trigger& trigger) { trigger.slot.load()->since = 0; }

void orphan(Trigger& trigger, Instant now) {
  if (LeaseBoard::Slot* slot = trigger.slot) slot->orphaned = now.time_since_epoch().count();
}

// ---- The lease

void Host::Inside::renew(Instant until) {
  const Instant now = env_.clock.now();
  lapse(now);
  if (until > now && until > until_of(*options_.board)) {
    options_.board->until = until.time_since_epoch().count();
  }
  std::vector<ProcessorId> waiting;
  for (const auto& [id, epoch] : parked_) waiting.push_back(id);
  for (const ProcessorId& id : waiting) try_start(id);
  settle();
}

void Host::Inside::lapse(Instant now) {
  if (now < until_of(*options_.board)) return;
  std::vector<ProcessorId> all;
  for (const auto& [id, runner] : runners_) all.push_back(id);
  for (const ProcessorId& id : all) kill(runners_.at(id), "the lease ended");
}

// ---- Beginning

void Host::Inside::start(const ProcessorId& processor, Epoch epoch) {
  const auto over = ended_.find(processor);
  const auto runner = runners_.find(processor);
  if (over != ended_.end() && epoch <= over->second) {
    if (runner == runners_.end() || runner->second.record.epoch != epoch) {
      events_.report(processor, epoch, RunState::unassigned, "this epoch is over here");
    }
    return;
  }
  if (runner != runners_.end() && runner->second.record.epoch == epoch) {
    events_.report(processor, epoch, runner->second.state, runner->second.fault);
    return;
  }
  parked_[processor] = std::max(parked_[processor], epoch);
  try_start(processor);
  settle();
}

void Host::Inside::try_start(const ProcessorId& processor) {
  const auto parked = parked_.find(processor);
  if (parked == parked_.end() || runners_.count(processor) > 0) return;
  const Epoch epoch = parked->second;
  const Assignment* assignment = state_->assignments().find(processor);
  if (assignment == nullptr || assignment->epoch < epoch) return;  // Not applied yet.
  const ProcessorSpec* spec = state_->processors().find(processor);
  const bool ours = assignment->epoch == epoch && assignment->owner == options_.self &&
                    !assignment->releasing && spec != nullptr;
  const bool leased = env_.clock.now() < until_of(*options_.board);
  parked_.erase(parked);
  if (!ours || !leased) {
    ended_[processor] = std::max(ended_[processor], epoch);
    events_.report(processor, epoch, RunState::unassigned,
                   ours ? "there is no lease" : "it has moved on");
    return;
  }

  Runner runner;
  runner.spec = *spec;
  runner.type = flow::find_type(spec->type);
  runner.files_max = options_.trigger_files_max;
  runner.record.epoch = epoch;
  bool adopted = false;
  runner.record.saved = continue_from(*assignment, adopted);
  if (auto made = make_instance(runner); !made) {
    ended_[processor] = std::max(ended_[processor], epoch);
    events_.report(processor, epoch, RunState::failed, made.error().message);
    return;
  }
  Runner& placed = runners_.emplace(processor, std::move(runner)).first->second;
  warn_of_losses(placed);
  // That the epoch began is on disk before its first trigger: it never begins twice.
  write_record(placed, false);
  if (adopted) placed.needs_cover = placed.record.commit;
  events_.report(processor, epoch, RunState::starting, "");
}

// Earlier epochs whose outputs wait nowhere for a word about them are forgotten (safety.md 9.4):
// this node's own, when it has none of them or has written their last commit down, and those of
// nodes that are out for good.
flow::Saved Host::Inside::continue_from(const Assignment& assignment, bool& adopted) {
  flow::Saved saved = last_saved(assignment, adopted);
  saved.by = options_.self;
  const auto outputs = outputs_.find(assignment.processor);
  saved.history.forget_if([&](Epoch epoch, const flow::History::Last& last) {
    if (CANARY(forgets_epochs)) return true;
    if (last.owner != options_.self) return last.owner && !may_return(last.owner);
    if (outputs == outputs_.end()) return true;
    for (const auto& [relationship, ids] : outputs->second) {
      for (const Uuid& id : ids) {
        const auto at = connections_.find(id);
        if (at != connections_.end() && at->second.awaits_word(epoch)) return false;
      }
    }
    return true;
  });
  return saved;
}

// Where the processor goes on: from this node's own records if nobody else has said anything since,
// else from the newest checkpoint in the log.
flow::Saved Host::Inside::last_saved(const Assignment& assignment, bool& adopted) {
  const ProcessorSpec& spec = *state_->processors().find(assignment.processor);
  const flow::ProcessorType* type = flow::find_type(spec.type);
  const auto local = records_.find(assignment.processor);
  const bool has_local = local != records_.end();
  if (type == nullptr || type->state == StateScope::none) return {};
  const Checkpoint& checkpoint = assignment.checkpoint;
  if (type->state == StateScope::node) {
    const bool ours = has_local && local->second.epoch >= checkpoint.epoch;  // Not its namesake's.
    return ours ? flow::Saved{{}, local->second.saved.state, {}} : flow::Saved{};
  }
  const auto said = std::make_pair(checkpoint.epoch, checkpoint.sequence);
  if (has_local && std::make_pair(local->second.epoch, local->second.commit) >= said) {
    adopted = std::make_pair(local->second.epoch, local->second.commit) > said;
    flow::Saved saved = local->second.saved;
    saved.history.add(local->second.epoch, local->second.commit, options_.self);
    return saved;
  }
  auto saved = flow::decode_saved(checkpoint);
  if (!saved) {
    events_.note(spec.id,
                 "its checkpoint cannot be read, it starts anew: " + saved.error().message);
    return {};
  }
  if (!checkpoint.bytes.empty()) {
    saved->history.add(checkpoint.epoch, checkpoint.sequence, saved->by);
  }
  return std::move(*saved);
}

Result<void> Host::Inside::make_instance(Runner& runner) {
  if (runner.type == nullptr) {
    if (runner.spec.type == "external") return {};
    return fail(Code::unprocessable, "there is no processor type \"" + runner.spec.type + "\"");
  }
  auto processor = flow::make_processor(runner.spec);
  if (!processor) return tl::make_unexpected(processor.error());
  Bytes seed;
  flow::append_key(seed, runner.spec.id);
  flow::append_key(seed, runner.record.epoch);
  append_big64(seed, runner.record.commit);
  runner.instance = std::make_shared<Instance>(
      std::move(*processor),
      flow::World{env_.files, env_.clock, Random(hash64(seed, env_.seed)), {}});
  runner.instance->world.stop = &runner.instance->gone;
  runner.instance->world.processor = runner.spec.id;
  return {};
}

// ---- Ending

void Host::Inside::stop(const ProcessorId& processor, Epoch epoch, const std::string& reason) {
  const auto at = runners_.find(processor);
  if (const auto parked = parked_.find(processor);
      parked != parked_.end() && parked->second <= epoch) {
    parked_.erase(parked);
  }
  if (at == runners_.end() || at->second.record.epoch != epoch) {
    if (at == runners_.end() || at->second.record.epoch > epoch) {
      ended_[processor] = std::max(ended_[processor], epoch);
      events_.report(processor, epoch, RunState::unassigned, "not running");
    }
    return;
  }
  Runner& runner = at->second;
  if (runner.ending()) return;
  runner.state = RunState::stopping;
  runner.reason = reason;
  ended_[processor] = std::max(ended_[processor], epoch);
  if (!finish_stop(processor)) events_.report(processor, epoch, RunState::stopping, reason);
  settle();
}

void Host::Inside::stop_all() {
  std::vector<std::pair<ProcessorId, Epoch>> all;
  for (const auto& [id, runner] : runners_) all.emplace_back(id, runner.record.epoch);
  for (const auto& [id, epoch] : all) stop(id, epoch, "the node is stopping");
}

void Host::Inside::kill(Runner& runner, const std::string& reason) {
  if (runner.instance && runner.instance->gone.exchange(true)) return;
  if (runner.open) orphan(*runner.open, env_.clock.now());
  put_back(runner);
  runner.state = RunState::stopping;
  runner.reason = reason;
  const ProcessorId id = runner.spec.id;
  ended_[id] = std::max(ended_[id], runner.record.epoch);
  finish_stop(id);
}

void Host::Inside::put_back(Runner& runner) {
  for (const auto& [id, arrivals] : std::exchange(runner.offered, {})) {
    const auto at = connections_.find(id);
    if (at != connections_.end()) at->second.put_back(arrivals);
  }
}

// "Stopped" is said once the worker has returned and what it committed is durable.
bool Host::Inside::finish_stop(const ProcessorId& processor) {
  const auto at = runners_.find(processor);
  if (at == runners_.end()) return false;
  Runner& runner = at->second;
  if (!runner.ending() || runner.open || runner.durable < runner.record.commit) return false;
  const Epoch epoch = runner.record.epoch;
  const std::string reason = std::move(runner.reason);
  if (runner.instance) runner.instance->gone = true;
  if (runner.overtaken) {
    forget_record(processor);
  } else {
    records_[processor] = std::move(runner.record);
  }
  runners_.erase(at);
  events_.report(processor, epoch, RunState::unassigned, reason);
  reconsider(processor);
  return true;
}

void Host::Inside::reconsider(const ProcessorId& processor) {
  const Assignment* assignment = state_->assignments().find(processor);
  const auto at = runners_.find(processor);
  if (at != runners_.end()) {
    Runner& runner = at->second;
    const Epoch epoch = runner.record.epoch;
    // It may be ours again before its worker returns.
    if (is_overtaken(assignment, epoch)) runner.overtaken = true;
    if (assignment == nullptr || assignment->epoch != epoch || assignment->owner != options_.self) {
      kill(runner, "it has moved on");
    } else if (assignment->releasing) {
      stop(processor, epoch, "released");
    }
    return;
  }
  const auto record = records_.find(processor);
  if (record != records_.end() && is_overtaken(assignment, record->second.epoch)) {
    forget_record(processor);
  }
  try_start(processor);
}

// Whether what this node kept of that epoch counts no more (docs/flows.md): somebody else has gone
// on; or a state that is past the epoch does not know the processor, so it was deleted.
bool Host::Inside::is_overtaken(const Assignment* assignment, Epoch epoch) const {
  if (assignment == nullptr) return epoch.index <= state_->version();
  return assignment->owner && assignment->owner != options_.self && assignment->epoch > epoch;
}

// ---- Triggers

void Host::Inside::pause_sources(bool paused) {
  if (sources_paused_ == paused) return;
  sources_paused_ = paused;
  for (const auto& [id, runner] : runners_) wake_.insert(id);
  settle();
}

bool Host::Inside::run_wakes() {
  if (wake_.empty()) return false;
  const Instant now = env_.clock.now();
  for (const ProcessorId& id : std::exchange(wake_, {})) schedule(id, now);
  return true;
}

bool Host::Inside::may_trigger(Runner& runner, Instant now) {
  if (runner.state != RunState::running || runner.open || runner.type == nullptr) return false;
  if (runner.type->source && sources_paused_) return false;
  if (runner.type->settles &&
      (runner.durable < runner.record.commit || runner.covered < runner.needs_cover)) {
    return false;
  }
  bool reason = runner.type->source;
  const ProcessorId& id = runner.spec.id;
  if (const auto inputs = inputs_.find(id); !reason && inputs != inputs_.end()) {
    for (const Uuid& input : inputs->second) {
      const auto at = connections_.find(input);
      reason = reason || (at != connections_.end() && at->second.ready() > 0);
    }
  }
  if (!reason) return false;
  if (!has_room(id)) return false;
  if (now < runner.due) {
    timers_.emplace(runner.due, id);
    return false;
  }
  return now < until_of(*options_.board);
}

bool Host::Inside::has_room(const ProcessorId& processor) const {
  const auto outputs = outputs_.find(processor);
  if (outputs == outputs_.end()) return true;
  for (const auto& [relationship, ids] : outputs->second) {
    for (const Uuid& output : ids) {
      const auto at = connections_.find(output);
      if (at != connections_.end() && at->second.full()) return false;
    }
  }
  return true;
}

// What changes in the world while nothing more can be put out must not be missed.
void Host::Inside::watch(Runner& runner, Instant now) {
  if (runner.type == nullptr || !runner.type->watches || runner.open ||
      runner.state != RunState::running || now >= until_of(*options_.board)) {
    return;
  }
  const ProcessorId& id = runner.spec.id;
  if (!sources_paused_ && has_room(id)) return;
  if (now < runner.watched_at + kWatchEvery) {
    timers_.emplace(runner.watched_at + kWatchEvery, id);
    return;
  }
  auto trigger = make_trigger(runner);
  trigger->watches = true;
  run_trigger(std::move(trigger));
}

void Host::Inside::schedule(const ProcessorId& processor, Instant now) {
  const auto at = runners_.find(processor);
  if (at == runners_.end()) return;
  if (!may_trigger(at->second, now)) return watch(at->second, now);
  Runner& runner = at->second;
  // A flow that was sent again with other properties takes effect between two triggers.
  const ProcessorSpec* spec = state_->processors().find(processor);
  if (spec != nullptr && spec->type != runner.spec.type) return;  // Its release is on the way.
  if (spec != nullptr && *spec != runner.spec) {
    // What only the present instance has open is lost with it: it goes on where it can.
    const bool same = spec->properties == runner.spec.properties;
    runner.spec = *spec;
    if (auto made = same ? Result<void>() : make_instance(runner); !made) {
      const Epoch epoch = runner.record.epoch;
      kill(runner, made.error().message);
      events_.report(processor, epoch, RunState::failed, made.error().message);
      return;
    }
  }

  auto trigger = make_trigger(runner);
  trigger->offer = make_offer(runner);
  run_trigger(std::move(trigger));
}

std::shared_ptr<Trigger> Host::Inside::make_trigger(Runner& runner) const {
  auto trigger = std::make_shared<Trigger>();  // Shared by the job and the call that follows it.
  trigger->processor = runner.spec.id;
  trigger->epoch = runner.record.epoch;
  trigger->watch = options_.watch;
  trigger->instance = runner.instance;
  trigger->board = options_.board;
  trigger->time_max = options_.trigger_time_max;
  runner.open = trigger;
  return trigger;
}

void Host::Inside::run_trigger(std::shared_ptr<Trigger> trigger) {
  trigger->scheduled_at = env_.clock.now();
  with_workers_.emplace(trigger->scheduled_at, trigger->processor);
  env_.workers.run([this, trigger, alive = alive_, post = post_, &clock = env_.clock] {
    run(*trigger, clock);
    post([this, trigger, alive] {
      if (*alive) finish(*trigger);
    });
  });
}

flow::Offer Host::Inside::make_offer(Runner& runner) {
  flow::Offer offer;
  const ProcessorId& id = runner.spec.id;
  offer.epoch = runner.record.epoch;
  offer.state = runner.record.saved.state;
  if (const auto inputs = inputs_.find(id); inputs != inputs_.end()) {
    // Each input gets its share of the trigger; another one goes first each time.
    const auto& ids = inputs->second;
    const size_t share = std::max<size_t>(1, runner.files_max / ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto at = connections_.find(ids[(runner.turn + i) % ids.size()]);
      if (at == connections_.end() || offer.inputs.size() >= runner.files_max) continue;
      for (auto& input : at->second.take(share, options_.trigger_bytes_max / ids.size())) {
        runner.offered[input.connection].push_back(input.arrival);
        offer.inputs.push_back(std::move(input));
      }
    }
    ++runner.turn;
  }
  const auto outputs = outputs_.find(id);
  if (outputs == outputs_.end()) return offer;
  offer.outputs = outputs->second;
  for (const auto& [relationship, ids] : outputs->second) {
    for (const Uuid& output : ids) {
      if (const auto* to = connection(output)) offer.room = std::min(offer.room, to->room());
    }
  }
  return offer;
}

void Host::Inside::finish(Trigger& trigger) {
  const Instant now = env_.clock.now();
  const auto at = runners_.find(trigger.processor);
  if (at == runners_.end()) return;
  Runner& runner = at->second;
  runner.open.reset();
  // The worker may hold the trigger for longer. The instance goes with its runner, before the next
  // one begins: it leaves to that one what only it has open.
  trigger.instance.reset();
  returned(trigger, now);
  note(runner, std::move(trigger.notes), now);
  lapse(now);
  const auto still = runners_.find(trigger.processor);  // It may have ended just now.
  if (still == runners_.end() || still->second.record.epoch != trigger.epoch ||
      still->second.instance->gone) {
    finish_stop(trigger.processor);
    settle();
    return;
  }
  runner.watched_at = now;
  if (!trigger.began || trigger.watches) {
    put_back(runner);
  } else if (!trigger.result) {
    failed(runner, trigger.result.error().message, now);
  } else if (runner.type->state == StateScope::cluster && trigger.result->state &&
             trigger.result->state->size() > flow::kStateMax) {
    failed(runner, "its state is over " + std::to_string(flow::kStateMax) + " bytes", now);
  } else {
    if (trigger.result->wait) {
      runner.due = trigger.began_at + *trigger.result->wait;
    } else if (trigger.result->empty()) {
      runner.due = now + kNothingDone;  // It did nothing and did not say for how long.
    }
    commit(runner, *trigger.result, trigger.trouble, now);
  }
  if (!finish_stop(trigger.processor)) wake_.insert(trigger.processor);
  settle();
}

}  // namespace databridge::node
