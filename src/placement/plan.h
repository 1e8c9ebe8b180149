// A plan of moves, as data: it can be printed, tested, shown, and carried out or not.
#pragma once

#include <string>
#include <vector>

#include "model/ids.h"

namespace databridge::placement {

struct LoadSpread {
  double average = 0;
  double least = 0;
  double most = 0;
};

struct Move {
  ProcessorId processor;
  Incarnation from;
  Incarnation to;
  std::string reason;
  double gain = 0;
};

struct BlockedMove {
  ProcessorId processor;
  std::string reason;
};

struct Plan {
  std::string id;
  LogIndex state_version = 0;
  std::vector<Move> moves;
  uint32_t lower_bound = 0;  // No plan with an equally balanced result has fewer moves.
  LoadSpread before;
  LoadSpread after;
  std::vector<BlockedMove> blocked;
};

}  // namespace databridge::placement
