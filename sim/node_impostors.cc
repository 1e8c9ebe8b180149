#include "sim/node_impostors.h"

#include <utility>

#include "base/check.h"
#include "raft/codec.h"

namespace databridge::sim {
namespace {

constexpr Incarnation kStranger{0xbadbadbad};
const FeatureSet kAnyFeature{~uint64_t{0}};
constexpr Term kAbsurd = Term{1} << 40;

Message heartbeat(Incarnation from, Incarnation to, Term term) {
  raft::Message message;
  message.kind = raft::Message::Kind::heartbeat;
  message.from = from.value;
  message.to = to.value;
  message.term = term;
  return RaftPacket{raft::encode(message)};
}

// A copy of a directory must begin no trigger, since its original runs.
class NothingBegins final : public node::HostWatch {
 public:
  explicit NothingBegins(NodeChecker& checker) : checker_(checker) {}
  void began(const ProcessorId& processor, Epoch, Instant, Instant) override {
    checker_.fail("a copy of a running node began a trigger of " + processor.text());
  }
  void released(const ProcessorId&, Epoch, uint64_t, Instant) override {}

 private:
  NodeChecker& checker_;
};

}  // namespace

NodeImpostors::NodeImpostors(NodeCluster& cluster) : cluster_(cluster) {
  for (const char* name : {"forged messages", "put back", "copies"}) {
    cluster_.checker().totals[name] = 0;
  }
}

void NodeImpostors::act() {
  cluster_.in(cluster_.some_ms(50, 500), [this] { act(); });
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.is_lost(node)) return;
  const cluster::ViewPtr view = cluster_.engine(node).view();
  if (view->state.config().find("owned") != nullptr) {
    cluster_.checker().fail("a stranger has written configuration");
  }
  if (view->term >= kAbsurd) cluster_.checker().fail("a term of nobody's election was taken over");
  if (view->cluster.empty()) return;
  cluster_.count("forged messages");
  forge(node);
}

void NodeImpostors::forge(size_t node) {
  Random& random = cluster_.random();
  World& world = cluster_.world();
  const cluster::ViewPtr view = cluster_.engine(node).view();
  const Incarnation self = view->self.incarnation;
  const env::Speaker stranger{kStranger, 1, 7, true, kAnyFeature};
  std::optional<MemberInfo> other;
  view->state.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self && (!other || random.chance(0.5))) other = member.info;
  });
  const auto forward = [&](cluster::RequestBody body) {
    const RequestId id{kStranger, ++counter_};
    world.say(node, stranger, Forward{id, cluster::encode(cluster::Request{std::move(body), {}})});
  };
  switch (random.below(8)) {
    case 7: {
      const size_t as = cluster_.random_node();
      if (as == node || !cluster_.is_on(as)) return;
      return world.greet_as(node, as, random.between(1, 9));
    }
    case 0:
      return world.say(node, stranger, heartbeat(kStranger, self, view->term + 1));
    case 1:
      return forward(cluster::Change{SetConfig{"owned", "1", {}}});
    case 2:
      return forward(cluster::RemoveNode{cluster_.id_of(cluster_.random_node()), true});
    case 3:
      return world.say(
          node, stranger,
          JoinReply{view->cluster, kStranger, {}, "it was removed", true, Standing::member});
    case 4:
      return world.say(node, stranger,
                       Probe{{.incarnation = kStranger,
                              .node = NodeId("stranger"),
                              .address = world.nowhere(),
                              .api_address = {},
                              .labels = {},
                              .metadata = {},
                              .capacity = {},
                              .software_version = {},
                              .boot = 1,
                              .started_at_ms = 0,
                              .file_roots = {},
                              .start = 7,
                              .home = {}}});
    case 5:
      // An older start of a member, as in a forged or late packet.
      if (!other || other->boot == 0) return;
      return world.say(node, {other->incarnation, other->boot - 1, 7, true, kAnyFeature},
                       heartbeat(other->incarnation, self, view->term + 1));
    default:
      if (!other) return;
      return world.say(node, {other->incarnation, other->boot, other->start, true, kAnyFeature},
                       heartbeat(other->incarnation, self, kAbsurd));
  }
}

// ---- After the storm

