// ReplaceText: replaces what a pattern matches in the content.
#include <re2/re2.h>

#include "flow/processors/all.h"
#include "flow/session.h"
#include "flow/template.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

class ReplaceText : public Processor {
 public:
  ReplaceText(const Settings& settings, std::unique_ptr<re2::RE2> pattern, Template replacement)
      : pattern_(std::move(pattern)),
        replacement_(std::move(replacement)),
        all_(settings.text("scope") == "all"),
        size_max_(settings.number("sizeMax")) {}

  Result<void> on_trigger(Session& session, World&) override {
    while (FlowFile* file = session.get()) {
      std::string text = file->content;
      const std::string rewrite = replacement_.fill(escaped(file->attributes));
      if (all_) {
        re2::RE2::GlobalReplace(&text, *pattern_, rewrite);
      } else {
        re2::RE2::Replace(&text, *pattern_, rewrite);
      }
      if (text.size() > size_max_) {
        session.transfer(file, "failure");
        continue;
      }
      file->content = std::move(text);
      session.transfer(file, "success");
    }
    return {};
  }

 private:
  // A backslash in an attribute is text, and no reference to a group.
  static std::map<std::string, std::string> escaped(
      const std::map<std::string, std::string>& attributes) {
    auto safe = attributes;
    for (auto& [name, value] : safe) {
      for (size_t at = value.find('\\'); at != std::string::npos; at = value.find('\\', at + 2)) {
        value.insert(at, 1, '\\');
      }
    }
    return safe;
  }

  std::unique_ptr<re2::RE2> pattern_;
  Template replacement_;
  bool all_;
  uint64_t size_max_;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  if (auto size = check_size("sizeMax", settings.number("sizeMax")); !size) {
    return tl::make_unexpected(size.error());
  }
  auto pattern = compile(settings.text("pattern"));
  if (!pattern) return tl::make_unexpected(pattern.error());
  auto replacement = Template::parse(settings.text("replacement"));
  if (!replacement) return tl::make_unexpected(replacement.error());
  std::string why;
  if (!(*pattern)->CheckRewriteString(replacement->fill({}), &why)) {
    return fail(Code::unprocessable, "ReplaceText: \"replacement\": " + why);
  }
  const std::string& scope = settings.text("scope");
  if (scope != "all" && scope != "first") {
    return fail(Code::unprocessable, "ReplaceText: \"scope\" is \"all\" or \"first\"");
  }
  return std::make_unique<ReplaceText>(settings, std::move(*pattern), std::move(*replacement));
}

}  // namespace

ProcessorType replace_text_type() {
  return {.name = "ReplaceText",
          .help = "Replaces what a pattern matches in the content; no match changes nothing.",
          .source = false,
          .node_local = false,
          .settles = false,
          .state = StateScope::none,
          .relationships = {"success", "failure"},
          .losses = {"failure"},
          .path = nullptr,
          .properties = {{"pattern", PropertyKind::pattern, nullptr, "RE2 syntax"},
                         {"replacement", PropertyKind::tmpl, nullptr,
                          "\\1 is the first group, \\0 all, ${name} an attribute"},
                         {"scope", PropertyKind::text, "all", "all matches, or the first"},
                         {"sizeMax", PropertyKind::size, "16MiB", "larger results go to failure"}},
          .rules = false,
          .make = make};
}

}  // namespace databridge::flow
