// The inside of the host, for host.cc (connections, deliveries, turns), host_runner.cc (runners,
// triggers), host_commit.cc (what triggers hand in) and host_words.cc (what people hear of it).
// Nobody else includes it. Engine thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/clock.h"
#include "env/workers.h"
#include "flow/saved.h"
#include "flow/session.h"
#include "node/host.h"
#include "node/router.h"
#include "node/runner.h"

namespace databridge::node {

class Host::Inside {
 public:
  static constexpr Duration kStuckAfter = 10s;  // A trigger that has not returned is said to be.

  Inside(Options options, env::Env& env, std::function<void(std::function<void()>)> post,
         HostEvents& events);
  ~Inside();

  // ---- host.cc
  Result<void> restore();
  void applied(const State& state, const Touched& touched);
  void receive(Incarnation from, const Delivery& delivery);
  void receive(Incarnation from, const DeliveryAck& ack);
  void tick(Instant now);
  std::optional<Instant> next_wake() const;
  void collect(env::Batch& batch);
  void submitted(uint64_t number);
  void on_durable(uint64_t number);

  // ---- host_runner.cc
  void renew(Instant until);
  void start(const ProcessorId& processor, Epoch epoch);
  void stop(const ProcessorId& processor, Epoch epoch, const std::string& reason);
  void stop_all();
  void pause_sources(bool paused);

  using Runners = std::map<ProcessorId, Runner>;
  using Connections = std::map<Uuid, flow::Connection>;
  const Runners& runners() const { return runners_; }
  std::vector<Queue> queues() const;
  uint64_t queue_depth() const;
  std::vector<cluster::StuckTrigger> stuck() const;
  LogIndex applied_upto() const { return state_->version(); }
  const std::shared_ptr<LeaseBoard>& board() const { return options_.board; }

 private:
  // Writes that have no batch number yet, or are in a batch that is not durable yet.
  struct Flight {
    uint64_t number = 0;
    std::set<Uuid> connections;
    std::vector<std::pair<Incarnation, DeliveryAck>> answers;
    struct Commit {
      ProcessorId processor;
      Epoch epoch;
      uint64_t commit;
      std::string saved;
      bool outputs;
    };
    std::vector<Commit> commits;
  };

  // ---- host.cc
  void look_again(const std::set<ProcessorId>& processors);
  void rebuild_topology();
  void change_topology(const Touched& touched, std::set<ProcessorId>& changed);
  void wire(const FlowSpec& flow);
  void unwire(const Uuid& id);
  // `reader`: the processor that it led to, which alone can hold a part of it; none: not known.
  void erase_connection(const Uuid& id, const std::optional<ProcessorId>& reader);
  void reroute(const ProcessorId& processor);
  void reroute(flow::Connection& connection, const ConnectionSpec& spec);
  void write_off_removed();
  void sweep();
  flow::Connection* connection(const Uuid& id);
  Router::Ends ends_of(const ConnectionSpec& spec) const;
  flow::Said said(const ProcessorId& from, Epoch origin);
  bool may_return(Incarnation node) const;
  const flow::History& history(const Assignment& assignment);
  bool settle_connections();
  void touch(const flow::Connection& connection);
  void touch_outputs(const ProcessorId& processor);
  void land(Flight& flight);
  void settle();

  // ---- host_runner.cc
  void try_start(const ProcessorId& processor);
  flow::Saved continue_from(const Assignment& assignment, bool& adopted);
  flow::Saved last_saved(const Assignment& assignment, bool& adopted);
  Result<void> make_instance(Runner& runner);
  void reconsider(const ProcessorId& processor);  // Its assignment or spec may have changed.
  bool is_overtaken(const Assignment* assignment, Epoch epoch) const;
  void lapse(Instant now);
  void kill(Runner& runner, const std::string& reason);
  void put_back(Runner& runner);
  bool finish_stop(const ProcessorId& processor);
  void schedule(const ProcessorId& processor, Instant now);
  bool may_trigger(Runner& runner, Instant now);
  bool has_room(const ProcessorId& processor) const;
  void watch(Runner& runner, Instant now);
  std::shared_ptr<Trigger> make_trigger(Runner& runner) const;
  void run_trigger(std::shared_ptr<Trigger> trigger);
  flow::Offer make_offer(Runner& runner);
  void finish(Trigger& trigger);
  bool run_wakes();

  // ---- host_commit.cc
  void commit(Runner& runner, flow::Delta& delta, const std::string& trouble, Instant now);
  bool comes_back(const Runner& runner, const flow::Delta& delta) const;
  void write_record(Runner& runner, bool outputs);
  void forget_record(const ProcessorId& processor);
  void committed(const Flight::Commit& commit);
  void cover(Runner& runner, Instant now);  // Sees to its checkpoint.

  // ---- host_words.cc
  void warn_of_losses(const Runner& runner);
  void tell(Runner& runner, const flow::Delta& delta, const std::string& trouble, Instant now);
  void note(Runner& runner, std::vector<std::string> notes, Instant now);
  void failed(Runner& runner, const std::string& why, Instant now);
  void tell_fault(Runner& runner, uint32_t times, const std::string& words);
  void back_off(Runner& runner, uint32_t times, Instant now);
  void look_for_stuck(Instant now);
  void returned(const Trigger& trigger, Instant now);

  const Options options_;
  env::Env& env_;
  std::function<void(std::function<void()>)> post_;
  HostEvents& events_;
  // shared_ptr, because calls posted by workers may outlive the host and look here first.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  const State none_;
  const State* state_ = &none_;                      // The brain's own, as of the last applied().
  std::map<ProcessorId, std::vector<Uuid>> inputs_;  // Connections to the processor.
  std::map<ProcessorId, std::map<std::string, std::vector<Uuid>>> outputs_;
  std::map<Uuid, std::pair<ProcessorId, ProcessorId>> wired_;  // From where to where.
  std::map<ProcessorId, std::pair<Checkpoint, flow::History>> histories_;

  Connections connections_;
  std::set<Uuid> told_forgotten_;
  Router router_;
  Runners runners_;
  std::map<ProcessorId, Epoch> parked_;                   // Starts that wait for a condition.
  std::map<ProcessorId, Epoch> ended_;                    // The newest epoch that is over here.
  std::map<ProcessorId, flow::ProcessorRecord> records_;  // As on disk.
  bool sources_paused_ = false;

  env::Batch writes_;
  Flight open_;                 // Not submitted.
  std::deque<Flight> flights_;  // Submitted, not durable.
  bool collected_ = false;      // The last collect() had something to write.
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
  std::set<Uuid> dirty_;        // Connections with something to promote or send.
  std::set<ProcessorId> wake_;  // Runners that may have a reason to be triggered.
  std::set<std::pair<Instant, ProcessorId>> timers_;
  std::set<std::pair<Instant, ProcessorId>>
      with_workers_;  // Triggers, by when they were handed in;
  std::map<ProcessorId, int64_t>
      stuck_;  // without those that are there too long: since when, Unix.
};

}  // namespace databridge::node
