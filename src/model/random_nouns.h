// Random commands and messages for property tests: every alternative of both variants.
#pragma once

#include "model/message.h"
#include "model/random_values.h"
#include "model/spoiled.h"

namespace databridge {

class RandomNouns : public RandomValues {
 public:
  using RandomValues::RandomValues;

  // `alternative` is the index in the variant.
  CommandBody command_body(size_t alternative);
  Message message(size_t alternative);
  Command command() {
    return {command_body(random().below(std::variant_size_v<CommandBody>)),
            time(),
            request(),
            text(),
            number(),
            number(),
            actor()};
  }

 private:
  // ---- One `fill` for each alternative.
  void fill(AdmitMember& to) { to = {info(), flip(), FeatureSet(number())}; }
  void fill(RemoveMember& to) { to = {incarnation(), text()}; }
  void fill(SetVerdict& to) {
    to = {incarnation(), one_of(Health::stopped), one_of(HealthReason::behind), time()};
  }
  void fill(SetDraining& to) { to = {incarnation(), flip(), flip(), flip()}; }
  void fill(SetVoters& to) {
    to = {list([&] { return incarnation(); }), incarnation()};
  }
  void fill(PutFlow& to) { to = {flow()}; }
  void fill(DeleteFlow& to) { to = {FlowId(text())}; }
  void fill(AddProcessor& to) { to = {spec()}; }
  void fill(DeleteProcessor& to) { to = {uuid()}; }
  void fill(SetWanted& to) { to = {uuid(), flip()}; }
  void fill(Release& to) { to = {uuid(), epoch(), text()}; }
  void fill(Assign& to) { to = {uuid(), epoch(), incarnation(), text()}; }
  void fill(Unassign& to) { to = {uuid(), epoch(), text()}; }
  void fill(Reports& to) {
    to = {list([&] { return Report{uuid(), epoch(), run_state(), text()}; })};
  }
  void fill(SaveCheckpoint& to) { to = {uuid(), checkpoint()}; }
  void fill(SetConfig& to) { to = {text(), text(), expected()}; }
  void fill(DeleteConfig& to) { to = {text(), expected()}; }
  void fill(SetStrategy& to) { to = {one_of(Strategy::consistent_hash)}; }
  void fill(NoteRebalance& to) { to = {text(), small()}; }
  void fill(NoteEmpty& to) { to = {incarnation(), number()}; }
  void fill(SetLogTime& to) { to = {time()}; }
  void fill(WishPlace& to) { to = {uuid(), incarnation(), flip()}; }
  void fill(PutToken& to) { to = {text(), text(), one_of(TokenRole::admin), text(), time()}; }
  void fill(DeleteToken& to) { to = {text()}; }
  void fill(RestoreState& to) { to = {text()}; }
  void fill(BeginGeneration& to) { to = {static_cast<uint32_t>(small()), incarnation()}; }
  void fill(NoteAction& to) { to = {text(), text()}; }
  void fill(ActivateFeatures& to) {
    to = {FeatureSet(number()), list([&] {
            return ActivateFeatures::Process{incarnation(), number(), number()};
          })};
  }

  void fill(RaftPacket& to) { to = {text()}; }
  void fill(Probe& to) { to = {info()}; }
  void fill(ProbeReply& to) {
    to = {info(),
          ClusterId(text()),
          list([&] { return info(); }),
          list([&] { return incarnation(); }),
          list([&] { return number(); }),
          number(),
          static_cast<uint32_t>(number()),
          list([&] { return ClusterId(text()); })};
  }
  void fill(Join& to) { to = {info(), ClusterId(text()), FeatureSet(number())}; }
  void fill(JoinReply& to) {
    to = {ClusterId(text()),         incarnation(), list([&] { return info(); }), text(), flip(),
          one_of(Standing::stranger)};
  }
  void fill(Heartbeat& to) {
    to = {number(),
          number(),
          number(),
          load(),
          list([&] { return Running{uuid(), epoch(), run_state()}; }),
          flip(),
          flip(),
          number(),
          number(),
          time(),
          number(),
          number(),
          flip()};
  }
  void fill(HeartbeatAck& to) { to = {number(), number(), number()}; }
  void fill(HeartbeatAsk& to) { to = {number()}; }
  void fill(SoftTable& to) {
    to = {number(),
          time(),
          small(),
          list([&] {
            return SoftMember{incarnation(), load(), flip(), time(), real(),  real(),
                              real(),        time(), time(), time(), number()};
          }),
          time(),
          small(),
          number()};
  }
  void fill(StartWork& to) { to = {uuid(), epoch(), number(), number()}; }
  void fill(StopWork& to) { to = {uuid(), epoch(), number()}; }
  void fill(WorkReport& to) { to = {uuid(), epoch(), run_state(), text()}; }
  void fill(Forward& to) { to = {request(), text()}; }
  void fill(ForwardReply& to) { to = {request(), text()}; }
  void fill(Delivery& to) {
    to = {uuid(), uuid(), epoch(), epoch(), list([&] { return parcel(); })};
  }
  void fill(DeliveryAck& to) {
    to = {uuid(),
          uuid(),
          epoch(),
          epoch(),
          list([&] { return number(); }),
          list([&] { return number(); }),
          one_of(DeliveryResult::not_here)};
  }

  template <typename Variant, size_t i = 0>
  Variant filled(size_t alternative) {
    if constexpr (i < std::variant_size_v<Variant>) {
      if (alternative != i) return filled<Variant, i + 1>(alternative);
      std::variant_alternative_t<i, Variant> value;
      fill(value);
      return value;
    }
    std::abort();
  }
};

inline CommandBody RandomNouns::command_body(size_t alternative) {
  return filled<CommandBody>(alternative);
}
inline Message RandomNouns::message(size_t alternative) { return filled<Message>(alternative); }

}  // namespace databridge
