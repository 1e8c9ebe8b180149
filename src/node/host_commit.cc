// Commits: what a trigger hands in, until it is durable and, where it needs one, its checkpoint is
// in the log.
#include <algorithm>

#include "flow/record.h"
#include "node/host_inside.h"

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

// It fed itself and did nothing else: what failed is tried again, say.
bool Host::Inside::comes_back(const Runner& runner, const flow::Delta& delta) const {
  return !delta.consumed.empty() && delta.outputs.size() >= delta.consumed.size() &&
         std::all_of(delta.outputs.begin(), delta.outputs.end(), [&](const flow::Output& output) {
           const ConnectionSpec* spec = state_->connection(output.connection);
           return spec != nullptr && spec->to == runner.spec.id;
         });
}

void Host::Inside::commit(Runner& runner, flow::Delta& delta, const std::string& trouble,
                          Instant now) {
  runner.failures = 0;
  runner.files_max = std::min(runner.files_max * 2, options_.trigger_files_max);
  tell(runner, delta, trouble, now);
  std::map<Uuid, std::vector<uint64_t>> consumed;
  for (const flow::Input& input : delta.consumed) {
    // Otherwise its connection was deleted while the trigger ran.
    if (runner.offered.contains(input.connection)) {
      consumed[input.connection].push_back(input.arrival);
    }
  }
  for (const auto& [id, arrivals] : consumed) {
    const auto from = connections_.find(id);
    if (from == connections_.end()) continue;
    from->second.consume(arrivals, writes_);
    touch(from->second);
  }
  put_back(runner);  // What was offered and not taken.
  if (delta.empty()) return;

  flow::ProcessorRecord& record = runner.record;
  const bool checkpointed = delta.state && runner.type->state == StateScope::cluster;
  if (delta.state) record.saved.state = std::move(*delta.state);
  if (checkpointed) runner.needs_cover = record.commit + 1;
  // Inputs that are taken here are gone: outputs made of them must not hang on a checkpoint that
  // another owner may overtake. Outputs of a source do.
  const uint64_t hangs_on = delta.consumed.empty() ? runner.needs_cover : 0;
  bool outputs = false;
  for (flow::Output& output : delta.outputs) {
    flow::Connection* to = connection(output.connection);
    if (to == nullptr) continue;  // Deleted while the trigger ran: it ends there.
    to->append(record.epoch, ++record.sequences[output.connection], hangs_on,
               std::move(output.file), writes_);
    touch(*to);
    outputs = true;
  }
  if (outputs && hangs_on > runner.covered) runner.held.push_back(hangs_on);
  write_record(runner, outputs && hangs_on <= runner.covered);
}

void Host::Inside::write_record(Runner& runner, bool outputs) {
  ++runner.record.commit;
  if (options_.watch != nullptr) {
    options_.watch->handed_in(runner.spec.id, runner.record.epoch, runner.record.commit);
  }
  writes_.put(env::Space::state, record_key(runner.spec.id), flow::encode(runner.record));
  const bool cluster = runner.type != nullptr && runner.type->state == StateScope::cluster;
  open_.commits.push_back({runner.spec.id, runner.record.epoch, runner.record.commit,
                           cluster ? flow::encode(runner.record.saved) : "", outputs});
}

void Host::Inside::forget_record(const ProcessorId& processor) {
  writes_.erase(env::Space::state, record_key(processor));
  records_.erase(processor);
}

void Host::Inside::committed(const Flight::Commit& commit) {
  const auto at = runners_.find(commit.processor);
  if (at == runners_.end() || at->second.record.epoch != commit.epoch) return;
  Runner& runner = at->second;
  runner.durable = commit.commit;
  runner.safe = commit.saved;
  const Instant now = env_.clock.now();
  // What was committed in time and is durable after the lease leaves as the remains of an epoch
  // that is over: in the queue here, or by deliveries that name the newest epoch.
  const bool over = runner.instance && runner.instance->gone;
  if (commit.outputs && !over && options_.watch != nullptr) {
    options_.watch->released(commit.processor, commit.epoch, commit.commit, now);
  }
  if (runner.state == RunState::starting) {
    runner.state = RunState::running;
    events_.report(commit.processor, commit.epoch, RunState::running,
                   runner.type == nullptr ? "run by an embedding engine" : "");
  }
  cover(runner, now);
  if (!finish_stop(commit.processor)) wake_.insert(commit.processor);
}

void Host::Inside::cover(Runner& runner, Instant now) {
  const ProcessorId& id = runner.spec.id;
  const Assignment* assignment = state_->assignments().find(id);
  if (assignment == nullptr || assignment->epoch != runner.record.epoch) return;
  const Checkpoint& saved = assignment->checkpoint;
  if (saved.epoch == runner.record.epoch && saved.sequence > runner.covered) {
    runner.covered = saved.sequence;
    touch_outputs(id);
    wake_.insert(id);
    while (!runner.held.empty() && runner.held.front() <= runner.covered) {
      const bool over = runner.instance && runner.instance->gone;
      if (!over && options_.watch != nullptr) {
        options_.watch->released(id, runner.record.epoch, runner.held.front(), now);
      }
      runner.held.pop_front();
    }
  }
  if (runner.covered >= runner.proposed) runner.proposed = 0;
  const bool due = runner.proposed == 0 || now >= runner.proposed_at + kCheckpointRetry;
  if (runner.needs_cover <= runner.covered || runner.durable <= runner.covered || !due ||
      assignment->releasing) {
    return;
  }
  runner.proposed = runner.durable;
  runner.proposed_at = now;
  timers_.emplace(now + kCheckpointRetry, id);
  events_.save_checkpoint(id, {runner.record.epoch, runner.durable, runner.safe});
}

}  // namespace databridge::node
