// What one start of the engine is told.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cluster/effect.h"
#include "cluster/leader_role.h"
#include "env/network.h"
#include "model/address.h"
#include "model/member.h"
#include "node/coordinator.h"
#include "node/host.h"
#include "state/state.h"

namespace databridge::node {

struct EngineOptions {
  MemberInfo self;        // Incarnation and boot are filled in here; a node id if it has none.
  env::Greeting process;  // What the platform knows of this process.
  std::vector<Address> seeds;
  uint32_t expect = 1;
  bool clustered = true;  // False: stands alone, and opens no cluster port.
  ClusterId wanted;       // Not empty: belongs to that cluster or to none.
  cluster::LeaderRole::Options leader;
  MakeCoordinators coordinators;  // Of one kind.
  HostWatch* watch = nullptr;
  size_t snapshot_entries = 16'384;
  size_t snapshot_bytes = 16 << 20;
  uint64_t snapshot_trailing = 1024;    // Entries kept behind a snapshot.
  uint64_t disk_free_min = 1ull << 30;  // Below it, or below the percentage if that is less,
  uint32_t disk_free_percent = 5;       // sources stop.
  size_t events_kept = State::kEventsKept;
  struct Heritage {  // Of an incarnation whose directory was set aside.
    NodeId node;
    Bytes members;  // Addresses, a line each: whoever has no cluster yet asks these to take it in.
  };
  Heritage heritage;
  std::function<void(cluster::Weight, const std::string&)> log;
  std::function<void(const Error&)> on_fatal;  // The node has stopped by itself and must end.
};

}  // namespace databridge::node
