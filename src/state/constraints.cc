#include "state/constraints.h"

#include <algorithm>

namespace databridge {
namespace {

// `node` is a label that every member has automatically.
const std::string* label(const Member& member, const std::string& key) {
  if (key == "node") return &member.info.node.value;
  const auto found = member.info.labels.find(key);
  return found == member.info.labels.end() ? nullptr : &found->second;
}

}  // namespace

std::optional<std::string> why_not_label(const ProcessorSpec& spec, const Member& member) {
  for (const auto& [key, value] : spec.constraints.require) {
    const std::string* has = label(member, key);
    if (has == nullptr) return "label: " + key + "=" + value + " is required, it has none";
    if (*has != value) return "label: " + key + "=" + value + " is required, it has " + *has;
  }
  return std::nullopt;
}

namespace {

bool is_below(const std::string& path, const std::string& root) {
  const std::string front = root.ends_with('/') ? root : root + "/";
  return path == root || path.starts_with(front);
}

}  // namespace

std::optional<std::string> why_not_files(const ProcessorSpec& spec,
                                         const std::vector<std::string>& roots) {
  for (const std::string& path : spec.files) {
    const bool inside = std::any_of(roots.begin(), roots.end(), [&](const std::string& root) {
      // The text after the first attribute may lead into a root or out of it.
      return is_below(path, root) || (path.ends_with('/') && is_below(root + "/", path));
    });
    if (inside) continue;
    if (roots.empty()) return "files: " + path + " is needed, it has no --file-root";
    return "files: " + path + " is needed, it lies outside its --file-root";
  }
  return std::nullopt;
}

std::optional<std::string> why_no_files(const State& state, const ProcessorSpec& spec) {
  if (spec.files.empty()) return std::nullopt;
  bool labelled = false, some = false, possible = false;
  state.members().each([&](Incarnation, const Member& member) {
    const bool has_labels = !why_not_label(spec, member);
    const bool has_files = !why_not_files(spec, member.info.file_roots);
    labelled |= has_labels;
    some |= has_files;
    possible |= has_labels && has_files;
  });
  if (possible || (some && !labelled)) return std::nullopt;
  std::string paths;
  for (const std::string& path : spec.files) paths += (paths.empty() ? "" : ", ") + path;
  return "no " +
         std::string(labelled && !spec.constraints.require.empty() ? "node with the required labels"
                                                                   : "node") +
         " may touch " + paths +
         ": start one with --file-root (node.fileRoot) set to a directory " + "that holds it";
}

std::optional<std::string> why_not(const State& state, const ProcessorSpec& spec,
                                   const Member& member) {
  const Incarnation id = member.info.incarnation;
  const Member* bearer = state.member(member.info.node);
  if (bearer == nullptr || bearer->info.incarnation != id) {
    return "replaced: a newer incarnation bears the name " + member.info.node.value;
  }
  const Assignment* assignment = state.assignments().find(spec.id);
  const bool there = assignment != nullptr && assignment->owner == id;
  if (assignment != nullptr && spec.node_local && !assignment->pinned.empty() &&
      assignment->pinned != member.info.node) {
    return "source_local: its source is on " + assignment->pinned.value;
  }
  if (auto why = why_not_label(spec, member)) return why;
  if (auto why = why_not_files(spec, member.info.file_roots)) return why;

  const uint32_t owned = state.owned(id) - (there ? 1 : 0);
  if (owned >= member.info.capacity.processors_max) {
    return "capacity: it has " + std::to_string(owned) + " of " +
           std::to_string(member.info.capacity.processors_max) + " processors";
  }
  if (!spec.flow.empty()) {
    FlowShare share = state.owned(id, spec.flow);
    if (there) {
      // The state has counted the specification that it holds. `spec` may differ from that.
      const ProcessorSpec* known = state.processors().find(spec.id);
      const bool counted_spread = known != nullptr && known->constraints.spread;
      if (known != nullptr && known->flow == spec.flow) {
        share.all -= 1;
        share.spread -= counted_spread ? 1 : 0;
      }
    }
    if (share.spread > 0 || (spec.constraints.spread && share.all > 0)) {
      return "spread: it has another processor of the flow " + spec.flow.value;
    }
  }
  return std::nullopt;
}

std::optional<std::string> why_no_work(const Member& member) {
  if (member.leaving) return "leaving: it is on its way out";
  if (member.draining) return "draining: its work is being moved away";
  if (member.health == Health::unhealthy || member.health == Health::disconnected) {
    return std::string(name(member.health)) + ": " + name(member.reason);
  }
  if (member.health == Health::stopped) return "stopped: its process was told to end";
  if (member.quarantine_ms > 0) return "quarantined: it failed and is kept apart";
  return std::nullopt;
}

}  // namespace databridge
