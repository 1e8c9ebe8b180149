#include "flow/flow_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "flow/registry.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

constexpr size_t kSizeMax = 1 << 20;
constexpr size_t kDepthMax = 32;
constexpr size_t kAliasesMax = 64;
constexpr size_t kProcessorsMax = 1000;
constexpr size_t kConnectionsMax = 10000;
constexpr uint64_t kCountMax = 1'000'000;

// Used only in this file, to leave yaml-cpp's callbacks.
struct Refusal {
  Error error;
};

[[noreturn]] void refuse(Code code, const YAML::Mark& at, const std::string& why) {
  throw Refusal{{code, "line " + std::to_string(at.line + 1) + ", column " +
                           std::to_string(at.column + 1) + ": " + why}};
}

struct Item;
// It is a shared_ptr, because an alias is a second use of the item of its anchor.
using ItemPtr = std::shared_ptr<Item>;

struct Item {
  enum class Kind : uint8_t { null, scalar, list, map } kind;
  YAML::Mark at;
  std::string text;
  bool quoted = false;
  std::vector<ItemPtr> items;                        // For a list.
  std::vector<std::pair<ItemPtr, ItemPtr>> entries;  // For a map, in order.

  const ItemPtr* find(const std::string& key) const {
    for (const auto& [name, value] : entries) {
      if (name->text == key) return &value;
    }
    return nullptr;
  }
};

// Builds the tree from yaml-cpp's events and counts the items. yaml-cpp's own nodes would silently
// accept duplicate keys, and have no limits.
class Builder : public YAML::EventHandler {
 public:
  ItemPtr root() const { return root_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override {
    add(make(Item::Kind::null, at), anchor);
  }
  void OnAlias(const YAML::Mark& at, YAML::anchor_t anchor) override {
    const auto it = std::find_if(anchors_.begin(), anchors_.end(),
                                 [&](const auto& entry) { return entry.first == anchor; });
    if (it == anchors_.end()) refuse(Code::invalid, at, "an alias of an incomplete item");
    if (++aliases_ > kAliasesMax) {
      refuse(Code::unprocessable, at, "more than " + std::to_string(kAliasesMax) + " aliases");
    }
    add(it->second, 0);
  }
  void OnScalar(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const ItemPtr item = make(Item::Kind::scalar, at);
    item->text = value;
    item->quoted = tag == "!";
    if (tag != "?" && tag != "!") refuse_tag(at, tag);
    if (!is_utf8(value)) refuse(Code::invalid, at, "text that is not UTF-8");
    add(item, anchor);
  }
  void OnSequenceStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Item::Kind::list, at, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Item::Kind::map, at, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    ItemPtr item;
    YAML::anchor_t anchor;
    ItemPtr key;  // In a map: a key that waits for its value.
    // In a map: its keys so far. The set is ordered, so that no choice of keys can make the search
    // slow.
    std::set<std::string_view> keys;
  };

  [[noreturn]] static void refuse_tag(const YAML::Mark& at, const std::string& tag) {
    refuse(Code::unprocessable, at, "tags like " + tag + " are not taken");
  }
  static ItemPtr make(Item::Kind kind, const YAML::Mark& at) {
    return std::make_shared<Item>(Item{kind, at, "", false, {}, {}});
  }
  void open(Item::Kind kind, const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor) {
    if (!tag.empty() && tag != "?") refuse_tag(at, tag);
    if (levels_.size() == kDepthMax) {
      refuse(Code::unprocessable, at, "more than " + std::to_string(kDepthMax) + " levels deep");
    }
    levels_.push_back({make(kind, at), anchor, nullptr, {}});
  }
  void close() {
    const ItemPtr item = levels_.back().item;
    const YAML::anchor_t anchor = levels_.back().anchor;
    levels_.pop_back();
    add(item, anchor);
  }
  void add(const ItemPtr& item, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_.emplace_back(anchor, item);
    if (levels_.empty()) {
      root_ = item;
      return;
    }
    Level& level = levels_.back();
    if (level.item->kind == Item::Kind::list) {
      level.item->items.push_back(item);
    } else if (level.key) {
      level.item->entries.emplace_back(std::exchange(level.key, nullptr), item);
    } else {
      if (item->kind != Item::Kind::scalar)
        refuse(Code::unprocessable, item->at, "a key that is no text");
      if (!level.keys.insert(item->text).second) {
        refuse(Code::invalid, item->at, "the key \"" + item->text + "\" is there twice");
      }
      level.key = item;
    }
  }

  ItemPtr root_;
  std::vector<Level> levels_;
  std::vector<std::pair<YAML::anchor_t, ItemPtr>> anchors_;
  size_t aliases_ = 0;
};