void NodeImpostors::begin() {
  // Other nodes must be there that know what the disk has lost.
  if (cluster_.draw().founders < 3 || cluster_.draw().replica_count < 3) return;
  // A single voter, after removals, needs no other vote: it leads again before it is told. And two
  // need both: the one that is left could not replace the other.
  size_t voters = 0;
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (!cluster_.is_on(node) || cluster_.is_lost(node)) continue;
    const auto* coordinator = cluster_.engine(node).coordinator();
    if (coordinator == nullptr || !coordinator->leads()) continue;
    voters = coordinator->consensus(cluster_.world().now(), 0).voters.size();
  }
  if (voters < 3) return;
  const uint64_t dice = cluster_.random().below(4);
  const size_t node = cluster_.random().below(cluster_.draw().founders);
  before_ = cluster_.engine(node).identity().incarnation;
  if (dice == 0) {
    cluster_.count("put back");
    put_back_ = node;
    cluster_.world().keep_disk(node);
    put_back(node, 2);
  } else if (dice == 1) {
    cluster_.count("copies");
    copied_ = node;
    start_copy(node);
  }
}

// The node is restarted a few times, and the others learn of it. Then its old disk is put back.
void NodeImpostors::put_back(size_t node, int restarts) {
  if (!cluster_.is_on(node)) {  // It takes its time to come up.
    return cluster_.in(50ms, [this, node, restarts] { put_back(node, restarts); });
  }
  if (is_removed()) return put_back_.reset();  // It was leaving, and is a new node by now.
  const auto boot = cluster_.engine(node).identity().boot;
  const auto is_known = [this, boot] {
    for (size_t other = 0; other < cluster_.size(); ++other) {
      if (cluster_.is_lost(other)) continue;
      if (!cluster_.is_on(other)) return false;
      const Member* member = cluster_.engine(other).view()->state.member(before_);
      if (member == nullptr || member->info.boot < boot) return false;
    }
    return true;
  };
  if (!is_known()) return cluster_.in(50ms, [this, node, restarts] { put_back(node, restarts); });
  if (restarts > 0) {
    cluster_.crash(node, 50);
    return cluster_.in(200ms, [this, node, restarts] { put_back(node, restarts - 1); });
  }
  cluster_.put_back(node);
  is_back_ = true;
}

void NodeImpostors::start_copy(size_t node) {
  World& world = cluster_.world();
  const size_t place = world.spare();
  world.copy_disk(node, place);
  node::EngineOptions options = cluster_.options_of(node);
  options.self.address = world.present_address(place);
  options.process = world.process_of(place);
  options.log = cluster_.log_of(node);
  watch_ = std::make_unique<NothingBegins>(cluster_.checker());
  options.watch = watch_.get();
  auto opened = node::Engine::open(std::move(options), world.env_of(place));
  CHECK(opened.has_value());
  copy_ = std::move(*opened);
  copy_->start();
  world.power_on(
      place, [this] { turn_copy(); }, [this] { return copy_->due(); });
}

void NodeImpostors::turn_copy() {
  copy_->turn();
  if (!copy_->stopped() || std::exchange(copy_ended_, true)) return;
  if (copy_->comes_back() && !is_removed()) {
    cluster_.checker().fail("a copy took itself for the newest start");
  }
  cluster_.in(Duration::zero(), [this] { cluster_.world().power_off(cluster_.world().spare()); });
}

bool NodeImpostors::is_removed() const {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (!cluster_.is_on(node)) continue;
    if (cluster_.engine(node).view()->state.removed(before_) != nullptr) return true;
  }
  return false;
}

std::string NodeImpostors::unsettled() const {
  if (put_back_) {
    if (!is_back_) return "a disk is still to be put back";
    if (!cluster_.is_on(*put_back_)) return "the node whose disk was put back is off";
    const Incarnation now = cluster_.engine(*put_back_).identity().incarnation;
    if (now == before_) return "a node whose disk was put back speaks as who it was";
  }
  if (copied_) {
    if (!copy_ended_) return "a copy of a running node's directory goes on running";
    // If the original was removed, its successor has no double.
    if (is_removed()) return "";
    if (!cluster_.is_on(*copied_)) return "the original of a copy is off";
    const Incarnation now = cluster_.engine(*copied_).identity().incarnation;
    if (now != before_) return "the original had to yield to its copy";
  }
  return "";
}

}  // namespace databridge::sim
