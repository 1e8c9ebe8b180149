// ExtractText: the named groups of a pattern become attributes.
#include <re2/re2.h>

#include <vector>

#include "flow/processors/all.h"
#include "flow/session.h"
#include "flow/units.h"
#include "model/ids.h"

namespace databridge::flow {
namespace {

class ExtractText : public Processor {
 public:
  explicit ExtractText(std::unique_ptr<re2::RE2> pattern) : pattern_(std::move(pattern)) {}

  Result<void> on_trigger(Session& session, World& world) override {
    const auto groups = static_cast<size_t>(pattern_->NumberOfCapturingGroups());
    std::vector<re2::StringPiece> found(groups + 1);
    while (FlowFile* file = session.get()) {
      const bool matched =
          pattern_->Match(file->content, 0, file->content.size(), re2::RE2::UNANCHORED,
                          found.data(), static_cast<int>(found.size()));
      uint64_t bytes = file->bytes();
      for (size_t i = 1; matched && i <= groups; ++i) bytes += found[i].size();
      const bool fits = bytes <= kFlowFileMax;
      if (!fits) world.note("what the pattern finds does not fit a flow file");
      if (!matched || !fits) {
        session.transfer(file, "unmatched");
        continue;
      }
      for (const auto& [group, name] : pattern_->CapturingGroupNames()) {
        const auto& text = found[static_cast<size_t>(group)];
        if (text.data() != nullptr) file->attributes[name] = std::string(text.data(), text.size());
      }
      session.transfer(file, "matched");
    }
    return {};
  }

 private:
  std::unique_ptr<re2::RE2> pattern_;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  auto pattern = compile(settings.text("pattern"));
  if (!pattern) return tl::make_unexpected(pattern.error());
  if ((*pattern)->NamedCapturingGroups().empty()) {
    return fail(Code::unprocessable,
                "ExtractText: \"pattern\" has no named group; write (?P<name>…)");
  }
  return std::make_unique<ExtractText>(std::move(*pattern));
}

}  // namespace

ProcessorType extract_text_type() {
  return {.name = "ExtractText",
          .help = "The named groups of a pattern, found in the content, become attributes.",
          .source = false,
          .node_local = false,
          .settles = false,
          .state = StateScope::none,
          .relationships = {"matched", "unmatched"},
          .losses = {"unmatched"},
          .path = nullptr,
          .properties = {{"pattern", PropertyKind::pattern, nullptr,
                          "RE2 syntax, with groups (?P<attribute>…)"}},
          .rules = false,
          .make = make};
}

}  // namespace databridge::flow