// The place of the first bytes that are no character.
YAML::Mark first_not_utf8(std::string_view text) {
  YAML::Mark at;
  for (size_t from = 0; from < text.size();) {
    size_t size = 1;
    while (size < 4 && !is_utf8(text.substr(from, size))) ++size;
    if (!is_utf8(text.substr(from, size))) break;
    ++at.column;
    if (text[from] == '\n') {
      ++at.line;
      at.column = 0;
    }
    from += size;
  }
  return at;
}

ItemPtr parse(std::string_view text) {
  const YAML::Mark start;
  if (text.size() > kSizeMax) refuse(Code::too_large, {}, "a flow file has at most 1 MiB");
  if (!is_utf8(text)) refuse(Code::invalid, first_not_utf8(text), "the text is not UTF-8");
  std::istringstream in{std::string(text)};
  Builder builder;
  try {
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    const ItemPtr root = builder.root();
    Builder more;
    if (parser.HandleNextDocument(more)) {
      refuse(Code::unprocessable, more.root() ? more.root()->at : start, "a second document");
    }
    if (!root) refuse(Code::invalid, {}, "there is nothing in it");
    return root;
  } catch (const YAML::Exception& error) {
    refuse(Code::invalid, error.mark, error.msg);
  }
}

// ---- From the tree to the flow

const Item& map_of(const ItemPtr& item, const std::string& what) {
  if (item->kind != Item::Kind::map) refuse(Code::unprocessable, item->at, what + " must be a map");
  return *item;
}
const Item& list_of(const ItemPtr& item, const std::string& what) {
  if (item->kind != Item::Kind::list)
    refuse(Code::unprocessable, item->at, what + " must be a list");
  return *item;
}
const std::string& text_of(const ItemPtr& item, const std::string& what) {
  if (item->kind == Item::Kind::null) refuse(Code::unprocessable, item->at, what + " has no value");
  if (item->kind != Item::Kind::scalar)
    refuse(Code::unprocessable, item->at, what + " must be a text");
  return item->text;
}

void only(const Item& map, const std::string& where, std::initializer_list<const char*> known) {
  for (const auto& [key, value] : map.entries) {
    const bool is_known = std::any_of(known.begin(), known.end(),
                                      [&, &name = key->text](const char* k) { return name == k; });
    if (is_known) continue;
    std::string list;
    for (const char* k : known) list += (list.empty() ? "" : ", ") + std::string(k);
    refuse(Code::unprocessable, key->at,
           "the key \"" + key->text + "\" of " + where + " is unknown; there are " + list);
  }
}

std::string name_of(const ItemPtr& item, const std::string& what) {
  const std::string& name = text_of(item, what);
  if (!is_valid_name(name, 128)) {
    refuse(Code::unprocessable, item->at, what + " must be 1 to 128 of A-Z a-z 0-9 . _ -");
  }
  return name;
}

bool flag_of(const ItemPtr& item, const std::string& what) {
  const auto flag = parse_flag(text_of(item, what));
  if (!flag || item->quoted) refuse(Code::unprocessable, item->at, what + " must be true or false");
  return *flag;
}

uint64_t between(const ItemPtr& item, const std::string& what, Result<uint64_t> value,
                 uint64_t most) {
  if (!value) refuse(Code::unprocessable, item->at, what + ": " + value.error().message);
  if (*value == 0 || *value > most) {
    refuse(Code::unprocessable, item->at, what + " must be 1 to " + std::to_string(most));
  }
  return *value;
}

// The limits are those of the state, which could not name the line.
std::string short_text(const ItemPtr& item, const std::string& what, size_t most) {
  const std::string& text = text_of(item, what);
  if (text.size() > most) {
    refuse(Code::unprocessable, item->at, what + " has at most " + std::to_string(most) + " bytes");
  }
  return text;
}

std::map<std::string, std::string> texts_of(const ItemPtr& item, const std::string& what,
                                            const char* one, size_t count_most, size_t most) {
  std::map<std::string, std::string> texts;
  const Item& map = map_of(item, what);
  if (map.entries.size() > count_most) {
    refuse(Code::unprocessable, item->at,
           what + " has at most " + std::to_string(count_most) + " entries");
  }
  for (const auto& [key, value] : map.entries) {
    const std::string name = short_text(key, std::string("the name of a ") + one, 256);
    texts[name] = short_text(value, std::string("the ") + one + " \"" + name + "\"", most);
  }
  return texts;
}

Labels labels_of(const ItemPtr& item, const std::string& what) {
  return texts_of(item, what, "label", 100, 1024);
}

const ItemPtr& needed(const Item& map, const std::string& key, const std::string& where) {
  const ItemPtr* found = map.find(key);
  if (found == nullptr) refuse(Code::unprocessable, map.at, where + " needs \"" + key + "\"");
  return *found;
}

