// Runners: a processor under an epoch, from its start to the report that it has stopped.
#include "node/runners.h"

#include <algorithm>

#include "base/canary.h"
#include "flow/record.h"

namespace databridge::node {

using flow::StateScope;

Runners::Runners(Options options, HostWorld world, Post post, Queues& queues)
    : options_(std::move(options)),
      world_(std::move(world)),
      post_(std::move(post)),
      queues_(queues) {}

Runners::~Runners() {
  for (auto& [id, runner] : runners_) {
    if (runner.instance) runner.instance->gone = true;
  }
}

Result<void> Runners::restore() {
  Result<void> outcome;
  const auto read =
      world_.env.store.scan(env::Space::state, "p", "q", [&](BytesView key, BytesView value) {
        auto record = flow::decode_record(value);
        if (!record || key.size() != 17) {
          outcome = fail(Code::corrupt, "a damaged record of what a processor keeps");
          return false;
        }
        const ProcessorId id{read_big64(key.substr(1)), read_big64(key.substr(9))};
        ended_[id] = record->epoch;
        records_[id] = std::move(*record);
        return true;
      });
  return read ? outcome : read;
}

std::set<ProcessorId> Runners::processors() const {
  std::set<ProcessorId> all;
  for (const auto& [id, runner] : runners_) all.insert(id);
  for (const auto& [id, epoch] : parked_) all.insert(id);
  for (const auto& [id, record] : records_) all.insert(id);
  return all;
}

void Runners::dropped(const Uuid& connection, const std::optional<ProcessorId>& reader) {
  if (reader) {
    const auto at = runners_.find(*reader);
    if (at != runners_.end()) at->second.offered.erase(connection);
  } else {
    for (auto& [id, runner] : runners_) runner.offered.erase(connection);
  }
}

// ---- The lease

void Runners::renew(Instant until) {
  const Instant now = world_.env.clock.now();
  lapse(now);
  if (until > now && until > options_.board->ends()) {
    options_.board->until = until.time_since_epoch().count();
  }
  std::vector<ProcessorId> waiting;
  for (const auto& [id, epoch] : parked_) waiting.push_back(id);
  for (const ProcessorId& id : waiting) try_start(id);
}

bool Runners::is_leased(Instant now) const { return now < options_.board->ends(); }

void Runners::lapse(Instant now) {
  if (is_leased(now)) return;
  std::vector<ProcessorId> all;
  for (const auto& [id, runner] : runners_) all.push_back(id);
  for (const ProcessorId& id : all) kill(runners_.at(id), "the lease ended");
}

// ---- Beginning

void Runners::start(const ProcessorId& processor, Epoch epoch) {
  const auto over = ended_.find(processor);
  const auto runner = runners_.find(processor);
  if (over != ended_.end() && epoch <= over->second) {
    if (runner == runners_.end() || runner->second.record.epoch != epoch) {
      world_.events.report(processor, epoch, RunState::unassigned, "this epoch is over here");
    }
    return;
  }
  if (runner != runners_.end() && runner->second.record.epoch == epoch) {
    world_.events.report(processor, epoch, runner->second.state, runner->second.fault);
    return;
  }
  parked_[processor] = std::max(parked_[processor], epoch);
  try_start(processor);
}

void Runners::try_start(const ProcessorId& processor) {
  const auto parked = parked_.find(processor);
  if (parked == parked_.end() || runners_.count(processor) > 0) return;
  const Epoch epoch = parked->second;
  const Assignment* assignment = state_->assignments().find(processor);
  if (assignment == nullptr || assignment->epoch < epoch) return;  // Not applied yet.
  const ProcessorSpec* spec = state_->processors().find(processor);
  const bool ours = assignment->epoch == epoch && assignment->owner == options_.self &&
                    !assignment->releasing && spec != nullptr;
  const bool leased = is_leased(world_.env.clock.now());
  parked_.erase(parked);
  if (!ours || !leased) {
    over(processor, epoch);
    world_.events.report(processor, epoch, RunState::unassigned,
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
    over(processor, epoch);
    world_.events.report(processor, epoch, RunState::failed, made.error().message);
    return;
  }
  Runner& placed = runners_.emplace(processor, std::move(runner)).first->second;
  warn_of_losses(placed);
  // That the epoch began is on disk before its first trigger: it never begins twice.
  write_record(placed, false);
  if (adopted) placed.needs_cover = placed.record.commit;
  world_.events.report(processor, epoch, RunState::starting, "");
}

void Runners::over(const ProcessorId& processor, Epoch epoch) {
  Epoch& newest = ended_[processor];
  newest = std::max(newest, epoch);
}

// Earlier epochs whose outputs wait nowhere for a word about them are forgotten (safety.md 9.4):
// this node's own, when it has none of them or has written their last commit down, and those of
// nodes that are out for good.
flow::Saved Runners::continue_from(const Assignment& assignment, bool& adopted) {
  flow::Saved saved = last_saved(assignment, adopted);
  saved.by = options_.self;
  saved.history.forget_if([&](Epoch epoch, const flow::History::Last& last) {
    if (CANARY(forgets_epochs)) return true;
    if (last.owner == options_.self) return !queues_.awaits_word(assignment.processor, epoch);
    return last.owner && !may_return(*state_, last.owner);
  });
  return saved;
}

// Where the processor goes on: from this node's own records if nobody else has said anything since,
// else from the newest checkpoint in the log.
flow::Saved Runners::last_saved(const Assignment& assignment, bool& adopted) {
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
    world_.events.note(spec.id,
                       "its checkpoint cannot be read, it starts anew: " + saved.error().message);
    return {};
  }
  if (!checkpoint.bytes.empty()) {
    saved->history.add(checkpoint.epoch, checkpoint.sequence, saved->by);
  }
  return std::move(*saved);
}

Result<void> Runners::make_instance(Runner& runner) {
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
      flow::World{world_.env.files, world_.env.clock, Random(hash64(seed, world_.env.seed)), {}});
  runner.instance->world.stop = &runner.instance->gone;
  runner.instance->world.processor = runner.spec.id;
  return {};
}

