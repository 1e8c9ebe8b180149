// The load of this machine, or of the cgroup of this process.
#pragma once

#include <cstdint>
#include <optional>

namespace databridge::env {

struct LoadSample {
  double cpu_percent = 0;     // Since the last sample, 0–100 of all cores that we may use.
  double memory_percent = 0;  // Of the memory that we may use.
};

struct Machine {
  uint32_t cpu_cores = 1;
  uint64_t memory_gb = 1;
};

class LoadProbe {
 public:
  virtual ~LoadProbe() = default;
  virtual Machine machine() const = 0;

  // nullopt when it cannot be measured (the first call measures CPU since the start). Engine
  // thread, about once a second. It reads a few small files of /proc, which does not block.
  virtual std::optional<LoadSample> sample() = 0;
};

}  // namespace databridge::env
