// Random commands, most of them possible, for tests that compare two ways to do the same thing.
#pragma once

#include <string>

#include "base/random.h"
#include "model/random_nouns.h"
#include "state/state.h"

namespace databridge {

// Ids are drawn from a few nodes and processors, and epochs are mostly current, so that commands
// often affect each other.
class Commands {
 public:
  explicit Commands(uint64_t seed) : random_(seed), nouns_(seed + 1) {}

  Command next(const State& state) {
    at_ms_ += static_cast<int64_t>(random_.below(20'000));
    Command command{body(state), at_ms_ - static_cast<int64_t>(random_.below(3'000)), {}, ""};
    if (random_.chance(0.3)) command.request = {node(), random_.below(500)};
    if (random_.chance(0.1)) {
      command.idempotency_key = "k" + std::to_string(random_.below(50));
      command.fingerprint = random_.below(2);
    }
    const bool of_tokens = std::holds_alternative<PutToken>(command.body) ||
                           std::holds_alternative<DeleteToken>(command.body);
    if (random_.chance(of_tokens ? 0.9 : 0.2)) command.by = {"t (000000000001)", "10.0.0.1"};
    return command;
  }

 private:
  // One of six. A removed node does not come back, so the range moves on to new ones.
  Incarnation node() { return Incarnation{1 + followed_ + random_.below(6)}; }
  ProcessorId processor() { return {7, 1 + random_.below(12)}; }
  Epoch epoch(const State& state, const ProcessorId& id) {
    const Assignment* assignment = state.assignments().find(id);
    if (random_.chance(0.1)) return {0, random_.below(state.version() + 2)};
    return assignment == nullptr ? Epoch{} : assignment->epoch;
  }
  MemberInfo info() {
    MemberInfo info;
    info.incarnation = node();
    info.node = NodeId("n" + std::to_string(1 + random_.below(4)));
    info.labels = {{"zone", random_.chance(0.5) ? "a" : "b"}};
    info.capacity.processors_max = static_cast<uint32_t>(random_.below(8));
    info.boot = random_.below(3);
    return info;
  }
  ProcessorSpec spec(ProcessorId id) {
    ProcessorSpec spec;
    spec.id = id;
    spec.type = "T" + std::to_string(random_.below(2));
    spec.constraints.spread = random_.chance(0.2);
    if (random_.chance(0.2)) spec.constraints.require = {{"zone", "a"}};
    spec.node_local = random_.chance(0.2);
    return spec;
  }
  ProcessorSpec added(ProcessorId id) {
    ProcessorSpec one = spec(id);
    if (random_.chance(0.3)) one.flow = FlowId("f" + std::to_string(random_.below(3)));
    return one;
  }
  FlowSpec flow() {
    FlowSpec flow;
    flow.id = FlowId("f" + std::to_string(random_.below(3)));
    for (uint64_t n = random_.below(5); n > 0; --n) flow.processors.push_back(spec(processor()));
    if (flow.processors.size() > 1) {
      flow.connections.push_back(
          {{9, random_.below(6)}, flow.processors[0].id, "success", flow.processors[1].id});
    }
    return flow;
  }

  CommandBody body(const State& state) {
    const ProcessorId id = processor();
    const Epoch current = epoch(state, id);
    switch (random_.below(25)) {
      case 0:
        followed_ += random_.chance(0.1);
        return AdmitMember{info()};
      case 1:
        return random_.chance(0.7) ? CommandBody(RemoveMember{node(), "r"})
                                   : NoteEmpty{node(), random_.below(2) * state.version()};
      case 2:
        return SetVerdict{node(), nouns_.one_of(Health::stopped), HealthReason::slow,
                          random_.chance(0.5) ? 20'000 : 0};
      case 3:
        return SetDraining{node(), random_.chance(0.3), random_.chance(0.3), nouns_.flip()};
      case 4:
        return SetVoters{{node(), node()}, node()};
      case 5:
        return PutFlow{flow()};
      case 6:
        return random_.chance(0.5) ? CommandBody(DeleteFlow{flow().id})
                                   : CommandBody(DeleteProcessor{id});
      case 7:
        return AddProcessor{added(id)};
      case 8:
        return SetWanted{id, random_.chance(0.8)};
      case 9:
        return SaveCheckpoint{id, {current, random_.below(20), nouns_.text()}};
      case 10:
        return Reports{{{id, current, nouns_.run_state(), "d"},
                        {processor(), current, nouns_.run_state(), ""}}};
      case 11:
        return SetConfig{"c" + std::to_string(random_.below(4)), "1",
                         nouns_.flip() ? std::nullopt : std::optional<LogIndex>(random_.below(9))};
      case 12:
        if (random_.chance(0.1)) return BeginGeneration{state.generation() + 1, node()};
        return DeleteConfig{"c" + std::to_string(random_.below(4)), std::nullopt};
      case 13:
        return SetStrategy{nouns_.one_of(Strategy::consistent_hash)};
      case 14:
        if (kept_.empty() || random_.chance(0.5)) kept_ = state.backup();
        return random_.chance(0.3) ? RestoreState{kept_} : RestoreState{spoiled(kept_, random_)};
      case 15:
        return nouns_.command_body(random_.below(std::variant_size_v<CommandBody>));
      case 16:
        return Unassign{id, current, "u"};
      case 17:
      case 18:
        return Release{id, current, "r"};
      case 19:
        return WishPlace{id, node(), nouns_.flip()};
      case 20: {
        const std::string token = "00000000000" + std::to_string(random_.below(4));
        if (random_.chance(0.3)) return DeleteToken{token};
        return PutToken{token, "t", nouns_.one_of(TokenRole::admin), Bytes(kTokenHashSize, 'h'),
                        static_cast<int64_t>(random_.below(2) * 1'000)};
      }
      default:
        return Assign{id, current, node(), "a"};
    }
  }

  Random random_;
  RandomNouns nouns_;
  int64_t at_ms_ = 1'000'000;
  uint64_t followed_ = 0;
  Bytes kept_;
};

}  // namespace databridge
