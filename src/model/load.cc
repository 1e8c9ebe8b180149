#include "model/load.h"

#include <algorithm>

namespace databridge {

double load_score(const std::optional<NodeLoad>& load, const Capacity& capacity) {
  if (!load) return 50;
  const double most = std::max<uint32_t>(1, capacity.processors_max);
  const double active = static_cast<double>(load->processors_active) / most;
  const double depth = std::min(1.0, static_cast<double>(load->queue_depth) / 1000.0);
  return 0.4 * load->cpu_percent + 0.3 * load->memory_percent + 0.2 * 100 * active +
         0.1 * 100 * depth;
}

}  // namespace databridge
