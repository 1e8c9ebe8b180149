#include "sim/node_clocks.h"

#include "sim/world_machine.h"

namespace databridge::sim {
namespace {

constexpr int64_t kMinute = 60'000;
constexpr int64_t kLengths[] = {
    11 * kMinute,  60 * kMinute,   2 * int64_t{1440} * kMinute, 3650 * int64_t{1440} * kMinute,
    -60 * kMinute, -1440 * kMinute};

}  // namespace

void NodeClocks::jump() {
  Random& random = cluster_.random();
  cluster_.in(cluster_.some_ms(100, 1500), [this] { jump(); });
  if (!begun_ || !cluster_.storming()) return;
  const size_t node = cluster_.random_node();
  // So few clocks lie that no majority of the voters agrees on a lie, however few nodes vote: two
  // lies differ by at least a minute.
  const bool lies = random.chance(0.6) && wrong_.size() < (cluster_.draw().founders - 1) / 2;
  if (!lies && !wrong_.contains(node)) {
    const auto drifts = static_cast<int64_t>(random.below(1000));
    cluster_.world().set_wall_clock(node, std::chrono::milliseconds(drifts - 500));
    return;
  }
  if (lies) {
    cluster_.count("clocks jumped");
    wrong_.insert(node);
    const int64_t length = kLengths[random.below(std::size(kLengths))] +
                           static_cast<int64_t>(node) * 3 * kMinute +
                           static_cast<int64_t>(random.below(60'000));
    cluster_.world().set_wall_clock(node, std::chrono::milliseconds(length));
  } else {
    wrong_.erase(node);
    cluster_.world().set_wall_clock(node, Duration::zero());
  }
}

void NodeClocks::look(const cluster::View& view) {
  if (view.state.version() <= newest_) return;  // A node that lags shows an older state.
  newest_ = view.state.version();
  size_t voters = 0;
  view.state.members().each(
      [&](const Incarnation&, const Member& member) { voters += member.voter ? 1 : 0; });
  if (voters >= 3) begun_ = true;
  if (!begun_) return;
  few_vote_ = few_vote_ || voters < 3;
  if (few_vote_ || cluster_.draw().clocks_jump) return;  // Then no clock needs to be right.
  // Each leader may move log time forward by a minute at most.
  const auto leaders = static_cast<int64_t>(view.term) + 1;
  const int64_t ahead = view.state.now_ms() - WallClock().ms(cluster_.world().now());
  // Clocks that are right drift too, by some per cent of the time that the run takes.
  if (ahead <= leaders * (kMinute + 2000) + 10 * kMinute) return;
  cluster_.checker().fail("log time lies " + std::to_string(ahead / 1000) + " s ahead in term " +
                          std::to_string(view.term));
}

}  // namespace databridge::sim