// ---- Ending

void Runners::stop(const ProcessorId& processor, Epoch epoch, const std::string& reason) {
  const auto at = runners_.find(processor);
  if (const auto parked = parked_.find(processor);
      parked != parked_.end() && parked->second <= epoch) {
    parked_.erase(parked);
  }
  if (at == runners_.end() || at->second.record.epoch != epoch) {
    if (at == runners_.end() || at->second.record.epoch > epoch) {
      over(processor, epoch);
      world_.events.report(processor, epoch, RunState::unassigned, "not running");
    }
    return;
  }
  Runner& runner = at->second;
  if (runner.ending()) return;
  runner.state = RunState::stopping;
  runner.reason = reason;
  over(processor, epoch);
  if (!finish_stop(processor)) world_.events.report(processor, epoch, RunState::stopping, reason);
}

void Runners::stop_all() {
  std::vector<std::pair<ProcessorId, Epoch>> all;
  for (const auto& [id, runner] : runners_) all.emplace_back(id, runner.record.epoch);
  for (const auto& [id, epoch] : all) stop(id, epoch, "the node is stopping");
}

void Runners::kill(Runner& runner, const std::string& reason) {
  if (runner.instance && runner.instance->gone.exchange(true)) return;
  if (runner.open) orphan(*runner.open, world_.env.clock.now());
  put_back(runner);
  runner.state = RunState::stopping;
  runner.reason = reason;
  const ProcessorId id = runner.spec.id;
  over(id, runner.record.epoch);
  finish_stop(id);
}

void Runners::put_back(Runner& runner) {
  for (const auto& [id, arrivals] : std::exchange(runner.offered, {})) {
    queues_.put_back(id, arrivals);
  }
}

// "Stopped" is said once the worker has returned and what it committed is durable.
bool Runners::finish_stop(const ProcessorId& processor) {
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
  world_.events.report(processor, epoch, RunState::unassigned, reason);
  reconsider(processor);
  return true;
}

void Runners::reconsider(const ProcessorId& processor) {
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
bool Runners::is_overtaken(const Assignment* assignment, Epoch epoch) const {
  if (assignment == nullptr) return epoch.index <= state_->version();
  return assignment->owner && assignment->owner != options_.self && assignment->epoch > epoch;
}

}  // namespace databridge::node
