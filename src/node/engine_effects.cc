// Carries out the effects of the brain, in the order of its list, and then publishes the view for
// readers.
#include <utility>

#include "env/discovery.h"
#include "node/engine.h"

namespace databridge::node {

using cluster::Weight;
using env::Space;

template <>
void Engine::on(cluster::Send& effect) {
  // The two numbers are read together, and now. Otherwise `held` could be a sample from before the
  // newest work came, and the leader would take this node for empty (safety.md 9.3).
  if (auto* heartbeat = std::get_if<Heartbeat>(&effect.message)) {
    heartbeat->applied = host_->applied_upto();
    heartbeat->held = host_->queue_depth() + host_->running_count();
  }
  journal_.when_safe([this, send = std::move(effect)]() mutable { say(send); });
}
template <>
void Engine::on(cluster::Reply& effect) {
  if (effect.ticket == 0) return;
  journal_.when_safe([this, reply = std::move(effect)]() mutable { say(reply); });
}
template <>
void Engine::on(cluster::Propose& effect) {
  offer(encode(effect.command));
}
template <>
void Engine::on(cluster::AskRead& effect) {
  if (coordinator_) coordinator_->read(effect.context, now_);
}
template <>
void Engine::on(cluster::RenewLease& effect) {
  host_->renew(effect.until);
}
template <>
void Engine::on(cluster::StartHost& effect) {
  host_->start(effect.processor, effect.epoch);
}
template <>
void Engine::on(cluster::StopHost& effect) {
  host_->stop(effect.processor, effect.epoch);
}
template <>
void Engine::on(cluster::ChangeVoters& effect) {
  if (coordinator_) coordinator_->change(effect.change, effect.server, now_);
}
template <>
void Engine::on(cluster::Transfer& effect) {
  if (coordinator_) coordinator_->transfer(effect.to, now_);
}
template <>
void Engine::on(cluster::LeaderLost& effect) {
  if (coordinator_) coordinator_->leader_lost(effect.leader, now_);
}
template <>
void Engine::on(cluster::Dial& effect) {
  // A node that stands alone dials no other node, even if it has met one.
  if (options_.clustered) env_.network.dial(effect.address);
}
template <>
void Engine::on(cluster::HangUp& effect) {
  env_.network.hang_up(effect.address);
}

template <>
void Engine::on(cluster::PeerLog& effect) {
  if (!coordinator_) return;
  if (effect.is_linked) {
    coordinator_->peer_log(effect.peer, effect.log.last_term, effect.log.last);
  } else {
    coordinator_->peer_gone(effect.peer);
  }
}
template <>
void Engine::on(cluster::TermNamed& effect) {
  if (coordinator_) coordinator_->term_named(effect.term);
}
template <>
void Engine::on(cluster::Know& effect) {
  env_.network.know(std::move(effect.peers));
}

template <>
void Engine::on(cluster::Persist& effect) {
  if (effect.key == cluster::Brain::kFoundingKey) {
    journal_.when_safe([this, promise = effect.value] {
      if (auto record = cluster::decode_founding_record(promise)) {
        brain_->promise_durable(*record, now_);
      }
    });
  }
  journal_.batch().put(Space::meta, effect.key, std::move(effect.value));
}

template <>
void Engine::on(cluster::Found& effect) {
  log(Weight::info, "founds the cluster " + effect.cluster.value + " with " +
                        std::to_string(effect.voters.size()) + " voters");
  enter(effect.cluster, coordinators_->found(effect.voters, journal_.batch(), now_));
}

template <>
void Engine::on(cluster::Enter& effect) {
  log(Weight::info, "joins the cluster " + effect.cluster.value);
  enter(effect.cluster, coordinators_->enter(now_));
}

// The data is erased in the batch of this turn, and all later messages of this engine wait for that
// batch. The new host says nothing before the node is in a cluster.
template <>
void Engine::on(cluster::Abandon&) {
  env::Batch& batch = journal_.batch();
  put_cluster(batch, {});
  coordinators_->abandon(batch);
  for (const Space space : {Space::queue, Space::state}) {
    batch.erase_range(space, "", Bytes(64, '\xff'));
  }
  identity_.cluster = {};
  coordinator_.reset();
  refused_.clear();
  inputs_.clear();
  snapshot_index_ = 0;
  make_host();
  env_.network.set_cluster({});
  if (env_.discovery != nullptr) env_.discovery->set_cluster({});
  refresh_consensus();
}

void Engine::enter(const ClusterId& cluster, std::unique_ptr<Coordinator> coordinator) {
  identity_.cluster = cluster;
  put_cluster(journal_.batch(), cluster);
  coordinator_ = std::move(coordinator);
  env_.network.set_cluster(cluster);
  if (env_.discovery != nullptr) env_.discovery->set_cluster(cluster);
  refresh_consensus();
}

template <>
void Engine::on(cluster::Leave& effect) {
  if (!effect.removed) return fail_node({Code::unprocessable, effect.why + "; upgrade this node"});
  fail_node({Code::gone, "this node is no member any more: " + effect.why +
                             "; to have it taken in anew, start it with an empty data directory"});
}

// From now on this node takes no messages, and says nothing before the mark is durable.
template <>
void Engine::on(cluster::Renounce& effect) {
  if (renounced_) return;
  put_renounced(journal_.batch(), effect.why, effect.comes_back);
  comes_back_ = effect.comes_back;
  renounced_ = Error{
      Code::gone,
      effect.why + (effect.comes_back ? "; it is set aside, and this node asks to be taken in anew"
                                      : "; give this node an empty data directory, and a "
                                        "--cluster-node-id of its own")};
  journal_.when_safe([this] { fail_node(*renounced_); });
  host_->stop_all();
}

template <>
void Engine::on(cluster::Note& effect) {
  log(effect.weight, effect.text);
}

// It stands behind all functions on(), because a specialisation must be declared before it is used.
void Engine::carry_out(cluster::Effects effects) {
  for (cluster::Effect& effect : effects) {
    if (stopped_) return;
    std::visit([this](auto& item) { on(item); }, effect);
  }
}

// Publishes a new view for readers, if anything has changed.
void Engine::publish() {
  auto stuck = host_->stuck();
  const std::tuple mark{brain_->state().version(), brain_->view_changes(), consensus_.commit,
                        consensus_.leading && consensus_.quorum_contact >=
                                                  now_ - options_.leader.timing.quorum_window,
                        stuck};
  if (mark == published_) return;
  published_ = mark;
  auto made = std::make_shared<cluster::View>(brain_->view(consensus_, now_));
  made->stuck = std::move(stuck);
  cluster::ViewPtr view = std::move(made);
  std::function<void()> told;
  {
    const MutexLock lock(mutex_);
    view_.swap(view);  // The old view is destroyed after the lock.
    told = on_publish_;
  }
  if (told) told();
}

}  // namespace databridge::node
