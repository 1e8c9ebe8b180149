#include "node/recovery.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/canary.h"
#include "cluster/brain.h"
#include "model/command.h"
#include "model/generation.h"
#include "node/identity.h"
#include "node/raft_log_store.h"
#include "raft/codec.h"
#include "state/state.h"

namespace databridge::node {
namespace {

// All that the records of a stopped node amount to.
struct Opened {
  Survey survey;
  RaftLogStore log;
};

Result<Identity> read_identity(env::Store& store) {
  const auto renounced = read_renounced(store);
  if (!renounced) return tl::make_unexpected(renounced.error());
  if (*renounced) {
    return fail(Code::gone, "this data directory was given up: " + (*renounced)->why);
  }
  auto identity = stored_identity(store);
  if (!identity) return identity;
  if (!identity->incarnation || identity->cluster.empty()) {
    return fail(Code::conflict, "this node is in no cluster: there is nothing to recover here");
  }
  return identity;
}

Result<State> state_of(const raft::Restored& restored) {
  State state;
  if (!restored.snapshot.data.empty()) {
    auto read = State::from_snapshot(restored.snapshot.data);
    if (!read) return read;
    state = std::move(*read);
  }
  for (const raft::Entry& entry : restored.entries) {
    if (entry.index <= state.version()) continue;
    if (entry.kind != raft::Entry::Kind::command) {
      state.skip(entry.index);
      continue;
    }
    const auto command = decode_command(entry.data.view());
    if (!command) return tl::make_unexpected(command.error());
    state.apply(entry.index, *command, entry.data.view());
  }
  const FeatureSet lacks = state.features().without(known_features());
  if (!lacks.empty()) {
    return fail(Code::unprocessable, "this tool: " + why_refused("", lacks));
  }
  return state;
}

// The newest configuration and the end of the log.
Result<raft::Configuration> read_end(const raft::Restored& restored, Survey& survey) {
  raft::Configuration configuration = restored.snapshot.configuration;
  survey.last = restored.snapshot.index;
  survey.last_term = restored.snapshot.term;
  survey.chain = restored.snapshot.hash;
  for (const raft::Entry& entry : restored.entries) {
    if (entry.index <= restored.snapshot.index) continue;
    survey.last = entry.index;
    survey.last_term = entry.term;
    survey.chain = raft::chained(survey.chain, entry);
    if (entry.kind != raft::Entry::Kind::configuration) continue;
    auto read = raft::decode_configuration(entry.data.view());
    if (!read) return read;
    configuration = std::move(*read);
  }
  return configuration;
}

Result<Opened> open(env::Store& store) {
  auto identity = read_identity(store);
  if (!identity) return tl::make_unexpected(identity.error());
  Opened opened;
  Survey& survey = opened.survey;
  survey.node = identity->node;
  survey.incarnation = identity->incarnation;
  survey.cluster = identity->cluster;
  auto restored = opened.log.load(store);
  if (!restored) return tl::make_unexpected(restored.error());
  survey.term = restored->hard_state.term;
  const auto configuration = read_end(*restored, survey);
  if (!configuration) return tl::make_unexpected(configuration.error());
  survey.commit = std::max(restored->hard_state.commit, restored->snapshot.index);
  const auto state = state_of(*restored);
  if (!state) return tl::make_unexpected(state.error());
  survey.generation = state->generation();
  survey.is_member = state->member(survey.incarnation) != nullptr;
  const auto add = [&](raft::ServerId id, bool voter) {
    const Member* member = state->member(Incarnation{id});
    NodeId name("server-" + std::to_string(id));
    if (member != nullptr) name = member->info.node;
    survey.servers.push_back({Incarnation{id}, std::move(name), voter});
  };
  for (const raft::ServerId id : configuration->voters) add(id, true);
  for (const raft::ServerId id : configuration->learners) add(id, false);
  survey.members = state->members().size();
  survey.flows = state->flows().size();
  survey.processors = state->processors().size();
  survey.keys = state->config().size();
  const auto counted = store.scan(env::Space::queue, "", "", [&](BytesView, BytesView) {
    ++survey.queued;
    return true;
  });
  if (!counted) return tl::make_unexpected(counted.error());
  return opened;
}

std::string names_of(const std::vector<Server>& servers) {
  std::string names;
  for (const Server& server : servers) names += (names.empty() ? "" : ", ") + server.node.value;
  return names;
}

bool is_of(const Survey& survey, const Server& server) {
  return server.incarnation == survey.incarnation;
}

// The voters that nobody has called lost: with the given nodes they may be a majority.
std::vector<Server> not_lost(const Survey& survivor, const std::vector<NodeId>& lost) {
  std::vector<Server> left;
  for (const Server& server : survivor.servers) {
    const bool is_lost = std::find(lost.begin(), lost.end(), server.node) != lost.end();
    if (server.voter && !is_lost) left.push_back(server);
  }
  return left;
}

}  // namespace

Result<Survey> survey(env::Store& store) {
  auto opened = open(store);
  if (!opened) return tl::make_unexpected(opened.error());
  return std::move(opened->survey);
}

bool is_newer(const Survey& a, const Survey& b) {
  return std::tuple(a.generation, a.last_term, a.last) >
         std::tuple(b.generation, b.last_term, b.last);
}

std::string why_no_new_generation(const Survey& survivor, const std::vector<Survey>& others,
                                  const std::vector<NodeId>& lost) {
  if (!survivor.is_member) {
    return "the log of " + survivor.node.value + " does not have this node as a member";
  }
  for (const Survey& other : others) {
    if (root_of(other.cluster) != root_of(survivor.cluster)) {
      return other.node.value + " belongs to the cluster " + other.cluster.value + ", and " +
             survivor.node.value + " to " + survivor.cluster.value;
    }
    if (is_newer(other, survivor)) {
      return "the log of " + other.node.value + " is newer: it ends at entry " +
             std::to_string(other.last) + " of term " + std::to_string(other.last_term) +
             ", that of " + survivor.node.value + " at entry " + std::to_string(survivor.last) +
             " of term " + std::to_string(survivor.last_term);
    }
  }
  for (const NodeId& node : lost) {
    const auto server = std::find_if(survivor.servers.begin(), survivor.servers.end(),
                                     [&](const Server& one) { return one.node == node; });
    if (server == survivor.servers.end()) {
      return node.value + " is called lost, and the log does not know it; it knows " +
             names_of(survivor.servers);
    }
    const bool is_here = is_of(survivor, *server) ||
                         std::any_of(others.begin(), others.end(),
                                     [&](const Survey& other) { return is_of(other, *server); });
    if (is_here) return node.value + " is called lost, and its data directory is here";
  }
  const auto voters = std::count_if(survivor.servers.begin(), survivor.servers.end(),
                                    [](const Server& server) { return server.voter; });
  const std::vector<Server> left = not_lost(survivor, lost);
  if (2 * left.size() > static_cast<size_t>(voters)) {
    return names_of(left) + " are not called lost, and they are a majority of the " +
           std::to_string(voters) + " voters: start them, and the cluster goes on by itself";
  }
  return "";
}

// The log keeps all its entries, also those of which nobody knows whether they were committed. The
// two new ones are of a term of their own, in which no other server can have led.
Result<ClusterId> begin_generation(env::Store& store, env::Batch& batch) {
  auto opened = open(store);
  if (!opened) return tl::make_unexpected(opened.error());
  const Survey& survey = opened->survey;
  if (survey.generation >= kGenerationMax) {
    return fail(Code::unprocessable, "there were " + std::to_string(survey.generation) +
                                         " recoveries, and no more are possible");
  }
  const raft::Term term = survey.term + 1;
  const raft::ServerId self = survey.incarnation.value;
  Command command;
  command.body = BeginGeneration{survey.generation + 1, survey.incarnation};
  std::vector<raft::Entry> entries(2);
  entries[0] = {term, survey.last + 1, raft::Entry::Kind::configuration,
                Payload(raft::encode_configuration({{self}, {}}))};
  entries[1] = {term, survey.last + 2, raft::Entry::Kind::command, Payload(encode(command))};
  opened->log.append(batch, entries);
  opened->log.put_hard_state(batch, {term, self, survey.last + 2});
  Bytes mark;
  append_big64(mark, self);
  append_big64(mark, survey.chain);
  ClusterId name = next_generation(survey.cluster, hash64(mark));
  if (CANARY(recovered_keeps_its_name)) name = survey.cluster;
  put_cluster(batch, name);
  return name;
}

}  // namespace databridge::node
