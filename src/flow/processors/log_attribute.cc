// LogAttribute: writes a line about each flow file into the log of the node.
#include <re2/re2.h>

#include "flow/processors/all.h"
#include "flow/session.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

constexpr size_t kContentMax = 1024;

class LogAttribute : public Processor {
 public:
  LogAttribute(const Settings& settings, std::unique_ptr<re2::RE2> attributes)
      : attributes_(std::move(attributes)),
        prefix_(settings.text("prefix")),
        log_content_(settings.flag("logContent")) {}

  Result<void> on_trigger(Session& session, World& world) override {
    while (const FlowFile* file = session.look()) {
      std::string line = prefix_ + "flow file " + file->id.text() + ", " +
                         std::to_string(file->content.size()) + " bytes";
      for (const auto& [name, value] : file->attributes) {
        if (re2::RE2::FullMatch(name, *attributes_)) line += ", " + name + "=" + value;
      }
      if (log_content_) line += ", content: " + file->content.substr(0, kContentMax);
      world.note(std::move(line));
      session.transfer(file, "success");
    }
    return {};
  }

 private:
  std::unique_ptr<re2::RE2> attributes_;
  std::string prefix_;
  bool log_content_;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  auto attributes = compile(settings.text("attributes"));
  if (!attributes) return tl::make_unexpected(attributes.error());
  return std::make_unique<LogAttribute>(settings, std::move(*attributes));
}

}  // namespace

ProcessorType log_attribute_type() {
  return {
      .name = "LogAttribute",
      .help = "Writes a line about each flow file into the log of the node.",
      .source = false,
      .node_local = false,
      .settles = false,
      .state = StateScope::none,
      .relationships = {"success"},
      .losses = {},
      .path = nullptr,
      .properties = {{"attributes", PropertyKind::pattern, ".*", "names of those to show"},
                     {"prefix", PropertyKind::text, "", "at the front of the line"},
                     {"logContent", PropertyKind::boolean, "false", "its first 1024 bytes too"}},
      .rules = false,
      .make = make};
}

}  // namespace databridge::flow
