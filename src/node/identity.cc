#include "node/identity.h"

#include "base/random.h"
#include "cluster/brain.h"

namespace databridge::node {
namespace {

using env::Space;

constexpr char kIncarnation[] = "node/incarnation";
constexpr char kBoot[] = "node/boot";
constexpr char kNodeId[] = "node/id";
constexpr char kCluster[] = "node/cluster";
constexpr char kRenounced[] = "node/renounced";

Bytes number_bytes(uint64_t value) {
  Bytes bytes;
  append_big64(bytes, value);
  return bytes;
}

}  // namespace

Result<Bytes> read_meta(env::Store& store, const char* key) {
  auto value = store.get(Space::meta, key);
  if (!value) return tl::make_unexpected(value.error());
  return value->value_or(Bytes());
}

void put_renounced(env::Batch& batch, const std::string& why, bool comes_back) {
  batch.put(Space::meta, kRenounced, (comes_back ? "returns: " : "ends: ") + why);
}

Result<std::optional<Renounced>> read_renounced(env::Store& store) {
  const auto mark = read_meta(store, kRenounced);
  const auto node = read_meta(store, kNodeId);
  const auto members = read_meta(store, cluster::Brain::kMembersKey);
  for (const auto* part : {&mark, &node, &members}) {
    if (!*part) return tl::make_unexpected(part->error());
  }
  if (mark->empty()) return std::optional<Renounced>();
  const size_t colon = mark->find(": ");
  const std::string why = colon == Bytes::npos ? *mark : mark->substr(colon + 2);
  return Renounced{why, mark->starts_with("returns"), NodeId(*node), *members};
}

Result<Identity> stored_identity(env::Store& store) {
  Identity identity;
  const auto incarnation = read_meta(store, kIncarnation);
  const auto boot = read_meta(store, kBoot);
  const auto node = read_meta(store, kNodeId);
  const auto cluster = read_meta(store, kCluster);
  for (const auto* part : {&incarnation, &boot, &node, &cluster}) {
    if (!*part) return tl::make_unexpected(part->error());
  }
  if (incarnation->size() == 8) identity.incarnation.value = read_big64(*incarnation);
  if (boot->size() == 8) identity.boot = read_big64(*boot);
  identity.node = NodeId(*node);
  identity.cluster = ClusterId(*cluster);
  return identity;
}

Result<Identity> load_identity(env::Env& env, const NodeId& wanted) {
  auto stored = stored_identity(env.store);
  if (!stored) return stored;
  Identity identity = std::move(*stored);
  const auto renounced = read_renounced(env.store);
  if (!renounced) return tl::make_unexpected(renounced.error());
  if (*renounced) {
    return fail(Code::gone, "this data directory must not be used any more: " + (*renounced)->why);
  }
  Random random(env.seed);
  while (!identity.incarnation) identity.incarnation.value = random.next();
  ++identity.boot;
  while (identity.start == 0) identity.start = random.next();
  if (!wanted.empty()) identity.node = wanted;
  if (identity.node.empty()) {
    identity.node = NodeId("node-" + to_hex(number_bytes(identity.incarnation.value)).substr(0, 8));
  }
  return identity;
}

Result<NodeId> read_node_name(env::Store& store) {
  auto name = read_meta(store, kNodeId);
  if (!name) return tl::make_unexpected(name.error());
  return NodeId(std::move(*name));
}

void put_identity(env::Batch& batch, const Identity& identity) {
  batch.put(Space::meta, kIncarnation, number_bytes(identity.incarnation.value));
  batch.put(Space::meta, kBoot, number_bytes(identity.boot));
  batch.put(Space::meta, kNodeId, identity.node.value);
}

void put_cluster(env::Batch& batch, const ClusterId& cluster) {
  if (cluster.empty()) {
    batch.erase(Space::meta, kCluster);
  } else {
    batch.put(Space::meta, kCluster, cluster.value);
  }
}

}  // namespace databridge::node
