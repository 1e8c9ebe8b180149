// The runners of this node: each is one processor under one epoch, from its start to the report
// that it has stopped.
//
// - Owns: the runners, the record of each processor on this disk (Space::state), and the triggers
//   that are with a worker.
// - Hides: when a processor is triggered, what ends an epoch, how failures are tried again, and
//   which outputs wait for a checkpoint (docs/flows.md).
//
// Not pure: it reads the clock and runs jobs on workers. Engine thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/view.h"
#include "flow/saved.h"
#include "node/external.h"
#include "node/host_events.h"
#include "node/queues.h"
#include "node/runner.h"
#include "state/state.h"

namespace databridge::node {

class Runners {
 public:
  // A trigger that has not returned after this time is reported as stuck.
  static constexpr Duration kStuckAfter = 10s;

  struct Options {
    Incarnation self;
    size_t trigger_files_max = 1024;
    uint64_t trigger_bytes_max = 4 << 20;
    Duration trigger_time_max = 500ms;  // After this time a trigger gets no further input.
    std::shared_ptr<LeaseBoard> board;
  };
  // Brings a call to the engine's thread. Any thread may use it. It drops calls that come after the
  // host is gone.
  using Post = std::function<void(std::function<void()>)>;

  Runners(Options options, HostWorld world, Post post, Queues& queues);
  ~Runners();

  // Reads the data that the last start left. Call it once, before anything else. It may wait for
  // the disk.
  Result<void> restore();

  // ---- Changes of the state. The state is the brain's own, and stays valid.
  void applied(const State& state) { state_ = &state; }
  void reconsider(const ProcessorId& processor);  // The assignment or spec may have changed.
  // Releases outputs that a checkpoint covers, and asks for the next checkpoint if one is needed.
  void cover(const ProcessorId& processor, Instant now);
  // The flow files of that connection are deleted. `reader` is the same as in Queues::Dropped.
  void dropped(const Uuid& connection, const std::optional<ProcessorId>& reader);
  // All processors that have a runner, a start that waits, or a record on this node.
  std::set<ProcessorId> processors() const;

  // ---- Orders of the leader
  void renew(Instant until);
  void start(const ProcessorId& processor, Epoch epoch);
  void stop(const ProcessorId& processor, Epoch epoch, const std::string& reason);
  void stop_all();

  // A processor that the embedding program runs is saved under that epoch. `saved` is called once
  // the log has it, or says why it has not.
  void save(const ProcessorId& processor, Epoch epoch, Bytes state, External::Saved saved);

  // ---- Time and room
  void lapse(Instant now);  // Ends every epoch if the lease has ended.
  void tick(Instant now);
  std::optional<Instant> next_wake() const;
  void pause_sources(bool paused);
  void wake(const ProcessorId& processor) { wake_.insert(processor); }
  // Triggers the processors that were woken. False: none was.
  bool settle();

  const std::map<ProcessorId, Runner>& all() const { return runners_; }
  std::vector<cluster::StuckTrigger> stuck() const;

 private:
  // ---- Beginning and ending (runners.cc)
  void try_start(const ProcessorId& processor);
  void over(const ProcessorId& processor, Epoch epoch);
  flow::Saved continue_from(const Assignment& assignment, bool& adopted);
  flow::Saved last_saved(const Assignment& assignment, bool& adopted);
  Result<void> make_instance(Runner& runner);
  bool is_overtaken(const Assignment* assignment, Epoch epoch) const;
  void kill(Runner& runner, const std::string& reason);
  void put_back(Runner& runner);
  bool finish_stop(const ProcessorId& processor);
  bool is_leased(Instant now) const;
  bool begin_external(Runner& runner, Instant now);
  bool saves_in_log(const Runner& runner) const;

  // ---- Triggers (runners_triggers.cc)
  void schedule(const ProcessorId& processor, Instant now);
  bool take_spec(Runner& runner);
  bool may_trigger(Runner& runner, Instant now);
  void watch(Runner& runner, Instant now);
  std::shared_ptr<Trigger> make_trigger(Runner& runner) const;
  void run_trigger(const std::shared_ptr<Trigger>& trigger);
  flow::Offer make_offer(Runner& runner);
  void finish(Trigger& trigger);
  void take_result(Runner& runner, Trigger& trigger, Instant now);

  // ---- Commits (runners_commit.cc)
  struct Commit {
    ProcessorId processor;
    Epoch epoch;
    uint64_t commit;
    std::string saved;
    bool outputs;
  };
  void commit(Runner& runner, flow::Delta& delta, const std::string& trouble, Instant now);
  bool comes_back(const Runner& runner, const flow::Delta& delta) const;
  void write_record(Runner& runner, bool outputs);
  void forget_record(const ProcessorId& processor);
  void committed(const Commit& commit);
  void cover(Runner& runner, Instant now);

  // ---- Lines for people (runners_words.cc)
  void warn_of_losses(const Runner& runner);
  void tell(Runner& runner, const flow::Delta& delta, const std::string& trouble, Instant now);
  void note(Runner& runner, std::vector<std::string> notes, Instant now);
  void failed(Runner& runner, const std::string& why, Instant now);
  void tell_fault(Runner& runner, uint32_t times, const std::string& words);
  void back_off(Runner& runner, uint32_t times, Instant now);
  void look_for_stuck(Instant now);
  void returned(const Trigger& trigger, Instant now);

  const Options options_;
  HostWorld world_;
  Post post_;
  Queues& queues_;
  External external_;

  const State none_;
  const State* state_ = &none_;
  std::map<ProcessorId, Runner> runners_;
  std::map<ProcessorId, Epoch> parked_;  // Starts that wait for a condition.
  // The newest epoch of each processor that is over here.
  std::map<ProcessorId, Epoch> ended_;
  // The records on disk, as they were when the last epoch of each processor ended.
  std::map<ProcessorId, flow::ProcessorRecord> records_;
  std::optional<Instant> lapsed_;  // The end of the lease after which lapse() has ended all.
  bool sources_paused_ = false;
  // Processors that may have a reason to be triggered.
  std::set<ProcessorId> wake_;
  // When to wake a processor.
  std::set<std::pair<Instant, ProcessorId>> timers_;
  // Triggers that are with workers, by the time when they were handed over. A trigger that does not
  // return for too long moves to stuck_.
  std::set<std::pair<Instant, ProcessorId>> with_workers_;
  // Stuck triggers, with the Unix time in milliseconds when each was handed over.
  std::map<ProcessorId, int64_t> stuck_;
};

}  // namespace databridge::node
