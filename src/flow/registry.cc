#include "flow/registry.h"

#include <re2/re2.h>

#include <algorithm>

#include "base/check.h"
#include "flow/condition.h"
#include "flow/processors/all.h"
#include "flow/template.h"
#include "flow/units.h"
#include "model/ids.h"

namespace databridge::flow {
namespace {

constexpr char kExternal[] = "external";  // The embedding program runs it, so it is no type here.

// Why the value is not of this kind; nullopt if it is.
std::optional<std::string> trouble(PropertyKind kind, const std::string& value) {
  const auto of = [](const auto& result) -> std::optional<std::string> {
    if (result) return std::nullopt;
    return result.error().message;
  };
  switch (kind) {
    case PropertyKind::text:
      return std::nullopt;
    case PropertyKind::number:
      return of(parse_number(value));
    case PropertyKind::duration:
      return of(parse_duration(value));
    case PropertyKind::size:
      return of(parse_size(value));
    case PropertyKind::boolean:
      return of(parse_flag(value));
    case PropertyKind::pattern:
      return of(compile(value));
    case PropertyKind::tmpl:
      return of(Template::parse(value));
    case PropertyKind::condition:
      return of(Condition::parse(value));
  }
  return "of no kind";
}

std::string label(const ProcessorSpec& spec) {
  return "processor \"" + (spec.name.empty() ? spec.id.text() : spec.name) + "\" (" + spec.type +
         ")";
}

std::string names(const ProcessorType& type) {
  std::string list;
  for (const Property& property : type.properties) {
    list += (list.empty() ? "" : ", ") + std::string(property.name);
  }
  return list;
}

std::string known_types(const Types& types) {
  std::string names;
  for (const auto& type : types.all())
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

}  // namespace

const std::string& Settings::text(const std::string& name) const {
  const auto it = values_.find(name);
  CHECK(it != values_.end());
  return it->second;
}
uint64_t Settings::number(const std::string& name) const { return parse_size(text(name)).value(); }
Duration Settings::duration(const std::string& name) const {
  return parse_duration(text(name)).value();
}
bool Settings::flag(const std::string& name) const { return parse_flag(text(name)).value(); }

const Types& builtin_types() {
  static const Types types({extract_text_type(), generate_flow_file_type(), get_file_type(),
                            log_attribute_type(), put_file_type(), replace_text_type(),
                            route_on_attribute_type(), tail_file_type()});
  return types;
}

const ProcessorType* Types::find(std::string_view name) const {
  for (const auto& type : types_) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

Result<void> Types::add(ProcessorType type) {
  const std::string name = type.name;
  if (!is_valid_name(name, 128)) {
    return fail(Code::invalid, "a type's name has 1 to 128 of A-Z a-z 0-9 . _ -");
  }
  if (name == kExternal || find(name) != nullptr) {
    return fail(Code::conflict, "there is a processor type " + name + " already");
  }
  types_.push_back(std::move(type));
  return {};
}

Result<Settings> check_properties(const ProcessorSpec& spec, std::string* culprit,
                                  const Types& types) {
  const ProcessorType* type = types.find(spec.type);
  if (type == nullptr) {
    return fail(Code::unprocessable,
                label(spec) + ": there is no such type; there are " + known_types(types));
  }
  const auto wrong = [&](const std::string& property, const std::string& why) {
    if (culprit != nullptr) *culprit = property;
    return fail(Code::unprocessable, label(spec) + ": the property \"" + property + "\": " + why);
  };
  Settings settings({});
  for (const Property& property : type->properties) {
    const auto given = spec.properties.find(property.name);
    if (given == spec.properties.end()) {
      if (property.fallback == nullptr) {
        return wrong(property.name, std::string("it is missing: ") + property.help);
      }
      settings.values_[property.name] = property.fallback;
      continue;
    }
    if (const auto why = trouble(property.kind, given->second)) return wrong(property.name, *why);
    settings.values_[property.name] = given->second;
  }
  for (const auto& [name, value] : spec.properties) {
    if (settings.values_.count(name) > 0) continue;
    if (!type->rules) return wrong(name, "there is none of that name; there are " + names(*type));
    const auto& fixed = type->relationships;
    if (std::find(fixed.begin(), fixed.end(), name) != fixed.end()) {
      return wrong(name, "the relationship of that name is taken");
    }
    if (!is_valid_name(name, 128)) return wrong(name, "a rule's name has A-Z a-z 0-9 . _ -");
    if (const auto why = trouble(PropertyKind::condition, value)) return wrong(name, *why);
    settings.rules_[name] = value;
  }
  return settings;
}

Result<std::unique_ptr<Processor>> make_processor(const ProcessorSpec& spec, const Types& types) {
  auto settings = check_properties(spec, nullptr, types);
  if (!settings) return tl::make_unexpected(settings.error());
  auto made = types.find(spec.type)->make(*settings);
  if (!made) return fail(made.error().code, label(spec) + ": " + made.error().message);
  return made;
}

std::vector<std::string> files_of(const ProcessorSpec& spec, const Types& types) {
  const ProcessorType* type = types.find(spec.type);
  if (type == nullptr || type->path == nullptr) return {};
  const auto given = spec.properties.find(type->path);
  if (given == spec.properties.end()) return {};
  std::string path = given->second;
  bool whole = true;
  for (const Property& property : type->properties) {
    if (property.kind != PropertyKind::tmpl || given->first != property.name) continue;
    const auto parsed = Template::parse(path);
    whole = !parsed || parsed->plain();
    if (parsed) path = parsed->front();
  }
  if (!whole) return {normal_path(path.substr(0, path.rfind('/') + 1))};
  path = normal_path(path);
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return {path};
}

std::optional<std::string> why_lossy(const ProcessorSpec& spec,
                                     const std::set<std::string>& connected, const Types& types) {
  const ProcessorType* type = types.find(spec.type);
  if (type == nullptr) return std::nullopt;  // "external": its engine knows its relationships.
  const auto& ends = spec.terminate;
  for (const std::string& name : type->losses) {
    if (connected.contains(name) || std::find(ends.begin(), ends.end(), name) != ends.end()) {
      continue;
    }
    return label(spec) + ": its relationship \"" + name +
           "\" leads nowhere, so what goes there would be lost: connect it, or say terminate: [" +
           name + "]";
  }
  return std::nullopt;
}

std::optional<std::string> why_bad_end(const ProcessorSpec& spec, const std::string& name,
                                       const Types& types) {
  if (types.find(spec.type) == nullptr) return std::nullopt;
  std::string list;
  for (const std::string& known : relationships(spec, types)) {
    if (known == name) return std::nullopt;
    list += (list.empty() ? "" : ", ") + known;
  }
  return label(spec) + ": it has no relationship \"" + name + "\" to terminate; it has " + list;
}

std::vector<std::string> relationships(const ProcessorSpec& spec, const Types& types) {
  const ProcessorType* type = types.find(spec.type);
  if (type == nullptr) return {};
  std::vector<std::string> names = type->relationships;
  if (!type->rules) return names;
  for (const auto& given : spec.properties) {
    const bool fixed =
        std::any_of(type->properties.begin(), type->properties.end(),
                    [&](const Property& property) { return given.first == property.name; });
    if (!fixed) names.push_back(given.first);
  }
  return names;
}

}  // namespace databridge::flow
