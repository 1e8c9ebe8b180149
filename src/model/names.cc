// The words for enumerators and variants, as REST, events and logs show them.
#include <array>

#include "base/check.h"
#include "model/assignment.h"
#include "model/command.h"
#include "model/event.h"
#include "model/message.h"

namespace databridge {
namespace {

template <typename Enum, size_t n>
const char* word(const std::array<const char*, n>& words, Enum value) {
  CHECK(static_cast<size_t>(value) < n);
  return words[static_cast<size_t>(value)];
}

template <typename Enum, size_t n>
std::optional<Enum> value_of(const std::array<const char*, n>& words, std::string_view text) {
  for (size_t i = 0; i < n; ++i) {
    if (text == words[i]) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

constexpr std::array kRoles = {"primary", "secondary", "worker"};
constexpr std::array kHealths = {"healthy", "degraded", "unhealthy", "disconnected", "stopped"};
constexpr std::array kHealthReasons = {
    "none",          "heartbeat_late", "heartbeat_lost", "connection_refused", "connection_lost",
    "lease_expired", "answers_failed", "slow",           "disk_error",         "disk_full",
    "removed",       "shut_down",      "behind"};
constexpr std::array kRunStates = {"unassigned", "assigned", "starting", "running",
                                   "stopping",   "blocked",  "failed"};
constexpr std::array kReplications = {"quorum", "sync", "async"};
constexpr std::array kStrategies = {"least_loaded", "round_robin", "weighted_random",
                                    "consistent_hash"};

// In the order of the variants. An alternative without a word does not compile.
constexpr std::array kCommands = {
    "admit_member",     "remove_member", "set_verdict",      "set_draining",     "set_voters",
    "put_flow",         "delete_flow",   "add_processor",    "delete_processor", "set_wanted",
    "release",          "assign",        "unassign",         "reports",          "save_checkpoint",
    "set_config",       "delete_config", "set_strategy",     "note_rebalance",   "restore_state",
    "note_empty",       "set_log_time",  "wish_place",       "put_token",        "delete_token",
    "begin_generation", "note_action",   "activate_features"};
static_assert(kCommands.size() == std::variant_size_v<CommandBody>);
constexpr std::array kMessages = {"raft_packet", "probe",         "probe_reply",   "join",
                                  "join_reply",  "heartbeat",     "heartbeat_ack", "heartbeat_ask",
                                  "soft_table",  "start_work",    "stop_work",     "work_report",
                                  "forward",     "forward_reply", "delivery",      "delivery_ack"};
static_assert(kMessages.size() == std::variant_size_v<Message>);

}  // namespace

const char* name(Role role) { return word(kRoles, role); }
const char* name(Health health) { return word(kHealths, health); }
const char* name(HealthReason reason) { return word(kHealthReasons, reason); }
const char* name(RunState state) { return word(kRunStates, state); }
const char* name(Strategy strategy) { return word(kStrategies, strategy); }
const char* name(const CommandBody& body) { return kCommands[body.index()]; }
const char* name(const Message& message) { return kMessages[message.index()]; }

bool is_for_strangers(const Message& message) {
  return std::holds_alternative<Probe>(message) || std::holds_alternative<ProbeReply>(message) ||
         std::holds_alternative<Join>(message) || std::holds_alternative<JoinReply>(message);
}

std::optional<Replication> replication_of(std::string_view text) {
  return value_of<Replication>(kReplications, text);
}
std::optional<Strategy> strategy_of(std::string_view text) {
  return value_of<Strategy>(kStrategies, text);
}

}  // namespace databridge
