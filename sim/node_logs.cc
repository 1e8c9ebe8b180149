#include "sim/node_logs.h"

#include "sim/node_flow.h"

namespace databridge::sim {
namespace {

constexpr uint64_t kLinesMax = 60;  // A machine.
constexpr const char* kFlow = "logs";

std::string line_of(size_t machine, uint64_t number) {
  return "log-" + std::to_string(machine) + " " + std::to_string(number);
}

}  // namespace

NodeLogs::NodeLogs(NodeCluster& cluster) : cluster_(cluster), logs_(cluster.size()) {
  for (const char* name : {"logs rotated", "late lines", "logs emptied"}) {
    if (cluster.draw().wild) cluster.checker().totals[name] = 0;
  }
}

void NodeLogs::begin() {
  if (!cluster_.draw().logs) return;
  numbers_shift_ = cluster_.random().chance(0.5);
  put();
  for (size_t machine = 0; machine < logs_.size(); ++machine) write(machine);
}

void NodeLogs::put() {
  if (put_ || !cluster_.storming()) return;
  cluster_.in(cluster_.some_ms(50, 300), [this] { put(); });
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.is_stray(node)) return;
  cluster_.ask(node, cluster::Change{PutFlow{log_flow(kFlow, cluster_.draw().flow)}},
               [this](const cluster::Answer& answer) { put_ = put_ || answer; });
}

bool NodeLogs::arrived(size_t machine, uint64_t line) const {
  return cluster_.checker().epoch_of(line_of(machine, line)).has_value();
}

bool NodeLogs::all_arrived(size_t machine) const {
  for (uint64_t line = logs_[machine].written; line > 0; --line) {
    if (!arrived(machine, line)) return false;
  }
  return true;
}

// A line, perhaps to the file that has just lost its name; now and then a rotation. A rotation must
// be seen, or nobody knows of the file between: so its first line has arrived before the next one.
// What is emptied was read: what is cut off before is lost, rightly.
void NodeLogs::write(size_t machine) {
  Log& log = logs_[machine];
  if (!cluster_.storming() || log.written == kLinesMax) return;
  cluster_.in(cluster_.some_ms(5, 80), [this, machine] { write(machine); });
  Random& random = cluster_.random();
  World& world = cluster_.world();
  if (log.newest != 0 && arrived(machine, log.newest) && random.chance(0.2)) {
    if (random.chance(0.3) && log.away.empty() && all_arrived(machine)) {
      cluster_.count("logs emptied");
      world.empty_file(machine, kFollowedLog);
      log.newest = log.written + 1;
    } else {
      rotate(machine, log);
      return;  // For a moment nobody has the name.
    }
  }
  const std::string line = line_of(machine, ++log.written) + " 0\n";
  if (!log.away.empty() && random.chance(0.3)) {
    cluster_.count("late lines");
    world.append_file(machine, log.away, line);
    return;
  }
  if (log.newest == 0) log.newest = log.written;
  world.append_file(machine, kFollowedLog, line);
}

void NodeLogs::rotate(size_t machine, Log& log) {
  cluster_.count("logs rotated");
  const std::string name = std::string(kFollowedLog) + ".";
  ++log.rotated;
  for (uint64_t number = log.rotated; numbers_shift_ && number > 1; --number) {
    cluster_.world().rename_file(machine, name + std::to_string(number - 1),
                                 name + std::to_string(number));
  }
  log.away = name + std::to_string(numbers_shift_ ? 1 : log.rotated);
  cluster_.world().rename_file(machine, kFollowedLog, log.away);
  log.newest = 0;
  // Its writer has it open for a few seconds yet: less than a follower waits for more.
  cluster_.world().at(cluster_.world().now() + 20s, [&log, rotation = log.rotated] {
    if (log.rotated == rotation) log.away.clear();
  });
}

// A follower stays where it is: so the lines of one machine arrive.
std::string NodeLogs::missing() const {
  if (!put_) return "";
  const cluster::State& state = cluster_.engine(0).view()->state;
  const Assignment* at = state.assignments().find(Uuid::from_name(kFlow, "follow"));
  const Member* owner = at == nullptr ? nullptr : state.member(at->owner);
  if (owner == nullptr) return "nobody follows the logs";
  const size_t machine = std::stoul(owner->info.node.value.substr(1));
  for (uint64_t line = 1; line <= logs_[machine].written; ++line) {
    if (!arrived(machine, line)) return line_of(machine, line) + " has not arrived";
  }
  return "";
}

}  // namespace databridge::sim
