#include "sim/node_logs.h"

#include "sim/node_flow.h"
#include "sim/user_programs.h"

namespace databridge::sim {
namespace {

constexpr uint64_t kLinesMax = 60;  // Per machine.
constexpr const char* kFlow = "logs";

std::string line_of(const std::string& whose, size_t machine, uint64_t number) {
  return whose + "-" + std::to_string(machine) + " " + std::to_string(number);
}

}  // namespace

NodeLogs::NodeLogs(NodeCluster& cluster) : cluster_(cluster), logs_(cluster.size()) {
  for (const char* name :
       {"logs rotated", "late lines", "logs emptied", "logs compressed", "holes in logs"}) {
    if (cluster.draw().wild) cluster.checker().totals[name] = 0;
  }
}

void NodeLogs::begin() {
  if (!cluster_.draw().logs) return;
  numbers_shift_ = cluster_.random().chance(0.5);
  const bool linked = cluster_.random().chance(0.5);
  path_ = linked ? "/var/log/app" : kFollowedLog;
  for (size_t machine = 0; linked && machine < logs_.size(); ++machine) {
    UserPrograms(cluster_.world(), machine).link(kFollowedLog, path_);
  }
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
  return cluster_.checker().epoch_of(line_of("log", machine, line)).has_value();
}

bool NodeLogs::all_arrived(size_t machine) const {
  for (uint64_t line = logs_[machine].written; line > 0; --line) {
    if (!arrived(machine, line)) return false;
  }
  return true;
}

// Writes a line, perhaps to the file that has just lost its name, or rotates the log. The follower
// must know a file before it is rotated: a line of it has arrived, or it is open. The log is
// emptied only when all its lines have arrived, since unread lines would rightly be lost.
void NodeLogs::write(size_t machine) {
  Log& log = logs_[machine];
  if (!cluster_.storming() || log.written == kLinesMax) return;
  cluster_.in(cluster_.some_ms(5, 80), [this, machine] { write(machine); });
  Random& random = cluster_.random();
  UserPrograms programs(cluster_.world(), machine);
  if (!cluster_.is_on(machine) && random.chance(0.5)) write_other(log, machine, programs);
  const bool is_seen =
      !log.here.empty() && (arrived(machine, log.here.front()) || programs.is_open(path_));
  if (!is_seen || !random.chance(0.4)) return write_line(log, machine, programs);
  if (random.chance(0.5) && log.away.empty() && all_arrived(machine)) {
    empty(log, programs);
    write_line(log, machine, programs);
  } else {
    rotate(machine, log, programs);  // For a moment no file has the name.
  }
}

void NodeLogs::write_line(Log& log, size_t machine, UserPrograms& programs) {
  const std::string line = line_of("log", machine, ++log.written) + " 0\n";
  if (!log.away.empty() && cluster_.random().chance(0.3)) {
    cluster_.count("late lines");
    if (log.life_of_away) log.life_of[log.written] = *log.life_of_away;
    return programs.append(log.away, line);
  }
  log.here.push_back(log.written);
  programs.append(path_, std::string(std::exchange(log.hole, 0), '\0') + line);
}

// Writes a file that is no part of the log. It may get the inode number of a file that is gone.
void NodeLogs::write_other(Log& log, size_t machine, UserPrograms& programs) {
  const std::string name = path_ + ".other-" + std::to_string(++log.foreign);
  programs.append(name, line_of("other", machine, log.foreign) + " 0\n");
}

void NodeLogs::empty(Log& log, UserPrograms& programs) {
  cluster_.count("logs emptied");
  const uint64_t size = programs.empty(path_);
  log.here.clear();
  if (!cluster_.random().chance(0.5)) return;
  cluster_.count("holes in logs");
  log.hole = size;
}

void NodeLogs::rotate(size_t machine, Log& log, UserPrograms& programs) {
  cluster_.count("logs rotated");
  const std::string name = path_ + ".";
  ++log.rotated;
  log.hole = 0;
  const bool goes = programs.is_open(path_) && cluster_.random().chance(0.4);
  // No durable state knows a file of which no line has arrived.
  log.life_of_away.reset();
  if (goes || !arrived(machine, log.here.front())) log.life_of_away = programs.life();
  for (const uint64_t line : log.here) {
    if (log.life_of_away) log.life_of[line] = *log.life_of_away;
  }
  log.here.clear();
  if (goes) return compress(machine, log, name + std::to_string(log.rotated), programs);
  for (uint64_t number = log.rotated; numbers_shift_ && number > 1; --number) {
    const std::string from = name + std::to_string(number - 1);
    if (programs.exists(from)) programs.rename(from, name + std::to_string(number));
  }
  log.away = name + std::to_string(numbers_shift_ ? 1 : log.rotated);
  programs.rename(path_, log.away);
  // Its writer keeps it open for a few seconds more, less than a follower waits for lines.
  cluster_.world().at(cluster_.world().now() + 20s, [&log, rotation = log.rotated] {
    if (log.rotated == rotation) log.away.clear();
  });
}

// The file goes at once: only an open file leads to lines that were not read yet.
void NodeLogs::compress(size_t machine, Log& log, const std::string& name, UserPrograms& programs) {
  cluster_.count("logs compressed");
  log.away.clear();
  programs.remove(path_);
  programs.append(name + ".gz", line_of("other", machine, ++log.foreign) + " 0\n");
}

// The follower stays on its node, so the lines of one machine arrive.
std::string NodeLogs::missing() const {
  if (!put_) return "";
  const State& state = cluster_.engine(0).view()->state;
  const Assignment* at = state.assignments().find(Uuid::from_name(kFlow, "follow"));
  const Member* owner = at == nullptr ? nullptr : state.member(at->owner);
  if (owner == nullptr) return "nobody follows the logs";
  const size_t machine = std::stoul(owner->info.node.value.substr(1));
  const Log& log = logs_[machine];
  const uint64_t life = UserPrograms(cluster_.world(), machine).life();
  for (uint64_t line = 1; line <= log.written; ++line) {
    const auto only = log.life_of.find(line);
    if (only != log.life_of.end() && only->second != life) continue;
    if (!arrived(machine, line)) return line_of("log", machine, line) + " has not arrived";
  }
  for (uint64_t line = 1; line <= log.foreign; ++line) {
    const std::string foreign = line_of("other", machine, line);
    if (cluster_.checker().epoch_of(foreign)) return foreign + " is no line of the log";
  }
  return "";
}

}  // namespace databridge::sim
