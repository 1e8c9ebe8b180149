// A log on each machine, which a program of its own writes, rotates and empties while nodes come
// and go. A flow follows it: each line arrives, and once.
//
// Owns   the writers, and how many lines there are. Acts on the machines from outside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeLogs {
 public:
  explicit NodeLogs(NodeCluster& cluster);

  void begin();  // Writers write, and somebody puts the flow, as long as the storm lasts.
  std::string missing() const;

 private:
  struct Log {
    uint64_t written = 0;  // Lines: "log-<machine> <number>".
    uint64_t newest = 0;   // The first line of the file that has the name now; 0: none has.
    std::string away;      // The file that had the name before, if its writer still has it open.
    uint64_t rotated = 0;
  };

  void put();
  void write(size_t machine);
  void rotate(size_t machine, Log& log);
  bool arrived(size_t machine, uint64_t line) const;
  bool all_arrived(size_t machine) const;

  NodeCluster& cluster_;
  std::vector<Log> logs_;
  bool numbers_shift_ = false;  // ".1" is the newest that was rotated away; else ".<n>" is.
  bool put_ = false;
};

}  // namespace databridge::sim
