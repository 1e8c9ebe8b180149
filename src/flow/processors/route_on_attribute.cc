// RouteOnAttribute: each rule is a condition, and a relationship of its name.
#include <utility>
#include <vector>

#include "flow/condition.h"
#include "flow/processors/all.h"
#include "flow/session.h"

namespace databridge::flow {
namespace {

class RouteOnAttribute : public Processor {
 public:
  explicit RouteOnAttribute(std::vector<std::pair<std::string, Condition>> rules)
      : rules_(std::move(rules)) {}

  Result<void> on_trigger(Session& session, World&) override {
    while (const FlowFile* file = session.look()) {
      const std::string* last = nullptr;
      for (const auto& [name, condition] : rules_) {
        if (!condition.holds(file->attributes)) continue;
        // Each rule that holds gets the flow file: the last one the original, the others a clone.
        if (last != nullptr) session.transfer(session.clone(*file), *last);
        last = &name;
      }
      session.transfer(file, last == nullptr ? "unmatched" : *last);
    }
    return {};
  }

 private:
  std::vector<std::pair<std::string, Condition>> rules_;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  std::vector<std::pair<std::string, Condition>> rules;
  for (const auto& [name, text] : settings.rules()) {
    auto condition = Condition::parse(text);
    if (!condition) return tl::make_unexpected(condition.error());
    rules.emplace_back(name, std::move(*condition));
  }
  if (rules.empty()) {
    return fail(Code::unprocessable,
                "RouteOnAttribute: no rule; a property is a rule, its name a "
                "relationship, its value a condition");
  }
  return std::make_unique<RouteOnAttribute>(std::move(rules));
}

}  // namespace

ProcessorType route_on_attribute_type() {
  return {.name = "RouteOnAttribute",
          .help =
              "Each property is a rule: its name a relationship, its value a condition. A flow "
              "file goes to every rule that holds, else to unmatched.",
          .source = false,
          .node_local = false,
          .settles = false,
          .state = StateScope::none,
          .relationships = {"unmatched"},
          .losses = {"unmatched"},
          .path = nullptr,
          .properties = {},
          .rules = true,
          .make = make};
}

}  // namespace databridge::flow
