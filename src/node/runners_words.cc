// Lines for people about a processor: its notes, why it fails, and that a trigger does not return.
#include <algorithm>

#include "node/runners.h"

namespace databridge::node {
namespace {

constexpr Duration kRetryFirst = 100ms;
constexpr Duration kRetryMost = 30s;
constexpr uint32_t kFaultsTold = 3;
constexpr size_t kWordsMax = 1000;  // The longest note or fault, in bytes.
constexpr size_t kNamesMax = 3;

// Cuts a text that is too long, at the end of a character.
std::string shortened(std::string words) {
  if (words.size() <= kWordsMax) return words;
  size_t end = kWordsMax;
  while (end > 0 && (static_cast<unsigned char>(words[end]) & 0xc0) == 0x80) --end;
  return words.replace(end, std::string::npos, " …");
}

bool runs(const Trigger& trigger) {
  const LeaseBoard::Slot* slot = trigger.slot;
  return slot != nullptr && slot->since != 0;
}

}  // namespace

// A new flow must say what happens to flow files that fail. A flow that is older than this rule
// runs all the same, and the log has a warning about it.
void Runners::warn_of_losses(const Runner& runner) {
  std::set<std::string> connected;
  for (const auto& [relationship, ids] : queues_.topology().outputs(runner.spec.id)) {
    connected.insert(relationship);
  }
  if (auto why = flow::why_lossy(runner.spec, connected, world_.types)) {
    world_.events.note(runner.spec.id, "warning: " + *why);
  }
}

void Runners::tell(Runner& runner, const flow::Delta& delta, const std::string& trouble,
                   Instant now) {
  if (!trouble.empty()) {
    // One line for each new trouble, however long it lasts.
    if (trouble != runner.trouble)
      world_.events.note(runner.spec.id, shortened("waits: " + trouble));
    tell_fault(runner, ++runner.refusals, "waits, and tries again: " + trouble);
    runner.trouble = trouble;
    return;
  }
  if (!std::exchange(runner.trouble, {}).empty()) world_.events.note(runner.spec.id, "goes on");
  runner.refusals = 0;
  if (comes_back(runner, delta)) {
    tell_fault(runner, ++runner.loops, "all that it takes comes back to it");
    back_off(runner, runner.loops, now);
    return;
  }
  runner.loops = 0;
  if (!std::exchange(runner.fault, {}).empty()) {
    world_.events.report(runner.spec.id, runner.record.epoch, runner.state, "");
  }
}

void Runners::note(Runner& runner, std::vector<std::string> notes, Instant now) {
  for (std::string& each : notes) {
    if (auto line = runner.notes.pass(std::move(each), now)) {
      world_.events.note(runner.spec.id, shortened(std::move(*line)));
    }
  }
}

void Runners::back_off(Runner& runner, uint32_t times, Instant now) {
  const auto power = std::min(times - 1, 16u);
  runner.due = std::max(runner.due,
                        now + std::min<Duration>(kRetryFirst * (int64_t{1} << power), kRetryMost));
}

void Runners::failed(Runner& runner, const std::string& why, Instant now) {
  put_back(runner);
  back_off(runner, ++runner.failures, now);
  // With one file in each trigger, a bad flow file fails alone and does not hold up the others.
  runner.files_max = 1;
  if ((runner.failures & (runner.failures - 1)) == 0) {
    world_.events.note(runner.spec.id, shortened("failed " + std::to_string(runner.failures) +
                                                 " times in a row: " + why));
  }
  tell_fault(runner, runner.failures, "fails at every trigger: " + why);
}

// One failure may be chance, so the first report comes after kFaultsTold failures in a row. Each
// report is an entry of the cluster's log, so later reports become ever rarer.
void Runners::tell_fault(Runner& runner, uint32_t times, const std::string& words) {
  const bool rarely = (times & (times - 1)) == 0;
  if (times < kFaultsTold || (times > kFaultsTold && !rarely)) return;
  runner.fault = shortened(words);
  world_.events.report(runner.spec.id, runner.record.epoch, runner.state, runner.fault);
}

// ---- Triggers that do not return

// The number of workers is limited: a trigger that does not return keeps a worker that other
// processors need. So people and the leader are told about it.
void Runners::look_for_stuck(Instant now) {
  while (!with_workers_.empty() && with_workers_.begin()->first + kStuckAfter <= now) {
    const ProcessorId id = with_workers_.begin()->second;
    with_workers_.erase(with_workers_.begin());
    const auto at = runners_.find(id);
    if (at == runners_.end() || !at->second.open) continue;
    Runner& runner = at->second;
    std::string words =
        "its trigger has run for more than 10 s and does not return: it keeps a "
        "worker thread";
    if (!runs(*runner.open)) {
      words = "its trigger has waited for a worker thread for more than 10 s";
      size_t count = 0;
      for (const auto& [other, since_ms] : stuck_) {
        const auto kept = runners_.find(other);
        if (kept == runners_.end() || !kept->second.open || !runs(*kept->second.open)) continue;
        const ProcessorSpec& spec = kept->second.spec;
        if (count < kNamesMax) {
          words += (count == 0 ? ": those that do not return: " : ", ") + spec.flow.value + "/" +
                   spec.name;
        }
        ++count;
      }
      if (count > kNamesMax) words += " and " + std::to_string(count - kNamesMax) + " more";
    }
    const auto passed =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - runner.open->scheduled_at);
    stuck_[id] = world_.env.clock.unix_ms() - passed.count();
    world_.events.note(id, words);
    runner.fault = words;
    world_.events.report(id, runner.record.epoch, runner.state, words);
  }
}

std::vector<cluster::StuckTrigger> Runners::stuck() const {
  std::vector<cluster::StuckTrigger> all;
  for (const auto& [id, since_ms] : stuck_) {
    const auto at = runners_.find(id);
    if (at == runners_.end() || !at->second.open) continue;
    all.push_back({id, since_ms, runs(*at->second.open)});
  }
  return all;
}

void Runners::returned(const Trigger& trigger, Instant now) {
  with_workers_.erase({trigger.scheduled_at, trigger.processor});
  if (stuck_.erase(trigger.processor) == 0) return;
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now - trigger.scheduled_at).count();
  world_.events.note(trigger.processor,
                     "its trigger has returned after " + std::to_string(seconds) + " s");
}

}  // namespace databridge::node
