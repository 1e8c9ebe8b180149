// The engine: the one thread that owns everything of a node that can change. It takes the inputs,
// asks the brain, and carries out the effects in order.
//
// - Owns: the brain, the coordinator, the host, the journal and the mailbox.
// - Hides: the turn. All writes of a turn are one batch, which is synced while the engine goes on.
//   Messages that must wait for that sync are handed to the journal (safety.md 6).
// - Thread: its own. Other threads may call the functions below "Any thread".
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "cluster/brain.h"
#include "env/env.h"
#include "env/network.h"
#include "env/store.h"
#include "node/coordinator.h"
#include "node/engine_options.h"
#include "node/host.h"
#include "node/identity.h"

namespace databridge::node {

class Engine final : private HostEvents {
 public:
  using Options = EngineOptions;

  // Reads the store, and waits for the disk. Code::corrupt: this node must not start.
  static Result<std::unique_ptr<Engine>> open(Options options, env::Env env);
  ~Engine() override;

  // Writes the new boot. The network starts once that is durable, so that no two starts name the
  // same boot. Then call run(), or turn().
  void start();

  void run();           // Runs until stop() is done or the node has failed.
  void turn();          // Runs one turn, for a caller with a loop of its own.
  Instant due() const;  // When the next turn is due if nothing comes in.
  bool stopped() const { return stopped_; }
  // True if it ended because its data directory is an older copy: a new incarnation must start.
  bool comes_back() const { return comes_back_; }

  // Hands leadership over, stops the processors with their checkpoints, and then stops the engine.
  void stop();

  // ---- Any thread.
  using Done = std::function<void(cluster::Answer)>;
  void submit(cluster::Request request, Done done);
  void post(std::function<void()> call);  // Runs on the engine's thread.
  // As Host::save(). `saved` is called on the engine's thread.
  void save(const ProcessorId& processor, Epoch epoch, Bytes state,
            std::function<void(Result<void>)> saved);
  cluster::ViewPtr view() const;
  void on_publish(std::function<void()> published);

  const std::shared_ptr<LeaseBoard>& lease_board() const { return host_->board(); }
  const Identity& identity() const { return identity_; }
  const cluster::Brain& brain() const { return *brain_; }
  const Coordinator* coordinator() const { return coordinator_.get(); }
  const Host& host() const { return *host_; }
  uint64_t snapshots() const { return snapshots_; }  // Taken or installed since the start.

 private:
  struct Came {
    env::Speaker from;
    Message message;
  };
  struct Durable {
    Result<uint64_t> number;
  };
  struct Asking {
    cluster::Request request;
    Done done;
  };
  using Mail = std::variant<Came, env::LinkEvent, env::Greeting, cluster::Sighted, cluster::Reaped,
                            Durable, Asking, std::function<void()>>;

  Engine(Options options, env::Env env, Identity identity);
  Result<void> restore();
  void make_host();
  void make_brain(State state, cluster::FoundingRecord promise, Bytes members);
  void enter(const ClusterId& cluster, std::unique_ptr<Coordinator> coordinator);

  void put(Mail mail);
  void take(Came& came);
  void take(env::LinkEvent& event);
  void take(env::Greeting& greeting);
  void take(cluster::Sighted& sighted);
  void take(cluster::Reaped& reaped);
  void take(Durable& durable);
  void take(Asking& asking);
  void take(std::function<void()>& call);

  void step(cluster::Input input);
  void settle();
  bool collect();
  void publish();
  void say(cluster::Send& message);
  void say(cluster::Reply& reply);
  void refresh_consensus();
  void sample_load();
  void name_position();
  void maybe_snapshot();
  void say_what_was_lost();
  void retry_proposals();
  void mind_the_disk();
  void offer(Bytes command);
  void finish_stopping();
  void start_network();
  void start_discovery();
  void fail_node(const Error& error);
  void log(cluster::Weight weight, const std::string& text) const;

  void carry_out(cluster::Effects effects);
  // Each effect has a specialisation, in engine_effects.cc.
  template <typename Effect>
  void on(Effect& effect);

  // HostEvents
  void report(const ProcessorId& processor, Epoch epoch, RunState state,
              std::string detail) override;
  void save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) override;
  void send(Incarnation to, Message message) override;
  void note(const ProcessorId& processor, std::string text) override;

  Options options_;
  env::Env env_;
  Identity identity_;
  std::unique_ptr<cluster::Brain> brain_;
  std::unique_ptr<CoordinatorFactory> coordinators_;
  std::shared_ptr<Coordinator> coordinator_;  // Null while the node is in no cluster.
  Journal journal_;
  std::unique_ptr<Host> host_;

  // The time, and the facts of the consensus, in the turn under way.
  Instant now_{};
  int64_t unix_ms_ = 0;
  cluster::Consensus consensus_;
  Bytes lost_said_;  // The losses that people were told of last.
  // Inputs for the brain from the host and from this node itself, to be taken in this turn.
  std::deque<cluster::Input> inputs_;

  uint64_t snapshots_ = 0;
  std::optional<Error> renounced_;  // The node ends with this error once the mark is durable.
  bool comes_back_ = false;
  env::LogPosition position_;  // The position that the network was told last.
  bool stopped_ = false, fenced_ = false, snapshotting_ = false, no_room_ = false;
  LogIndex snapshot_index_ = 0;  // The index at which the newest snapshot began.
  // The size of the tables in the newest snapshot of its own; 0: not known.
  size_t snapshot_size_ = 0;
  std::optional<Instant> stopping_;             // When stop() was called.
  std::deque<std::pair<Term, Bytes>> refused_;  // Proposals to make again in their term.
  std::map<cluster::Ticket, Done> asked_;
  cluster::Ticket ticket_ = 0;
  Instant sample_next_{}, disk_late_until_{};  // The disk counts as slow until then.
  Instant deaf_until_{};  // Requests are refused until then, after a long standstill.
  NodeLoad smooth_;       // The load, as a mean over about half a minute.
  uint32_t samples_ = 0;
  std::optional<std::tuple<LogIndex, uint64_t, LogIndex, bool, std::vector<cluster::StuckTrigger>>>
      published_;  // The versions of all that the published view shows.

  mutable Mutex mutex_;
  ConditionVariable came_;
  std::vector<Mail> mailbox_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;  // run() has returned: nobody reads the mailbox.
  cluster::ViewPtr view_ GUARDED_BY(mutex_);
  std::function<void()> on_publish_ GUARDED_BY(mutex_);
};

}  // namespace databridge::node
