// Reads the YAML file as a layer of settings. A value is the text that was written, because the
// library would read 010 as 8. Keys are checked here, because the library would accept a key twice.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <sstream>

#include "lib/settings.h"

namespace databridge::lib {
namespace {

std::string place(const std::string& path, const YAML::Mark& mark) {
  return mark.is_null() ? path : fmt::format("{}:{}", path, mark.line + 1);
}

tl::unexpected<Error> wrong(const std::string& at, const std::string& what) {
  return fail(Code::invalid, at + ": " + what);
}

const Setting* find_key(const std::string& key) {
  for (const auto& setting : settings()) {
    if (key == setting.yaml) return &setting;
  }
  return nullptr;
}

// Is `key` the name of a section, such as "cluster" or "cluster.tls"?
bool is_section(const std::string& key) {
  for (const auto& setting : settings()) {
    if (std::string(setting.yaml).rfind(key + ".", 0) == 0) return true;
  }
  return false;
}

bool takes_many(const Setting& setting) {
  return std::string(setting.form).find("…") != std::string::npos;
}

class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  Result<void> section(const YAML::Node& node, const std::string& prefix) {
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const auto at = place(path_, entry.first.Mark());
      if (!entry.first.IsScalar()) return wrong(at, "a key must be a word");
      const auto key = prefix + entry.first.Scalar();
      if (!seen.insert(key).second) {
        return wrong(at, fmt::format("{}: stands here twice; remove one", key));
      }
      if (is_section(key)) {
        if (entry.second.IsNull()) continue;
        if (!entry.second.IsMap()) return wrong(at, key + ": must hold keys of its own");
        if (auto inner = section(entry.second, key + "."); !inner) return inner;
        continue;
      }
      const auto* setting = find_key(key);
      if (!setting) {
        return wrong(at, fmt::format("{}: no such key; see --help for those there are", key));
      }
      auto value = text_of(entry.second, *setting, at, key);
      if (!value) return tl::make_unexpected(value.error());
      layer_.emplace(setting->name(), Given{*value, at + ": " + key});
    }
    return {};
  }

  Layer take() { return std::move(layer_); }

 private:
  // Makes one text of a value, as a flag would have it: "a,b" for a list, "k=v,l=w" for a map.
  Result<std::string> text_of(const YAML::Node& node, const Setting& setting, const std::string& at,
                              const std::string& key) {
    if (node.IsNull()) return std::string();
    if (node.IsScalar()) return node.Scalar();
    if (!takes_many(setting)) return wrong(at, key + ": one value is expected");
    const bool is_map = node.IsMap();
    if (is_map && key != "cluster.labels") return wrong(at, key + ": a list is expected");
    std::string text;
    std::set<std::string> seen;
    for (const auto& item : node) {
      const YAML::Node& name = is_map ? item.first : item;
      const auto item_at = place(path_, name.Mark());
      if (!name.IsScalar() || (is_map && !item.second.IsScalar())) {
        return wrong(item_at, key + ": plain values are expected");
      }
      auto part = name.Scalar();
      if (is_map) part += "=" + item.second.Scalar();
      if (part.find(',') != std::string::npos) {
        return wrong(item_at, fmt::format("{}: \"{}\" has a comma; write items apart", key, part));
      }
      if (!seen.insert(name.Scalar()).second) {
        return wrong(item_at,
                     fmt::format("{}: \"{}\" stands here twice; remove one", key, name.Scalar()));
      }
      text += (text.empty() ? "" : ",") + part;
    }
    return text;
  }

  std::string path_;
  Layer layer_;
};

// Ignores all events. It is there because the parser needs a handler to read a document to its end.
class Nobody final : public YAML::EventHandler {
  using Mark = YAML::Mark;
  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, Anchor) override {}
  void OnAlias(const Mark&, Anchor) override {}
  void OnScalar(const Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnMapEnd() override {}
};

// LoadAll of yaml-cpp 0.7 cannot be used here: it never ends on a text that begins with a comma.
bool has_another_document(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  Nobody nobody;
  return parser.HandleNextDocument(nobody) && parser.HandleNextDocument(nobody);
}

}  // namespace

Result<Layer> read_yaml(const std::string& text, const std::string& path) {
  try {
    if (has_another_document(text)) return wrong(path, "holds more than one document; keep one");
    const YAML::Node document = YAML::Load(text);
    if (document.IsNull()) return Layer{};
    if (!document.IsMap()) return wrong(path + ":1", "must hold keys such as cluster and api");
    Reader reader(path);
    if (auto read = reader.section(document, ""); !read) {
      return tl::make_unexpected(read.error());
    }
    return reader.take();
  } catch (const YAML::Exception& problem) {
    auto why = problem.msg;
    for (auto& c : why) c = c == '\n' ? ' ' : c;
    return wrong(place(path, problem.mark), "not YAML: " + why);
  }
}

}  // namespace databridge::lib