std::vector<std::string> ends_of(const ItemPtr& item, const ProcessorSpec& spec,
                                 const Types& types) {
  std::vector<std::string> ends;
  for (const ItemPtr& one : list_of(item, "terminate").items) {
    const std::string name = name_of(one, "a relationship");
    if (auto why = why_bad_end(spec, name, types)) refuse(Code::unprocessable, one->at, *why);
    if (std::find(ends.begin(), ends.end(), name) != ends.end()) {
      refuse(Code::unprocessable, one->at, "\"" + name + "\" is there twice");
    }
    ends.push_back(name);
  }
  return ends;
}

// In an error about a property, a processor puts the property's name in quotes.
YAML::Mark place_of(const Error& error, const ItemPtr* properties, const ItemPtr& processor) {
  if (properties != nullptr) {
    for (const auto& [key, value] : (*properties)->entries) {
      if (error.message.find(": \"" + key->text + "\"") != std::string::npos) return value->at;
    }
  }
  return processor->at;
}

ProcessorSpec processor_of(const ItemPtr& item, const FlowId& flow, const Types& types) {
  const Item& map = map_of(item, "a processor");
  only(map, "a processor",
       {"name", "type", "properties", "replication", "constraints", "shared", "terminate"});
  ProcessorSpec spec;
  spec.flow = flow;
  spec.name = name_of(needed(map, "name", "a processor"), "a processor's name");
  spec.id = Uuid::from_name(flow.value, spec.name);
  const ItemPtr& type = needed(map, "type", "the processor \"" + spec.name + "\"");
  spec.type = text_of(type, "a processor's type");
  const ItemPtr* properties = map.find("properties");
  if (properties != nullptr) {
    spec.properties = texts_of(*properties, "properties", "property", 1000, 1 << 20);
  }
  if (const ItemPtr* replication = map.find("replication")) {
    const auto known = replication_of(text_of(*replication, "replication"));
    if (!known) {
      refuse(Code::unprocessable, (*replication)->at, "replication is sync, quorum or async");
    }
    spec.replication = *known;
  }
  if (const ItemPtr* constraints = map.find("constraints")) {
    const Item& inside = map_of(*constraints, "constraints");
    only(inside, "constraints", {"require", "prefer", "spread"});
    if (const auto* one = inside.find("require"))
      spec.constraints.require = labels_of(*one, "require");
    if (const auto* one = inside.find("prefer"))
      spec.constraints.prefer = labels_of(*one, "prefer");
    if (const auto* one = inside.find("spread")) spec.constraints.spread = flag_of(*one, "spread");
  }
  const ItemPtr* shared = map.find("shared");
  const bool is_shared = shared != nullptr && flag_of(*shared, "shared");
  const ProcessorType* known = types.find(spec.type);
  spec.node_local = known != nullptr && known->node_local && !is_shared;

  spec.files = files_of(spec, types);
  if (const ItemPtr* ends = map.find("terminate")) spec.terminate = ends_of(*ends, spec, types);

  if (spec.type == "external") return spec;
  std::string culprit;
  if (auto checked = check_properties(spec, &culprit, types); !checked) {
    const ItemPtr* guilty = properties == nullptr ? nullptr : (*properties)->find(culprit);
    const YAML::Mark at = known == nullptr ? type->at : guilty ? (*guilty)->at : item->at;
    refuse(checked.error().code, at, checked.error().message);
  }
  if (auto made = make_processor(spec, types); !made) {
    refuse(made.error().code, place_of(made.error(), properties, item), made.error().message);
  }
  return spec;
}

const ProcessorSpec& end_of(const Item& map, const std::string& key, const FlowSpec& flow) {
  const ItemPtr& item = needed(map, key, "a connection");
  const std::string& name = text_of(item, key);
  for (const ProcessorSpec& spec : flow.processors) {
    if (spec.name == name) return spec;
  }
  refuse(Code::unprocessable, item->at, "there is no processor \"" + name + "\"");
}

std::vector<ItemPtr> relationships_of(const Item& map) {
  const ItemPtr* one = map.find("relationship");
  const ItemPtr* several = map.find("relationships");
  if ((one == nullptr) == (several == nullptr)) {
    refuse(Code::unprocessable, map.at, "a connection needs \"relationship\" or \"relationships\"");
  }
  if (one != nullptr) return {*one};
  if (list_of(*several, "relationships").items.empty()) {
    refuse(Code::unprocessable, (*several)->at, "relationships is empty");
  }
  return (*several)->items;
}

