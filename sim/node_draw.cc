#include "sim/node_draw.h"

#include <algorithm>
#include <cmath>

#include "state/state.h"

namespace databridge::sim {
namespace {

constexpr double kFewClocksLie = 0.2;  // The share of runs in which a few wall clocks are wrong.

// Round trips and syncs must stay short beside the base of elections: close to it, no node can lead
// for long.
Faults draw_faults(Random& random, const NodeDraw& draw) {
  const auto some = [&](uint64_t least, uint64_t usual, uint64_t bad) {
    const std::chrono::microseconds time(random.between(least, random.chance(0.2) ? bad : usual));
    const Duration paced = random.chance(0.3) ? draw.paced(time) : Duration(time);
    return std::clamp<Duration>(paced, 20us, draw.timing.raft_base / 4);
  };
  Faults faults;
  faults.loss = random.chance(0.3) ? random.unit() * 0.05 : 0;
  faults.latency_max = some(50, 2'000, 20'000);
  faults.sync_max = some(50, 1'000, 20'000);
  faults.drift = random.chance(0.5) ? 0.02 : 0;
  faults.disk_error = random.chance(0.2) ? 0.002 : 0;
  faults.job_max =
      std::chrono::microseconds(random.between(20, random.chance(0.2) ? 50'000 : 1'000));
  faults.same_host = random.chance(0.3);
  faults.guardians = !faults.same_host && random.chance(0.8);
  faults.report_max = random.chance(0.3) ? 20ms : 3s;
  faults.doubled = random.chance(0.3) ? random.unit() * 0.05 : 0;
  faults.file_error = random.chance(0.2) ? random.unit() * 0.1 : 0;
  if (random.chance(0.15)) {
    // There are as many messages in a T, however long it is.
    const double per_second = 1'000 * std::pow(30, random.unit());
    faults.bandwidth = 1 + uint64_t(per_second * 1e9 / double(draw.paced(1s).count()));
    faults.queue_max = random.between(200, 8 << 10);
  }
  return faults;
}

// T is between half a second and a minute, and seldom long. E is between T and ten times T.
cluster::Timing draw_timing(Random& random) {
  Duration t = random.chance(0.5) ? 500ms : 1000ms;
  if (random.chance(0.4))
    t = std::chrono::milliseconds(int64_t(500 * std::pow(120, random.unit())));
  const double times = random.chance(0.5) ? 3 : 1.05 + random.unit() * 8.95;
  const auto e = std::chrono::milliseconds(int64_t(double(t / 1ms) * times));
  return cluster::Timing::from(t, e).value();
}

// Node 0 forgets no event, since it is asked for them in the end. With visits, the log is kept
// longer: a node that applies it again must pass through them.
NodeDraw::Constants draw_constants(Random& random, size_t node, bool visits) {
  NodeDraw::Constants drawn;
  drawn.snapshot_entries = visits ? 400 : random.between(20, 60);
  drawn.snapshot_trailing = random.between(2, 40);
  drawn.snapshot_chunk = random.between(1 << 9, 1 << 14);
  drawn.events_kept =
      node != 0 && random.chance(0.5) ? random.between(20, 200) : State::kEventsKept;
  return drawn;
}

}  // namespace

NodeDraw::NodeDraw(Random& random, bool wild_too) : wild(wild_too) {
  standstills = wild && random.chance(0.03);
  timing = standstills ? cluster::Timing::from(60s, 180s).value() : draw_timing(random);
  faults = draw_faults(random, *this);
  founders = random.chance(0.7) ? 3 : 5;
  late = random.chance(0.4) ? 1 : 0;
  stray = late == 1 && random.chance(0.5);
  removals = random.chance(0.5);
  forced = removals && random.chance(0.2);
  if (wild) draw_wild(random);
  visits = promises_files() && random.chance(0.5);
  addresses_change = random.chance(0.7);
  few_clocks_lie = !wild && random.chance(kFewClocksLie) && !removals;
  if (random.chance(0.2)) slow_engine = random.below(nodes());
  if (random.chance(0.2)) slow_disk = random.below(nodes());
  for (size_t node = 0; node < nodes(); ++node) {
    constants.push_back(draw_constants(random, node, visits));
  }
  strangers = random.chance(0.3);
  sighted = random.chance(0.3);
  if (sighted) faults.wrong_sightings = random.unit() * 0.3;
}

NodeDraw draw_recovery(Random& random) {
  NodeDraw draw(random, false);
  draw.late = 0;
  draw.stray = draw.removals = draw.forced = draw.visits = draw.few_clocks_lie = false;
  draw.restores = true;  // Flow files that came from a lost part of the log may come again.
  draw.addresses_change = draw.strangers = draw.sighted = false;
  draw.faults.bandwidth = 0;
  if (draw.founders == 5 && random.chance(0.5)) draw.replica_count = 5;
  return draw;
}

// Short times and slow links and disks: much happens while a promise is on its way. There are fewer
// than twice as many founders as are expected, or two clusters would be right.
NodeDraw NodeDraw::of_founding(Random& random) {
  NodeDraw draw(random, false);
  draw.founding = true;
  draw.removals = draw.forced = draw.stray = draw.strangers = draw.visits = false;
  draw.addresses_change = draw.few_clocks_lie = false;
  static constexpr size_t kFounders[] = {2, 3, 3, 3, 3, 4, 5};
  draw.founders = kFounders[random.below(std::size(kFounders))];
  draw.late = random.chance(0.4) ? random.between(1, draw.founders - 1) : 0;
  static constexpr uint32_t kReplicas[] = {1, 3, 3, 3, 5};
  draw.replica_count = kReplicas[random.below(std::size(kReplicas))];
  const Duration t = std::chrono::milliseconds(random.between(500, 1500));
  draw.timing = cluster::Timing::from(t, t * random.between(11, 40) / 10).value();
  draw.faults = draw_faults(random, draw);
  draw.faults.bandwidth = 0;
  draw.faults.disk_error = 0;
  if (random.chance(0.5)) draw.faults.sync_max = draw.timing.raft_base / 4;
  if (random.chance(0.5)) draw.faults.latency_max = draw.timing.raft_base / 4;
  draw.slow_engine = draw.slow_disk = SIZE_MAX;
  draw.constants.clear();
  for (size_t node = 0; node < draw.nodes(); ++node) {
    draw.constants.push_back(draw_constants(random, node, false));
  }
  return draw;
}

void NodeDraw::draw_wild(Random& random) {
  static constexpr size_t kFounders[] = {1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6, 7};
  founders = kFounders[random.below(std::size(kFounders))];
  if (founders == 1) removals = forced = false;  // Alone on an empty disk, it would found anew.
  static constexpr uint32_t kReplicas[] = {1, 3, 3, 3, 5};
  replica_count = kReplicas[random.below(std::size(kReplicas))];
  restores = random.chance(0.15);
  clocks_jump = random.chance(0.3);
  clocks_mend = random.chance(0.5);
  heavy = random.chance(0.02);
  if (heavy) {
    flow.files = random.between(1000, 4000);
    flow.batch = random.between(10, 100);
    flow.count_max = random.between(10, 500);
  }
  flow.wide = random.chance(0.3);
  // Flow files on their way to a node that is removed are sent again, perhaps twice.
  restless = !heavy && !removals && promises_files() && random.chance(0.01);
  if (restless) {
    flow.files = 500;
    flow.poll *= calmer();
  }
  logs = promises_files() && !removals && random.chance(0.4);
  flow.interval = paced(flow.interval);
  flow.poll = paced(flow.poll);
}

Duration NodeDraw::paced(Duration time) const {
  return Duration(time.count() * (timing.heartbeat_timeout / 1ms) / 750);
}

std::string NodeDraw::text() const {
  const auto ms = [](Duration d) { return std::to_string(d / 1ms) + "ms"; };
  std::string all = std::to_string(founders) + "+" + std::to_string(late) +
                    " nodes, replicas=" + std::to_string(replica_count) +
                    " T=" + ms(timing.heartbeat_timeout) + " E=" + ms(timing.election_timeout) +
                    ", " + faults.text();
  const auto say = [&](bool is, const std::string& what) {
    if (is) all += ", " + what;
  };
  say(founding, "founding");
  say(stray, "stray");
  say(removals, forced ? "forced removals" : "removals");
  say(restores, "restores");
  say(visits, "visits");
  say(heavy, "heavy: " + std::to_string(flow.files) + " files, " + std::to_string(flow.count_max) +
                 " a connection");
  say(flow.wide, "wide flows");
  say(restless, "restless");
  say(standstills, "standstills");
  say(logs, "logs");
  say(strangers, "strangers");
  say(sighted, "sighted");
  say(clocks_jump, clocks_mend ? "clocks jump and are mended" : "clocks jump");
  say(few_clocks_lie, "few clocks lie");
  say(slow_engine < nodes(), "slow engine " + std::to_string(slow_engine));
  say(slow_disk < nodes(), "slow disk " + std::to_string(slow_disk));
  all += ", snapshots every";
  for (const Constants& drawn : constants) all += " " + std::to_string(drawn.snapshot_entries);
  all += " entries, events kept";
  for (const Constants& drawn : constants) all += " " + std::to_string(drawn.events_kept);
  return all;
}

}  // namespace databridge::sim
