// Random values and nouns for property tests. Every field takes odd values (empty, not UTF-8,
// largest), and the same seed gives the same value everywhere.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/command.h"
#include "model/field_count.h"
#include "model/flow_file.h"
#include "model/load.h"

namespace databridge {

class RandomValues {
 public:
  explicit RandomValues(uint64_t seed) : random_(seed) {}

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
  NodeLoad load() { return {real(), real(), small(), number(), one_of(NodeTrouble::disk_full)}; }
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
            time(),
            list([&] { return text(); }),
            number(),
            {text(), number(), number()}};
  }
  ProcessorSpec spec() {
    return {uuid(),
            text(),
            text(),
            texts(),
            FlowId(text()),
            one_of(Replication::async),
            {texts(), texts(), flip()},
            flip(),
            list([&] { return text(); }),
            list([&] { return text(); })};
  }
  ConnectionSpec connection() { return {uuid(), uuid(), text(), uuid(), number(), number()}; }
  FlowSpec flow() {
    return {FlowId(text()), text(), list([&] { return spec(); }),
            list([&] { return connection(); })};
  }
  Checkpoint checkpoint() { return {epoch(), number(), text()}; }
  Actor actor() { return {text(), text()}; }
  RequestId request() { return {incarnation(), number()}; }
  Parcel parcel() {
    return {epoch(), number(), std::make_shared<const FlowFile>(FlowFile{uuid(), texts(), text()})};
  }
  std::optional<LogIndex> expected() {
    return flip() ? std::nullopt : std::optional<LogIndex>(number());
  }

 private:
  Random random_;
};

}  // namespace databridge
