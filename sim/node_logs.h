// A log on each machine, which a program of its own writes, rotates and empties while nodes come
// and go. A flow follows it: each line arrives, and once.
//
// - Owns: the writers, and how many lines there are. Acts on the machines from outside.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/node_cluster.h"

namespace databridge::sim {

class UserPrograms;

class NodeLogs {
 public:
  explicit NodeLogs(NodeCluster& cluster);

  void begin();  // Writers write, and somebody puts the flow, as long as the storm lasts.
  std::string missing() const;

 private:
  struct Log {
    uint64_t written = 0;        // Lines: "log-<machine> <number>".
    std::vector<uint64_t> here;  // Those of the file that has the name now.
    std::string away;            // The file that had it before, if its writer still has it open.
    uint64_t rotated = 0;
    uint64_t hole = 0;     // Its writer goes on there, though the file was emptied.
    uint64_t foreign = 0;  // Lines of another program: "other-<machine> <number>".
    // Lines that only the process of that life can know of; likewise those of `away`.
    std::map<uint64_t, uint64_t> life_of;
    std::optional<uint64_t> life_of_away;
  };

  void put();
  void write(size_t machine);
  void write_line(Log& log, size_t machine, UserPrograms& programs);
  void write_other(Log& log, size_t machine, UserPrograms& programs);
  void rotate(size_t machine, Log& log, UserPrograms& programs);
  void compress(size_t machine, Log& log, const std::string& name, UserPrograms& programs);
  void empty(Log& log, UserPrograms& programs);
  bool arrived(size_t machine, uint64_t line) const;
  bool all_arrived(size_t machine) const;

  NodeCluster& cluster_;
  std::vector<Log> logs_;
  std::string path_;            // Of the files themselves.
  bool numbers_shift_ = false;  // ".1" is the newest that was rotated away; else ".<n>" is.
  bool put_ = false;
};

}  // namespace databridge::sim
