#include "sim/node_draw.h"

namespace databridge::sim {
namespace {

Faults draw_faults(Random& random) {
  Faults faults;
  faults.loss = random.chance(0.3) ? random.unit() * 0.05 : 0;
  faults.latency_max =
      std::chrono::microseconds(random.between(50, random.chance(0.2) ? 20'000 : 2'000));
  faults.sync_max =
      std::chrono::microseconds(random.between(50, random.chance(0.2) ? 20'000 : 1'000));
  faults.drift = random.chance(0.5) ? 0.02 : 0;
  faults.disk_error = random.chance(0.2) ? 0.002 : 0;
  faults.job_max =
      std::chrono::microseconds(random.between(20, random.chance(0.2) ? 50'000 : 1'000));
  faults.same_host = random.chance(0.3);
  faults.guardians = !faults.same_host && random.chance(0.8);
  faults.report_max = random.chance(0.3) ? 20ms : 3s;
  return faults;
}

}  // namespace

NodeDraw::NodeDraw(Random& random) {
  faults = draw_faults(random);
  const Duration t = std::chrono::milliseconds(random.chance(0.5) ? 500 : 1000);
  timing = cluster::Timing::from(t, t * 3).value();
  founders = random.chance(0.7) ? 3 : 5;
  late = random.chance(0.4) ? 1 : 0;
  stray = late == 1 && random.chance(0.5);
  removals = random.chance(0.5);
  forced = removals && random.chance(0.2);
  visits = !forced && random.chance(0.5);
  addresses_change = random.chance(0.7);
}

std::string NodeDraw::text() const {
  return std::to_string(nodes()) + " nodes, T=" + std::to_string(timing.heartbeat_timeout / 1ms) +
         "ms, " + faults.text();
}

}  // namespace databridge::sim
