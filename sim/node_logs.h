// Each machine has a log, which a program writes, rotates and empties while nodes come and go. A
// flow follows it: each line must arrive exactly once.
//
// - Owns: the writers, and the number of lines. Acts on the machines from outside.
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

  void begin();  // As long as the storm lasts, writers write, and an operator puts the flow.
  std::string missing() const;

 private:
  struct Log {
    uint64_t written = 0;        // The number of lines "log-<machine> <number>" so far.
    std::vector<uint64_t> here;  // The lines in the file that has the name now.
    std::string away;  // The file that had the name before, if its writer still has it open.
    uint64_t rotated = 0;
    uint64_t hole = 0;     // Its writer continues at this offset, although the file was emptied.
    uint64_t foreign = 0;  // The number of lines of another program: "other-<machine> <number>".
    // For lines that only the process of one life can know: that life. `life_of_away` is the same
    // for the lines of `away`.
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
  std::string path_;            // The path of the log files.
  bool numbers_shift_ = false;  // True: the newest rotated file is ".1". False: it is ".<n>".
  bool put_ = false;
};

}  // namespace databridge::sim
