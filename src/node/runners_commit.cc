// Commits: the result of a trigger, until it is durable and, if it needs a checkpoint, until that
// is in the log.
#include <algorithm>
#include <set>

#include "flow/record.h"
#include "node/runners.h"

namespace databridge::node {

using flow::StateScope;

namespace {

constexpr Duration kCheckpointRetry = 1s;

Bytes record_key(const ProcessorId& id) {
  Bytes key = "p";
  flow::append_key(key, id);
  return key;
}

}  // namespace

// True if the trigger did nothing but feed its own processor, as when files that failed are sent
// back to try again.
bool Runners::comes_back(const Runner& runner, const flow::Delta& delta) const {
  return !delta.consumed.empty() && delta.outputs.size() >= delta.consumed.size() &&
         std::all_of(delta.outputs.begin(), delta.outputs.end(), [&](const flow::Output& output) {
           const ConnectionSpec* spec = state_->connection(output.connection);
           return spec != nullptr && spec->to == runner.spec.id;
         });
}

void Runners::commit(Runner& runner, flow::Delta& delta, const std::string& trouble, Instant now) {
  runner.failures = 0;
  // After a failure the triggers grow again step by step.
  runner.files_max = std::min(runner.files_max * 2, options_.trigger_files_max);
  tell(runner, delta, trouble, now);
  std::map<Uuid, std::vector<uint64_t>> consumed;
  for (const flow::Input& input : delta.consumed) {
    // An input is not in `offered` any more if its connection was deleted while the trigger ran.
    if (runner.offered.contains(input.connection)) {
      consumed[input.connection].push_back(input.arrival);
    }
  }
  for (const auto& [id, arrivals] : consumed) queues_.consume(id, arrivals);
  put_back(runner);  // The inputs that were offered and not taken.
  if (delta.empty()) return;

  flow::ProcessorRecord& record = runner.record;
  const bool checkpointed = delta.state && runner.type->state == StateScope::cluster;
  if (delta.state) record.saved.state = std::move(*delta.state);
  if (checkpointed) runner.needs_cover = record.commit + 1;
  // Outputs of a source wait for a checkpoint: if another owner takes over before it, these outputs
  // are dropped, and that owner makes them again. Outputs that are made of inputs must not wait for
  // one. Their inputs are erased in this commit, so no other owner can make them again.
  const uint64_t hangs_on = delta.consumed.empty() ? runner.needs_cover : 0;
  std::set<Uuid> filled;
  for (flow::Output& output : delta.outputs) {
    const Uuid& to = output.connection;
    // The connection was deleted while the trigger ran, and the output is dropped.
    if (!queues_.may_append(to)) continue;
    queues_.append(to, record.epoch, ++record.sequences[to], hangs_on, std::move(output.file));
    filled.insert(to);
  }
  for (const Uuid& to : filled) queues_.appended(to);
  const bool outputs = !filled.empty();
  if (outputs && hangs_on > runner.covered) runner.held.push_back(hangs_on);
  write_record(runner, outputs && hangs_on <= runner.covered);
}

void Runners::write_record(Runner& runner, bool outputs) {
  ++runner.record.commit;
  if (world_.watch != nullptr) {
    world_.watch->handed_in(runner.spec.id, runner.record.epoch, runner.record.commit);
  }
  const ProcessorId& id = runner.spec.id;
  world_.journal.batch().put(env::Space::state, record_key(id), flow::encode(runner.record));
  world_.when_safe(
      id, [this, commit = Commit{id, runner.record.epoch, runner.record.commit,
                                 saves_in_log(runner) ? flow::encode(runner.record.saved) : "",
                                 outputs}] { committed(commit); });
}

void Runners::forget_record(const ProcessorId& processor) {
  world_.journal.batch().erase(env::Space::state, record_key(processor));
  records_.erase(processor);
}

// The lease may have ended while the disk was writing. Then all epochs end first.
void Runners::committed(const Commit& commit) {
  const Instant now = world_.env.clock.now();
  lapse(now);
  if (world_.watch != nullptr) {
    world_.watch->safe(commit.processor, commit.epoch, commit.commit);
  }
  const auto at = runners_.find(commit.processor);
  if (at == runners_.end() || at->second.record.epoch != commit.epoch) return;
  Runner& runner = at->second;
  runner.durable = commit.commit;
  runner.safe = commit.saved;
  // A commit that was handed in under the lease may become durable after its end. Its outputs leave
  // all the same, as entries of an epoch that is over: they are in the queue here, or go out in
  // deliveries that name the newest epoch. So this is no release by the epoch itself.
  const bool over = runner.instance && runner.instance->gone;
  if (commit.outputs && !over && world_.watch != nullptr) {
    world_.watch->released(commit.processor, commit.epoch, commit.commit, now);
  }
  if (runner.state == RunState::starting) {
    runner.state = RunState::running;
    if (!begin_external(runner, now)) return;
  }
  cover(runner, now);
  if (!finish_stop(commit.processor)) wake_.insert(commit.processor);
}

void Runners::cover(const ProcessorId& processor, Instant now) {
  const auto at = runners_.find(processor);
  if (at != runners_.end()) cover(at->second, now);
}

void Runners::cover(Runner& runner, Instant now) {
  const ProcessorId& id = runner.spec.id;
  const Assignment* assignment = state_->assignments().find(id);
  if (assignment == nullptr || assignment->epoch != runner.record.epoch) return;
  const Checkpoint& saved = assignment->checkpoint;
  if (saved.epoch == runner.record.epoch && saved.sequence > runner.covered) {
    runner.covered = saved.sequence;
    external_.covered(id, runner.covered);
    queues_.outputs_may_leave(id);
    wake_.insert(id);
    const auto end = std::ranges::upper_bound(runner.held, runner.covered);
    const bool over = runner.instance && runner.instance->gone;
    for (auto commit = runner.held.begin(); commit != end; ++commit) {
      if (!over && world_.watch != nullptr) {
        world_.watch->released(id, runner.record.epoch, *commit, now);
      }
    }
    runner.held.erase(runner.held.begin(), end);
  }
  if (runner.covered >= runner.proposed) runner.proposed = 0;
  // One checkpoint is under way at a time, and the next one includes all commits until then. A
  // proposal may be lost, so it is repeated. After the Release the log takes no checkpoint of this
  // epoch.
  const bool due = runner.proposed == 0 || now >= runner.proposed_at + kCheckpointRetry;
  if (runner.needs_cover <= runner.covered || runner.durable <= runner.covered || !due ||
      assignment->releasing) {
    return;
  }
  runner.proposed = runner.durable;
  runner.proposed_at = now;
  timers_.emplace(now + kCheckpointRetry, id);
  world_.events.save_checkpoint(id, {runner.record.epoch, runner.durable, runner.safe});
}

// ---- Processors that the embedding program runs

// True if what the processor saves goes into the log. A node without an embedding program has
// nothing to save for it.
bool Runners::saves_in_log(const Runner& runner) const {
  return runner.type == nullptr ? external_.is_there() : runner.type->state == StateScope::cluster;
}

// The epoch is on the disk, so it may begin. A processor of our own waits for its first trigger.
// False: it cannot begin, and its runner is gone.
bool Runners::begin_external(Runner& runner, Instant now) {
  const ProcessorId id = runner.spec.id;
  const Epoch epoch = runner.record.epoch;
  if (runner.type == nullptr && external_.is_there()) {
    auto begun = external_.begin(runner.spec, epoch, runner.record.saved.state, now);
    if (!begun) {
      kill(runner, begun.error().message);
      world_.events.report(id, epoch, RunState::failed, begun.error().message);
      return false;
    }
  }
  world_.events.report(id, epoch, RunState::running,
                       runner.type == nullptr ? "run by an embedding engine" : "");
  return true;
}

void Runners::save(const ProcessorId& processor, Epoch epoch, Bytes state, External::Saved saved) {
  lapse(world_.env.clock.now());
  const auto at = runners_.find(processor);
  if (at == runners_.end() || !external_.may_save(processor, epoch)) {
    return saved(fail(Code::forbidden, "the processor " + processor.text() +
                                           " does not run here under the epoch " +
                                           std::to_string(epoch.number()) + " any more"));
  }
  if (state.size() > flow::kStateMax) {
    return saved(fail(Code::too_large, "the state has " + std::to_string(state.size()) +
                                           " bytes: at most " + std::to_string(flow::kStateMax)));
  }
  Runner& runner = at->second;
  const Assignment* assignment = state_->assignments().find(processor);
  if (assignment == nullptr || assignment->releasing) {
    return saved(fail(Code::conflict,
                      "the processor is leaving this node: its next owner goes on from the save "
                      "before"));
  }
  runner.record.saved.state = std::move(state);
  runner.needs_cover = runner.record.commit + 1;
  external_.await(processor, runner.needs_cover, std::move(saved));
  write_record(runner, false);
}

}  // namespace databridge::node
