// Runners: the life of a processor under one epoch, from its start to the report that it has
// stopped.
#include "node/runners.h"

#include <algorithm>

#include "base/canary.h"
#include "flow/record.h"

namespace databridge::node {

using flow::StateScope;

namespace {

constexpr char kExternal[] = "external";

}  // namespace

Runners::Runners(Options options, HostWorld world, Post post, Queues& queues)
    : options_(std::move(options)),
      world_(std::move(world)),
      post_(std::move(post)),
      queues_(queues),
      external_(world_.embedder, world_.env.clock, options_.board, post_,
                [this](const ProcessorId& id) { finish_stop(id); }) {}

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

// A renewal that comes after the end of the lease does not save the epochs of that lease. The
// leader may have given their work to another node already (safety.md 1.4).
void Runners::renew(Instant until) {
  const Instant now = world_.env.clock.now();
  lapse(now);
  if (until > now && until > options_.board->ends()) {
    options_.board->until = until.time_since_epoch().count();
  }
}

bool Runners::is_leased(Instant now) const { return now < options_.board->ends(); }

// Once for each lease: without one nothing begins, so there is nothing more to end.
void Runners::lapse(Instant now) {
  const Instant end = options_.board->ends();
  if (now < end || lapsed_ == end) return;
  lapsed_ = end;
  std::vector<ProcessorId> all;
  for (const auto& [id, runner] : runners_) all.push_back(id);
  for (const ProcessorId& id : all) kill(runners_.at(id), "the lease ended");
}

// ---- Beginning

// An epoch that ended here never begins again. Its handover gate may be open since then, so another
// node may be running the processor (safety.md 1.4).
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
  // This node has not applied the assignment yet.
  if (assignment == nullptr || assignment->epoch < epoch) return;
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
  runner.type = world_.types.find(spec->type);
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
  // The record that the epoch began must be on disk before its first trigger, so the runner stays
  // `starting` until then. After a restart the epoch of each record counts as over. So no epoch
  // begins twice, not even on both sides of a restart.
  write_record(placed, false);
  if (adopted && saves_in_log(placed)) placed.needs_cover = placed.record.commit;
  world_.events.report(processor, epoch, RunState::starting, "");
}

void Runners::over(const ProcessorId& processor, Epoch epoch) {
  Epoch& newest = ended_[processor];
  newest = std::max(newest, epoch);
}

// Returns the data from which this epoch goes on. Its history leaves out earlier epochs if no entry
// waits for the log's decision about them, so that checkpoints stay small (safety.md 9.4): epochs
// of this node, if none of its entries wait for that; and epochs of nodes that are out of the
// cluster for good.
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

// The processor goes on from this node's own record, unless the log has a newer checkpoint.
// `adopted` is set if the record is newer than the last checkpoint: then a first checkpoint must
// say so, so that the held outputs may leave.
flow::Saved Runners::last_saved(const Assignment& assignment, bool& adopted) {
  const ProcessorSpec& spec = *state_->processors().find(assignment.processor);
  const flow::ProcessorType* type = world_.types.find(spec.type);
  const auto local = records_.find(assignment.processor);
  const bool has_local = local != records_.end();
  // The state of an external processor is in the log, too. A node without its engine keeps it.
  if (type == nullptr ? spec.type != kExternal : type->state == StateScope::none) return {};
  const Checkpoint& checkpoint = assignment.checkpoint;
  if (type != nullptr && type->state == StateScope::node) {
    // An older record belongs to an earlier processor with the same id.
    const bool ours = has_local && local->second.epoch >= checkpoint.epoch;
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
    if (runner.spec.type == kExternal) return {};
    return fail(Code::unprocessable, "there is no processor type \"" + runner.spec.type + "\"");
  }
  auto processor = flow::make_processor(runner.spec, world_.types);
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

// Ends an epoch after its present trigger, whose result still counts.
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
  external_.end(processor, false, world_.env.clock.now());
  if (!finish_stop(processor)) world_.events.report(processor, epoch, RunState::stopping, reason);
}

void Runners::stop_all() {
  std::vector<std::pair<ProcessorId, Epoch>> all;
  for (const auto& [id, runner] : runners_) all.emplace_back(id, runner.record.epoch);
  for (const auto& [id, epoch] : all) stop(id, epoch, "the node is stopping");
}

// Ends an epoch at once. Its inputs go back. If a trigger is with a worker, its result does not
// count, and the watchdog gives it only the stop budget to return.
void Runners::kill(Runner& runner, const std::string& reason) {
  if (runner.instance && runner.instance->gone.exchange(true)) return;
  if (runner.open) orphan(*runner.open, world_.env.clock.now());
  put_back(runner);
  runner.state = RunState::stopping;
  runner.reason = reason;
  const ProcessorId id = runner.spec.id;
  over(id, runner.record.epoch);
  external_.end(id, true, world_.env.clock.now());
  external_.forget(id);  // The program may wait for a save before its stop returns.
  finish_stop(id);
}

void Runners::put_back(Runner& runner) {
  for (const auto& [id, arrivals] : std::exchange(runner.offered, {})) {
    queues_.put_back(id, arrivals);
  }
}

// "Stopped" opens the handover gate, so the next owner may begin at once. Nothing of this epoch may
// come after it. So it is said only when the worker, or the stop of the embedding program, has
// returned and the last commit is durable.
bool Runners::finish_stop(const ProcessorId& processor) {
  const auto at = runners_.find(processor);
  if (at == runners_.end()) return false;
  Runner& runner = at->second;
  if (!runner.ending() || runner.open || runner.durable < runner.record.commit) return false;
  if (external_.holds(processor)) return false;
  external_.forget(processor);
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
    // This is noted now, because this node may be the owner again before its worker returns.
    if (is_overtaken(assignment, epoch)) runner.overtaken = true;
    if (assignment == nullptr || assignment->epoch != epoch || assignment->owner != options_.self) {
      kill(runner, "it has moved on");
    } else if (assignment->releasing) {
      // The log takes no checkpoint of this epoch any more. A save that it has taken before counts.
      cover(runner, world_.env.clock.now());
      external_.forget(processor);
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

// True if this node's record of that epoch does not count any more (docs/flows.md). Either another
// node got the processor in a later epoch. Or it was deleted: the state is past the epoch and does
// not know the processor.
bool Runners::is_overtaken(const Assignment* assignment, Epoch epoch) const {
  if (assignment == nullptr) return epoch.index <= state_->version();
  return assignment->owner && assignment->owner != options_.self && assignment->epoch > epoch;
}

}  // namespace databridge::node
