#include "node/engine.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/check.h"
#include "env/clock.h"
#include "env/discovery.h"
#include "model/generation.h"

namespace databridge::node {
namespace {

using cluster::Weight;
using env::Space;

// A node that stood still for this long may find requests in its buffers whose idempotency keys are
// forgotten by now (that happens after ten minutes). Such a request could take effect twice. Its
// client does not wait any more, so it is refused (safety.md 8.3).
constexpr Duration kGap = 1min;
// Long enough to read, and refuse, all that came during the standstill.
constexpr Duration kDeafAfterGap = 2s;
// The most rounds of collecting in one turn. One round is not enough: for example, a lone voter
// commits in the turn in which it is told of the sync.
constexpr int kRoundsMax = 64;

cluster::LinkState state_of(env::LinkNews news) {
  switch (news) {
    case env::LinkNews::up:
      return cluster::LinkState::up;
    case env::LinkNews::lost:
      return cluster::LinkState::lost;
    case env::LinkNews::refused:
      return cluster::LinkState::refused;
    case env::LinkNews::failed:
      break;
  }
  return cluster::LinkState::failed;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(Options options, env::Env env) {
  const NodeId& name = options.self.node.empty() ? options.heritage.node : options.self.node;
  auto identity = load_identity(env, name);
  if (!identity) return tl::make_unexpected(identity.error());
  if (!options.wanted.empty() && !identity->cluster.empty() &&
      !is_or_succeeds(identity->cluster, options.wanted)) {
    return fail(Code::conflict, "this data directory belongs to the cluster " +
                                    identity->cluster.value + ", not to " + options.wanted.value +
                                    ": correct --cluster-id, or give the node an empty one");
  }
  std::unique_ptr<Engine> engine(new Engine(std::move(options), env, std::move(*identity)));
  if (auto restored = engine->restore(); !restored) return tl::make_unexpected(restored.error());
  return engine;
}

Engine::Engine(Options options, env::Env env, Identity identity)
    : options_(std::move(options)),
      env_(env),
      identity_(std::move(identity)),
      journal_(env_.store) {
  options_.self.incarnation = identity_.incarnation;
  options_.self.boot = identity_.boot;
  options_.self.start = identity_.start;
  options_.self.home = options_.process.home();
  options_.self.node = identity_.node;
  make_host();
  CHECK(options_.coordinators);
  coordinators_ = options_.coordinators(identity_.incarnation, env_.seed ^ identity_.boot);
  env_.store.on_durable([this](Result<env::Store::Durable> safe) {
    put(Durable{safe.map([](const env::Store::Durable& durable) { return durable.number; })});
  });
}

Engine::~Engine() = default;

Result<void> Engine::restore() {
  now_ = env_.clock.now();
  unix_ms_ = env_.clock.unix_ms();
  auto restored = coordinators_->restore(env_.store, !identity_.cluster.empty(), now_);
  if (!restored) return tl::make_unexpected(restored.error());
  State state;
  if (!restored->state.empty()) {
    auto read = State::from_snapshot(restored->state);
    if (!read) return tl::make_unexpected(read.error());
    state = std::move(*read);
    const FeatureSet lacks = state.features().without(options_.features);
    if (!lacks.empty()) {
      return fail(Code::unprocessable, why_refused(options_.self.software_version, lacks));
    }
    snapshot_index_ = restored->index;
  }
  if (auto host = host_->restore(); !host) return host;
  // If the record of a promise to found cannot be read, the node might promise a second time. So it
  // must not start.
  cluster::FoundingRecord promise;
  const auto record = read_meta(env_.store, cluster::Brain::kFoundingKey);
  if (!record) return tl::make_unexpected(record.error());
  if (!record->empty()) {
    auto read = cluster::decode_founding_record(*record);
    if (!read) return tl::make_unexpected(read.error());
    promise = std::move(*read);
  }
  auto members = read_meta(env_.store, cluster::Brain::kMembersKey);
  if (!members) return tl::make_unexpected(members.error());
  if (members->empty() && identity_.cluster.empty() && !options_.heritage.members.empty()) {
    *members = options_.heritage.members;
    journal_.batch().put(Space::meta, cluster::Brain::kMembersKey, *members);
  }
  make_brain(std::move(state), std::move(promise), std::move(*members));
  coordinator_ = std::move(restored->coordinator);
  host_->applied(brain_->state(), brain_->touched());
  publish();
  return {};
}

void Engine::make_host() {
  Host::Options host;
  host.self = identity_.incarnation;
  host.boot = identity_.boot;
  host.trigger_time_max = options_.leader.timing.stop_budget / 2;
  if (host_) host.board = host_->board();  // The watchdog goes on with this board.
  const flow::Types& types = options_.types != nullptr ? *options_.types : flow::builtin_types();
  host_ = std::make_unique<Host>(
      std::move(host), HostWorld{env_, journal_, *this, options_.watch, types, options_.embedder},
      [this](std::function<void()> call) { post(std::move(call)); });
}

void Engine::make_brain(State state, cluster::FoundingRecord promise, Bytes members) {
  cluster::Brain::Options brain;
  brain.self = options_.self;
  brain.features = options_.features;
  brain.cluster = identity_.cluster;
  brain.members = std::move(members);
  brain.leader = options_.leader;
  brain.events_kept = options_.events_kept;
  brain.clustered = options_.clustered;
  brain.seed = env_.seed + identity_.boot;
  brain.discovery.self = options_.self;
  brain.discovery.expect = options_.expect;
  brain.discovery.wanted = options_.wanted;
  brain.discovery.replica_count = options_.leader.replica_count;
  brain.discovery.seeds = options_.seeds;
  brain.discovery.restored = std::move(promise);
  brain_ = std::make_unique<cluster::Brain>(std::move(brain), std::move(state), now_);
}

void Engine::start() {
  put_identity(journal_.batch(), identity_);
  journal_.when_safe([this] { start_network(); });
  journal_.submit(now_);
}

// ---- The mailbox

void Engine::put(Mail mail) {
  {
    const MutexLock lock(mutex_);
    if (ended_) return;  // Nobody reads it any more.
    const auto is_sighted = [](const Mail& one) {
      return std::holds_alternative<cluster::Sighted>(one);
    };
    if (is_sighted(mail)) std::erase_if(mailbox_, is_sighted);  // Only the newest one counts.
    mailbox_.push_back(std::move(mail));
    if (mailbox_.size() > 1) return;  // The first item has woken the engine.
  }
  came_.notify_one();
}

void Engine::submit(cluster::Request request, Done done) {
  put(Asking{std::move(request), std::move(done)});
}

void Engine::post(std::function<void()> call) { put(std::move(call)); }

void Engine::save(const ProcessorId& processor, Epoch epoch, Bytes state,
                  std::function<void(Result<void>)> saved) {
  post([this, processor, epoch, state = std::move(state), saved = std::move(saved)]() mutable {
    host_->save(processor, epoch, std::move(state), std::move(saved));
  });
}

cluster::ViewPtr Engine::view() const {
  const MutexLock lock(mutex_);
  return view_;
}

void Engine::on_publish(std::function<void()> published) {
  const MutexLock lock(mutex_);
  on_publish_ = std::move(published);
}

void Engine::run() {
  while (!stopped_) {
    {
      const MutexLock lock(mutex_);
      const Instant now = env_.clock.now(), until = due();
      if (mailbox_.empty() && until > now) came_.wait_for(mutex_, until - now);
    }
    turn();
  }
  std::vector<Mail> dropped;
  const MutexLock lock(mutex_);
  ended_ = true;
  dropped.swap(mailbox_);
}

Instant Engine::due() const {
  Instant due = std::min(sample_next_, brain_->due());
  if (coordinator_) due = std::min(due, coordinator_->due());
  if (const auto host = host_->next_wake()) due = std::min(due, *host);
  if (stopping_) due = std::min(due, now_ + 20ms);
  return due;
}

// ---- One turn

void Engine::turn() {
  if (stopped_) return;
  std::vector<Mail> mail;
  {
    const MutexLock lock(mutex_);
    mail.swap(mailbox_);
  }
  const Instant before = now_;
  now_ = env_.clock.now();
  unix_ms_ = env_.clock.unix_ms();
  // The process stood still in this time, so the disk is not blamed for it.
  if (const Duration gap = now_ - before; gap > options_.leader.timing.doubt_gap) {
    journal_.leave_out(gap);
  }
  if (now_ - before > kGap && !CANARY(hears_after_gap)) {
    deaf_until_ = now_ + kDeafAfterGap;
    log(Weight::warning, "this process did not run for " + std::to_string((now_ - before) / 1s) +
                             " s: requests from that time are refused");
  }
  refresh_consensus();
  for (Mail& item : mail) {
    std::visit([this](auto& came) { take(came); }, item);
    if (stopped_) return;
  }
  if (coordinator_ && now_ >= coordinator_->due()) coordinator_->tick(now_);
  refresh_consensus();
  mind_the_disk();
  sample_load();
  host_->tick(now_);
  retry_proposals();
  step(cluster::Tick{});
  settle();
  name_position();
  maybe_snapshot();
  if (stopping_) finish_stopping();
}

// Works until nothing more follows from the inputs of this turn.
void Engine::settle() {
  for (int round = 0; round < kRoundsMax && !stopped_; ++round) {
    bool more = false;
    while (!stopped_ && (collect() || !inputs_.empty())) {
      more = true;
      while (!inputs_.empty()) {
        cluster::Input input = std::move(inputs_.front());
        inputs_.pop_front();
        step(std::move(input));
      }
    }
    journal_.submit(now_);
    // The view goes out before the answers of the turn, so that a client that got an answer reads
    // its effect (safety.md 5.4).
    publish();
    journal_.run();
    if (!more && inputs_.empty()) return;
  }
}

void Engine::step(cluster::Input input) {
  carry_out(brain_->step(std::move(input), consensus_, now_));
}

bool Engine::collect() {
  if (!coordinator_ || renounced_) return false;
  Coordinator::Output output = coordinator_->collect(journal_.batch());
  if (output.written) {
    if (CANARY(say_before_sync)) coordinator_->persisted(*output.written, now_);
    journal_.when_safe([this, of = std::weak_ptr(coordinator_), written = *output.written] {
      if (const auto coordinator = of.lock()) coordinator->persisted(written, now_);
    });
  }
  if (output.empty) return false;
  for (auto& [to, message] : output.send_now) env_.network.send(to, std::move(message));
  for (auto& [to, message] : output.send_after_sync) {
    cluster::Send send{to, std::move(message)};
    journal_.when_safe([this, send = std::move(send)]() mutable { say(send); });
  }
  refresh_consensus();
  if (output.installed) {
    ++snapshots_;
    snapshot_size_ = 0;
    step(cluster::Installed{output.installed->joined()});
    snapshot_index_ = brain_->state().version();  // A snapshot of its own would bring nothing new.
    host_->applied(brain_->state(), brain_->touched());
  }
  for (const Coordinator::Entry& entry : output.committed) {
    if (entry.is_unknown) {
      fail_node(
          {Code::unprocessable,
           "entry " + std::to_string(entry.index) +
               " of the log is of a kind that this version does not know; upgrade this node"});
      return false;
    }
    const Command* command = entry.command ? &*entry.command : nullptr;
    step(cluster::Committed{entry.index, entry.term, command, entry.bytes.view()});
    if (command != nullptr) host_->applied(brain_->state(), brain_->touched());
  }
  if (!fenced_ && !brain_->state().features().empty()) {
    journal_.batch().fences_older = fenced_ = true;
  }
  for (const cluster::ReadReady& read : output.reads) step(read);
  return true;
}

void Engine::say(cluster::Send& message) {
  if (stopped_) return;
  if (message.to != identity_.incarnation) {
    env_.network.send(message.to, std::move(message.message), message.start);
  } else if (message.start == 0 || message.start == identity_.start) {
    inputs_.push_back(cluster::Received{message.to, std::move(message.message)});
  }
}

void Engine::say(cluster::Reply& reply) {
  const auto asked = asked_.find(reply.ticket);
  if (asked == asked_.end()) return;
  const Done done = std::move(asked->second);
  asked_.erase(asked);
  done(std::move(reply.answer));
}

void Engine::refresh_consensus() {
  if (coordinator_) {
    consensus_ = coordinator_->consensus(now_, unix_ms_);
    say_what_was_lost();
  } else {
    consensus_ = {};
    consensus_.unix_ms = unix_ms_;
  }
}

// Tells people of each loss once, in the words of the consensus.
void Engine::say_what_was_lost() {
  Bytes lost = consensus_.diverged + consensus_.older_copy;
  for (const auto& [peer, progress] : consensus_.peers) lost += progress.older_copy;
  if (lost == lost_said_) return;
  if (!consensus_.diverged.empty()) log(Weight::error, "diverged: " + consensus_.diverged);
  if (!consensus_.older_copy.empty()) {
    log(Weight::error,
        "this node's votes and acknowledgements are ignored: " + consensus_.older_copy);
  }
  for (const auto& [peer, progress] : consensus_.peers) {
    if (progress.older_copy.empty()) continue;
    log(Weight::error, "votes and acknowledgements of server " + std::to_string(peer.value) +
                           " are ignored: " + progress.older_copy);
  }
  lost_said_ = std::move(lost);
}

// ---- Inputs

void Engine::take(Came& came) {
  if (renounced_) return;
  const env::Speaker& from = came.from;
  cluster::Received received{from.incarnation, std::move(came.message),
                             from.boot,        from.start,
                             from.is_ours,     from.features};
  Message& message = received.message;
  auto* packet = std::get_if<RaftPacket>(&message);
  const auto* delivery = std::get_if<Delivery>(&message);
  const auto* ack = std::get_if<DeliveryAck>(&message);
  if (packet == nullptr && delivery == nullptr && ack == nullptr) {
    // The node that forwarded the request has given up, and answers that the outcome is unknown.
    if (now_ < deaf_until_ && std::holds_alternative<Forward>(message)) return;
    return step(std::move(received));
  }
  cluster::Effects effects;
  const bool heard = brain_->hears(received, consensus_, now_, effects);
  carry_out(std::move(effects));
  if (!heard || stopped_) return;
  if (packet != nullptr) {
    if (coordinator_) coordinator_->receive(from.incarnation, *packet, now_);
  } else if (delivery != nullptr) {
    host_->receive(from.incarnation, *delivery);
  } else {
    host_->receive(from.incarnation, *ack);
  }
}

void Engine::take(env::LinkEvent& event) {
  const env::Greeting& peer = event.peer;
  step(cluster::LinkChanged{state_of(event.news),
                            event.address,
                            peer.incarnation,
                            peer.boot,
                            peer.cluster,
                            event.process_gone,
                            peer.start,
                            peer.home(),
                            {peer.log.term, peer.log.last_term, peer.log.last},
                            peer.features});
}

void Engine::take(env::Greeting& greeting) {
  step(cluster::Greeted{greeting.incarnation, greeting.boot, greeting.address, greeting.start,
                        greeting.home(), greeting.cluster, greeting.features});
}

void Engine::take(cluster::Sighted& sighted) { step(std::move(sighted)); }

void Engine::take(cluster::Reaped& reaped) { step(reaped); }

void Engine::take(Durable& durable) {
  if (!durable.number) return fail_node(durable.number.error());
  const cluster::Timing& timing = options_.leader.timing;
  const Duration took = journal_.durable(*durable.number, now_);
  if (took >= std::max(timing.raft_base, timing.doubt_gap)) {
    disk_late_until_ = now_ + timing.check_interval;
    log(Weight::warning, "its disk took " + std::to_string(took / 1ms) + " ms to sync a write");
  }
  journal_.run();
  if (!stopped_) host_->settle();
}

void Engine::take(Asking& asking) {
  if (now_ < deaf_until_) {
    return asking.done(fail(Code::unavailable,
                            "this node did not run for more than a minute, and refuses requests "
                            "from that time; send the request again"));
  }
  const cluster::Ticket ticket = ++ticket_;
  asked_.emplace(ticket, std::move(asking.done));
  step(cluster::Asked{ticket, std::move(asking.request)});
}

void Engine::take(std::function<void()>& call) { call(); }

void Engine::retry_proposals() {
  if (refused_.empty()) return;
  auto refused = std::move(refused_);
  refused_.clear();
  for (auto& [term, bytes] : refused) {
    if (consensus_.leading && consensus_.term == term) offer(std::move(bytes));
  }
}

void Engine::offer(Bytes command) {
  if (!coordinator_) return;
  if (!coordinator_->propose(command, now_) && consensus_.leading) {
    refused_.emplace_back(consensus_.term, std::move(command));
  }
}

void Engine::stop() {
  post([this] {
    if (stopping_) return;
    stopping_ = now_;
    log(Weight::info, "stopping: hands over leadership, stops its processors");
    step(cluster::Stopping{});
    host_->stop_all();
    if (consensus_.leading && coordinator_->can_hand_over()) {
      asked_.emplace(++ticket_, [](const cluster::Answer&) {});
      step(cluster::Asked{ticket_, {cluster::TransferLeadership{}, {}}});
    }
  });
}

void Engine::finish_stopping() {
  const bool handed_over = !consensus_.leading || !coordinator_->can_hand_over();
  const bool idle = host_->running_count() == 0 && journal_.is_idle();
  // The leader should hear the goodbye, so that the end of this process does not count as a
  // failure. Where nobody leads, nobody can be told, so this waits only for a limited time.
  const cluster::Timing& timing = options_.leader.timing;
  const bool told = brain_->goodbye_said() ||
                    now_ - *stopping_ >= 2 * timing.raft_base + timing.heartbeat_interval;
  if (handed_over && idle && told) stopped_ = true;
  if (stopped_ || now_ - *stopping_ < 8s) return;
  if (idle) {
    stopped_ = true;
  } else {
    fail_node(
        {Code::timed_out, "a processor or the disk did not return within 8 s: ends as if killed"});
  }
}

void Engine::fail_node(const Error& error) {
  stopped_ = true;
  journal_.abandon();
  log(Weight::error, error.message);
  if (options_.on_fatal) options_.on_fatal(error);
}

void Engine::log(Weight weight, const std::string& text) const {
  if (options_.log) options_.log(weight, text);
}

// ---- Reports of the host

void Engine::report(const ProcessorId& processor, Epoch epoch, RunState state, std::string detail) {
  inputs_.push_back(cluster::HostReport{processor, epoch, state, std::move(detail)});
}

void Engine::save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) {
  inputs_.push_back(cluster::HostCheckpoint{processor, std::move(checkpoint)});
}

// The message goes out at once, because all that it depends on is on the disk already. A node that
// has renounced says nothing more.
void Engine::send(Incarnation to, Message message) {
  if (!renounced_ && !stopped_) env_.network.send(to, std::move(message));
}

void Engine::note(const ProcessorId& processor, std::string text) {
  log(Weight::info, "processor " + processor.text() + ": " + text);
}

}  // namespace databridge::node
