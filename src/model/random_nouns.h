// Random nouns, commands and messages for property tests: every field takes odd values (empty, not
// UTF-8, largest), and the same seed gives the same value everywhere.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "model/command.h"
#include "model/event.h"
#include "model/message.h"

namespace databridge {

// How many fields an aggregate has. A struct that grows must grow in its generator and its codec:
// the assertions below stop the build until someone has looked.
struct AnyField {
  template <typename T>
  operator T() const;
};
template <typename T, typename... Fields>
constexpr size_t field_count() {
  if constexpr (requires { T{Fields{}..., AnyField{}}; }) {
    return field_count<T, Fields..., AnyField>();
  } else {
    return sizeof...(Fields);
  }
}
static_assert(field_count<MemberInfo>() == 10 && field_count<Member>() == 9);
static_assert(field_count<ProcessorSpec>() == 8 && field_count<ConnectionSpec>() == 6);
static_assert(field_count<FlowSpec>() == 4 && field_count<Assignment>() == 14);
static_assert(field_count<Checkpoint>() == 3 && field_count<Heartbeat>() == 6);
static_assert(field_count<SoftMember>() == 8 && field_count<SoftTable>() == 4);
static_assert(field_count<Parcel>() == 3 && field_count<NodeLoad>() == 5);
static_assert(field_count<Command>() == 4 && field_count<Event>() == 5);

class RandomNouns {
 public:
  explicit RandomNouns(uint64_t seed) : random_(seed) {}

  Random& random() { return random_; }
  bool flip() { return random_.chance(0.5); }
  uint64_t number() {
    switch (random_.below(4)) {
      case 0:
        return 0;
      case 1:
        return random_.below(300);
      case 2:
        return std::numeric_limits<uint64_t>::max() - random_.below(2);
      default:
        return random_.next();
    }
  }
  uint32_t small() { return static_cast<uint32_t>(number()); }
  int64_t time() { return static_cast<int64_t>(number()); }
  double real() { return (random_.unit() - 0.25) * 1000; }
  std::string text() {
    std::string text(random_.below(4) == 0 ? 0 : random_.below(20), ' ');
    for (auto& c : text) c = static_cast<char>(random_.below(256));
    return text;
  }
  std::map<std::string, std::string> texts() {
    std::map<std::string, std::string> texts;
    for (uint64_t n = random_.below(4); n > 0; --n) texts[text()] = text();
    return texts;
  }
  template <typename Enum>
  Enum one_of(Enum last) {
    return static_cast<Enum>(random_.below(static_cast<uint64_t>(last) + 1));
  }
  template <typename Make>
  auto list(Make make) {
    std::vector<decltype(make())> list;
    for (uint64_t n = random_.below(4); n > 0; --n) list.push_back(make());
    return list;
  }

  Incarnation incarnation() { return Incarnation{number()}; }
  Uuid uuid() { return {number(), number()}; }
  Epoch epoch() { return {small(), number()}; }
  Address address() { return {text(), static_cast<uint16_t>(number())}; }
  NodeLoad load() { return {real(), real(), small(), number(), flip()}; }
  RunState run_state() { return one_of(RunState::failed); }
  MemberInfo info() {
    return {incarnation(),
            NodeId(text()),
            address(),
            address(),
            texts(),
            texts(),
            {small(), number(), small(), small()},
            text(),
            number(),
            time()};
  }
  ProcessorSpec spec() {
    return {uuid(),
            text(),
            text(),
            texts(),
            FlowId(text()),
            one_of(Replication::async),
            {texts(), texts(), flip()},
            flip()};
  }
  ConnectionSpec connection() { return {uuid(), uuid(), text(), uuid(), number(), number()}; }
  FlowSpec flow() {
    return {FlowId(text()), text(), list([&] { return spec(); }),
            list([&] { return connection(); })};
  }
  Checkpoint checkpoint() { return {epoch(), number(), text()}; }
  RequestId request() { return {incarnation(), number()}; }
  Parcel parcel() { return {epoch(), number(), {uuid(), texts(), text()}}; }
  std::optional<LogIndex> expected() {
    return flip() ? std::nullopt : std::optional<LogIndex>(number());
  }

  // The alternative of that place in the variant.
  CommandBody command_body(size_t alternative);
  Message message(size_t alternative);
  Command command() {
    return {command_body(random_.below(std::variant_size_v<CommandBody>)), time(), request(),
            text()};
  }

 private:
  // One `fill` an alternative.
  void fill(AdmitMember& to) { to = {info()}; }
  void fill(RemoveMember& to) { to = {incarnation(), text()}; }
  void fill(SetVerdict& to) {
    to = {incarnation(), one_of(Health::disconnected), one_of(HealthReason::removed), time()};
  }
  void fill(SetDraining& to) { to = {incarnation(), flip(), flip()}; }
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
  void fill(RestoreState& to) { to = {text()}; }

  void fill(RaftPacket& to) { to = {text()}; }
  void fill(Probe& to) { to = {info()}; }
  void fill(ProbeReply& to) {
    to = {info(),
          ClusterId(text()),
          list([&] { return info(); }),
          list([&] { return incarnation(); }),
          list([&] { return number(); }),
          number()};
  }
  void fill(Join& to) { to = {info()}; }
  void fill(JoinReply& to) {
    to = {ClusterId(text()), incarnation(), list([&] { return info(); }), text()};
  }
  void fill(Heartbeat& to) {
    to = {number(),
          number(),
          number(),
          load(),
          list([&] { return Running{uuid(), epoch(), run_state()}; }),
          flip()};
  }
  void fill(HeartbeatAck& to) { to = {number(), number()}; }
  void fill(HeartbeatAsk&) {}
  void fill(SoftTable& to) {
    to = {number(), time(), small(), list([&] {
            return SoftMember{incarnation(), load(), flip(), time(),
                              real(),        real(), real(), time()};
          })};
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

  Random random_;
};

inline CommandBody RandomNouns::command_body(size_t alternative) {
  return filled<CommandBody>(alternative);
}
inline Message RandomNouns::message(size_t alternative) { return filled<Message>(alternative); }

// What the wire might do to bytes: cut, flip, repeat, or put something else altogether.
inline Bytes spoiled(Bytes bytes, Random& random) {
  switch (random.below(4)) {
    case 0:
      bytes.resize(random.below(bytes.size() + 1));
      break;
    case 1:
      for (uint64_t n = random.between(1, 4); n > 0 && !bytes.empty(); --n) {
        bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      }
      break;
    case 2:
      bytes.insert(random.below(bytes.size() + 1), bytes.substr(random.below(bytes.size() + 1)));
      break;
    default:
      bytes.resize(random.below(200));
      for (auto& c : bytes) c = static_cast<char>(random.below(256));
  }
  return bytes;
}

}  // namespace databridge
