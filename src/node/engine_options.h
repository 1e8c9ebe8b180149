// The options of one start of the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cluster/effect.h"
#include "cluster/leader_role.h"
#include "env/network.h"
#include "flow/registry.h"
#include "model/address.h"
#include "model/features.h"
#include "model/member.h"
#include "node/coordinator.h"
#include "node/host.h"
#include "state/state.h"

namespace databridge::node {

struct EngineOptions {
  // The engine fills in incarnation and boot, and a node id if there is none.
  MemberInfo self;
  FeatureSet features = known_features();  // Of this build.
  env::Greeting process;                   // The facts that the platform knows of this process.
  std::vector<Address> seeds;
  uint32_t expect = 1;
  bool clustered = true;  // False: the node stands alone and opens no cluster port.
  // Not empty: the node belongs to that cluster or to none.
  ClusterId wanted;
  cluster::LeaderRole::Options leader;
  MakeCoordinators coordinators;  // They are all of one kind.
  HostWatch* watch = nullptr;
  // The processor types of this node; they must outlive the engine. Null: those of the program.
  const flow::Types* types = nullptr;
  // Runs the processors of type "external". It must outlive the engine. Null: there is none.
  Embedder* embedder = nullptr;
  size_t snapshot_entries = 16'384;
  size_t snapshot_bytes = 16 << 20;
  uint64_t snapshot_trailing = 1024;  // Entries kept behind a snapshot.
  // Sources stop when the free room on the disk is below both of the following limits.
  uint64_t disk_free_min = 1ull << 30;  // In bytes.
  uint32_t disk_free_percent = 5;       // In percent of the disk.
  size_t events_kept = State::kEventsKept;
  // The data that this incarnation takes over from one whose directory was set aside.
  struct Heritage {
    NodeId node;
    // Addresses, one in each line. A node that is in no cluster asks these nodes to take it in.
    Bytes members;
  };
  Heritage heritage;
  std::function<void(cluster::Weight, const std::string&)> log;
  // The node has stopped by itself; the process must end.
  std::function<void(const Error&)> on_fatal;
};

}  // namespace databridge::node