void connections_of(const ItemPtr& item, FlowSpec& flow, std::set<Uuid>& known,
                    const Types& types) {
  const Item& map = map_of(item, "a connection");
  only(map, "a connection",
       {"from", "relationship", "relationships", "to", "maxCount", "maxBytes"});
  ConnectionSpec spec;
  const ProcessorSpec& from = end_of(map, "from", flow);
  const ProcessorSpec& to = end_of(map, "to", flow);
  spec.from = from.id;
  spec.to = to.id;
  if (const ItemPtr* most = map.find("maxCount")) {
    spec.count_max =
        between(*most, "maxCount", parse_number(text_of(*most, "maxCount")), kCountMax);
  }
  if (const ItemPtr* most = map.find("maxBytes")) {
    spec.bytes_max =
        between(*most, "maxBytes", parse_size(text_of(*most, "maxBytes")), uint64_t{1} << 32);
  }
  const ProcessorType* type = types.find(to.type);
  if (type != nullptr && type->source) {
    refuse(Code::unprocessable, item->at,
           "\"" + to.name + "\" (" + to.type + ") is a source: it takes no input");
  }
  const auto names = relationships(from, types);
  for (const ItemPtr& relationship : relationships_of(map)) {
    spec.relationship = name_of(relationship, "a relationship");
    if (from.type != "external" &&
        std::find(names.begin(), names.end(), spec.relationship) == names.end()) {
      std::string list;
      for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
      refuse(Code::unprocessable, relationship->at,
             "\"" + from.name + "\" has no relationship \"" + spec.relationship + "\"; it has " +
                 list);
    }
    spec.id = Uuid::from_name(flow.id.value, from.name + " " + spec.relationship + " " + to.name);
    if (!known.insert(spec.id).second) {
      refuse(Code::unprocessable, relationship->at, "this connection is there twice");
    }
    // Checked here and not at the end: with aliases, little text makes long lists.
    if (flow.connections.size() == kConnectionsMax) {
      refuse(Code::unprocessable, relationship->at, "a flow has at most 10000 connections");
    }
    flow.connections.push_back(spec);
  }
}

FlowSpec flow_of(const ItemPtr& root, const std::string& id, const Types& types) {
  const Item& map = map_of(root, "a flow");
  only(map, "a flow", {"id", "name", "processors", "connections"});
  FlowSpec flow;
  flow.id = FlowId(id);
  if (const ItemPtr* own = map.find("id")) {
    const std::string name = name_of(*own, "the flow's id");
    if (!id.empty() && name != id) {
      refuse(Code::unprocessable, (*own)->at,
             "the flow's id is \"" + name + "\" here and \"" + id + "\" in the request");
    }
    flow.id = FlowId(name);
  }
  if (!is_valid_name(flow.id.value, 128)) {
    refuse(Code::unprocessable, map.at, "a flow needs an \"id\" of 1 to 128 of A-Z a-z 0-9 . _ -");
  }
  flow.name = flow.id.value;
  if (const ItemPtr* name = map.find("name")) flow.name = short_text(*name, "the flow's name", 256);

  std::set<std::string> names;
  const Item& processors = list_of(needed(map, "processors", "a flow"), "processors");
  if (processors.items.empty())
    refuse(Code::unprocessable, processors.at, "a flow needs a processor");
  if (processors.items.size() > kProcessorsMax) {
    refuse(Code::unprocessable, processors.at, "a flow has at most 1000 processors");
  }
  for (const ItemPtr& item : processors.items) {
    flow.processors.push_back(processor_of(item, flow.id, types));
    if (!names.insert(flow.processors.back().name).second) {
      refuse(Code::unprocessable, item->at,
             "the processor \"" + flow.processors.back().name + "\" is there twice");
    }
  }
  std::set<Uuid> known;
  if (const ItemPtr* connections = map.find("connections")) {
    for (const ItemPtr& item : list_of(*connections, "connections").items) {
      connections_of(item, flow, known, types);
    }
  }
  std::map<ProcessorId, std::set<std::string>> connected;
  for (const ConnectionSpec& spec : flow.connections) {
    connected[spec.from].insert(spec.relationship);
  }
  for (size_t i = 0; i < flow.processors.size(); ++i) {
    const ProcessorSpec& spec = flow.processors[i];
    if (auto why = why_lossy(spec, connected[spec.id], types)) {
      refuse(Code::unprocessable, processors.items[i]->at, *why);
    }
  }
  return flow;
}

}  // namespace

Result<FlowSpec> read_flow(std::string_view text, const std::string& id, const Types& types) {
  try {
    return flow_of(parse(text), id, types);
  } catch (const Refusal& refusal) {
    return tl::make_unexpected(refusal.error);
  }
}

Result<void> check_processor(const ProcessorSpec& spec, const Types& types) {
  if (spec.type == "external") return {};
  auto made = make_processor(spec, types);
  if (!made) return tl::make_unexpected(made.error());
  for (const std::string& name : spec.terminate) {
    if (auto why = why_bad_end(spec, name, types)) return fail(Code::unprocessable, *why);
  }
  if (auto why = why_lossy(spec, {}, types)) return fail(Code::unprocessable, *why);
  return {};
}

}  // namespace databridge::flow
