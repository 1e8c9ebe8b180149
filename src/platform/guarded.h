// The processes that were met and have a guardian (docs/adr/0008).
//
// - Owns: of each incarnation, the start that was met and the hash of its guardian's secret. Hides
//   how many are kept, and which of two starts is believed. Network thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "env/network.h"
#include "platform/frame.h"

namespace databridge::platform {

class Guarded {
 public:
  // `dialled`: the process was met at an address that this node dialled. It is believed before one
  // that dialled this node. If too many are kept, those go that are not `known`.
  void met(const env::Greeting& peer, bool dialled, const KnownPeers& known);

  // True if the report is from the guardian of the process that was met.
  bool proves(const Reaped& report) const;

 private:
  struct Process {
    uint64_t boot = 0;
    uint64_t start = 0;
    std::string hash;
  };
  std::map<Incarnation, Process> processes_;
};

}  // namespace databridge::platform
