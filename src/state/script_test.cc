// Plays testdata/state_*.txt. Each line is a command for the state. Its answer is the reason why it
// was rejected, or the events that it caused. n7 is the node "n7" with incarnation 7, p3 is a
// processor, e5 is the epoch made by index 5. Indexes count from 1, one for each line; at= sets the
// seconds. If DATABRIDGE_REWRITE is set, the present answers are written into the files, for review
// by a person.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "state/constraints.h"
#include "state/state.h"

namespace databridge {
namespace {

class StateScript {
 public:
  std::string answer(const std::string& line) {
    words_.clear();
    with_.clear();
    std::istringstream in(line);
    std::string verb, word;
    in >> verb;
    while (in >> word) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        words_.push_back(word);
      } else {
        with_[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
    if (verb == "show") return show();
    if (verb == "events") return events();
    if (verb == "why_not") return why();
    if (verb == "reload") return reload();
    return apply(body(verb));
  }

  const State& state() const { return state_; }

 private:
  uint64_t number(const std::string& text) const { return std::stoull(text.substr(1)); }
  Incarnation node(size_t i) const { return Incarnation{number(words_.at(i))}; }
  ProcessorId processor(size_t i = 0) const { return {0, number(words_.at(i))}; }
  Epoch epoch() const {
    return with_.count("replaces") == 0 ? Epoch{} : Epoch{0, number(with_.at("replaces"))};
  }
  bool says(const std::string& word) const {
    return std::find(words_.begin(), words_.end(), word) != words_.end();
  }
  std::string with(const std::string& key, const std::string& otherwise = "") const {
    const auto found = with_.find(key);
    return found == with_.end() ? otherwise : found->second;
  }
  Labels pair(const std::string& key) const {
    const std::string text = with(key);
    const size_t colon = text.find(':');
    if (colon == std::string::npos) return {};
    return {{text.substr(0, colon), text.substr(colon + 1)}};
  }

  ProcessorSpec spec(ProcessorId id) const {
    ProcessorSpec spec;
    spec.id = id;
    spec.type = with("type", "GenerateFlowFile");
    spec.flow = FlowId(with("flow"));
    spec.constraints.require = pair("require");
    spec.constraints.spread = says("spread");
    spec.node_local = says("local");
    return spec;
  }
  FlowSpec flow() const {
    FlowSpec flow;
    flow.id = FlowId(words_.at(0));
    const std::string joins = with("join");  // p1>p2
    for (size_t i = 1; i < words_.size(); ++i) {
      if (words_[i][0] != 'p') continue;
      ProcessorSpec one = spec({0, number(words_[i])});
      one.flow = {};
      flow.processors.push_back(one);
    }
    if (const size_t arrow = joins.find('>'); arrow != std::string::npos) {
      const ProcessorId from{0, number(joins.substr(0, arrow))};
      const ProcessorId to{0, number(joins.substr(arrow + 1))};
      flow.connections.push_back({{9, to.low}, from, "success", to});
    }
    return flow;
  }
  static RunState run_state(const std::string& text) {
    for (int i = 0; i <= static_cast<int>(RunState::failed); ++i) {
      if (text == name(static_cast<RunState>(i))) return static_cast<RunState>(i);
    }
    return RunState::unassigned;
  }
  static Health health(const std::string& text) {
    for (int i = 0; i <= static_cast<int>(Health::stopped); ++i) {
      if (text == name(static_cast<Health>(i))) return static_cast<Health>(i);
    }
    return Health::healthy;
  }

  CommandBody body(const std::string& verb) const {
    if (verb == "admit") return admit();
    if (verb == "remove") return RemoveMember{node(0), with("reason")};
    if (verb == "verdict") {
      return SetVerdict{node(0), health(words_.at(1)), HealthReason::none,
                        1000 * std::stoll(with("for", "0"))};
    }
    if (verb == "drain") {
      return SetDraining{node(0), !says("undo"), says("leaving"), says("forced")};
    }
    if (verb == "empty") return NoteEmpty{node(0)};
    if (verb == "voters") {
      SetVoters voters;
      for (size_t i = 0; i < words_.size(); ++i) voters.voters.push_back(node(i));
      voters.leader.value = number(with("leader", "n0"));
      return voters;
    }
    if (verb == "flow") return PutFlow{flow()};
    if (verb == "delete_flow") return DeleteFlow{FlowId(words_.at(0))};
    if (verb == "add") return AddProcessor{spec(processor())};
    if (verb == "delete") return DeleteProcessor{processor()};
    if (verb == "stop") return SetWanted{processor(), false};
    if (verb == "start") return SetWanted{processor(), true};
    if (verb == "release") return Release{processor(), epoch(), with("reason")};
    if (verb == "assign") return Assign{processor(), epoch(), node(1), with("reason")};
    if (verb == "unassign") return Unassign{processor(), epoch(), with("reason")};
    if (verb == "report") {
      return Reports{{{processor(), epoch(), run_state(words_.at(1)), with("detail")}}};
    }
    if (verb == "checkpoint") {
      return SaveCheckpoint{processor(), {epoch(), std::stoull(with("sequence")), with("bytes")}};
    }
    std::optional<LogIndex> expected;
    if (with_.count("expected") > 0) expected = std::stoull(with("expected"));
    if (verb == "set") return SetConfig{words_.at(0), words_.at(1), expected};
    if (verb == "unset") return DeleteConfig{words_.at(0), expected};
    if (verb == "strategy") return SetStrategy{*strategy_of(words_.at(0))};
    if (verb == "rebalance") return NoteRebalance{words_.at(0), 3};
    if (verb == "generation") {
      return BeginGeneration{static_cast<uint32_t>(std::stoul(words_.at(0))), node(1)};
    }
    if (verb == "activate") {  // activate 1 n1 n2:3
      ActivateFeatures activate{FeatureSet(std::stoull(words_.at(0))), {}};
      for (size_t i = 1; i < words_.size(); ++i) {
        const size_t colon = words_[i].find(':');
        const uint64_t boot =
            colon == std::string::npos ? 1 : std::stoull(words_[i].substr(colon + 1));
        activate.members.push_back({node(i), boot, 0});
      }
      return activate;
    }
    if (verb == "action") return NoteAction{words_.at(0), with("subject")};
    if (verb == "token") {
      return PutToken{words_.at(0), with("name"), *token_role_of(words_.at(1)),
                      Bytes(static_cast<size_t>(std::stoi(with("hash", "32"))), 'h'),
                      1000 * std::stoll(with("life", "0"))};
    }
    if (verb == "delete_token") return DeleteToken{words_.at(0)};
    if (verb == "restore") return RestoreState{kept_};
    return RestoreState{"no such verb: " + verb};
  }
  AdmitMember admit() const {
    MemberInfo info;
    info.incarnation = node(0);
    info.node = NodeId(with("as", words_.at(0)));
    info.address = {info.node.value, 8090};
    info.labels = pair("label");
    info.capacity.processors_max = static_cast<uint32_t>(std::stoul(with("max", "1000")));
    info.boot = std::stoull(with("boot", "1"));
    info.software_version = with("version");
    return {info, false, FeatureSet(std::stoull(with("features", "0")))};
  }

  std::string apply(CommandBody body) {
    Command command{std::move(body), 1000 * std::stoll(with("at", "0")), {}, with("key")};
    command.age_ms = 1000 * std::stoull(with("age", "0"));
    if (with_.count("by") > 0) command.by = {with("by"), "10.0.0.7"};
    if (with_.count("request") > 0) {  // request=n2/7
      const std::string text = with("request");
      const size_t slash = text.find('/');
      command.request = {Incarnation{number(text.substr(0, slash))},
                         std::stoull(text.substr(slash + 1))};
    }
    const LogIndex index = state_.version() + 1;
    const Applied applied = state_.apply(index, command).applied;
    std::string text = "e" + std::to_string(index) + ": ";
    if (applied.index != index) text += "as at e" + std::to_string(applied.index) + ": ";
    if (applied.rejected) text += "rejected: " + applied.rejected->message;
    if (!applied.rejected) text += "ok";
    if (applied.ignored > 0) text += ", ignored " + std::to_string(applied.ignored);
    text += "\n";
    const auto events = state_.events_after({index - 1, ~0u}, 1000);
    if (events) {
      for (const Event& event : *events) text += "  " + line(event);
    }
    return short_ids(text);
  }

  static std::string line(const Event& event) {
    std::string text = event.type;
    if (!event.node.empty()) text += " " + event.node;
    for (const auto& [key, value] : event.data) text += " " + key + "=" + value;
    return text + "\n";
  }
  // 00000000-0000-0000-0000-000000000003 is p3.
  static std::string short_ids(std::string text) {
    static const std::string kZeros = "00000000-0000-0000-0000-";
    for (size_t at = text.find(kZeros); at != std::string::npos; at = text.find(kZeros)) {
      const std::string digits = text.substr(at + kZeros.size(), 12);
      text.replace(at, kZeros.size() + 12, "p" + std::to_string(std::stoull(digits, nullptr, 16)));
    }
    return text;
  }

  std::string show() const {
    if (words_.at(0)[0] == 'n') return show_member();
    const Assignment* a = state_.assignments().find(processor());
    if (a == nullptr) return "(nothing)\n";
    std::string text = name(a->state);
    const Member* owner = state_.member(a->owner);
    text += owner == nullptr ? " nobody" : " " + owner->info.node.value;
    text += " e" + std::to_string(a->epoch.index);
    if (a->releasing) text += " releasing";
    if (a->deleted) text += " deleted";
    if (!a->wanted) text += " stopped";
    if (!a->pinned.empty()) text += " pinned=" + a->pinned.value;
    if (a->spec_index > a->epoch.index && a->epoch) text += " restart";
    if (!a->checkpoint.bytes.empty()) {
      text += " checkpoint=" + a->checkpoint.bytes + "@e" +
              std::to_string(a->checkpoint.epoch.index) + "." +
              std::to_string(a->checkpoint.sequence);
    }
    if (!a->reason.empty()) text += " (" + a->reason + ")";
    return text + "\n";
  }
  std::string show_member() const {
    const Member* member = state_.member(node(0));
    if (member == nullptr) return "(nothing)\n";
    std::string text = member->info.node.value + " " + name(member->health);
    if (member->quarantine_ms > 0) text += " quarantined";
    if (member->quarantine_count > 0) text += " x" + std::to_string(member->quarantine_count);
    if (member->draining) text += " draining";
    if (member->leaving) text += " leaving";
    if (member->forced) text += " forced";
    if (member->holds_data) text += " holds";
    if (member->voter) text += " voter";
    text += " admitted=" + std::to_string(member->admitted_at);
    text += " owns=" + std::to_string(state_.owned(node(0))) + "\n";
    return text;
  }
  std::string why() const {
    const ProcessorSpec* spec = state_.processors().find(processor());
    const Member* member = state_.member(node(1));
    if (spec == nullptr || member == nullptr) return "(nothing)\n";
    return why_not(state_, *spec, *member).value_or("(it may)") + "\n";
  }
  std::string events() const {
    const auto found = state_.events_after(EventId::parse(words_.at(0)).value(), 3);
    if (!found) return found.error().message + "\n";
    std::string text;
    for (const Event& event : *found) text += event.id.text() + " " + line(event);
    return text.empty() ? "(none)\n" : short_ids(text);
  }
  // Encodes and decodes the state, as a restart does. `reload backup` keeps the user's part for
  // `restore`.
  std::string reload() {
    if (says("backup")) return kept_ = state_.backup(), "kept\n";
    auto again = State::from_snapshot(state_.snapshot());
    if (!again) return again.error().message + "\n";
    const bool same = again->snapshot() == state_.snapshot() && again->hash() == state_.hash();
    state_ = std::move(*again);
    return same ? "the same\n" : "something else\n";
  }

  State state_;
  std::string kept_;
  std::vector<std::string> words_;
  std::map<std::string, std::string> with_;
};

void play(const std::string& name) {
  const std::string path = "src/state/testdata/" + name + ".txt";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  StateScript script;
  std::string line, command, expected, rewritten;
  bool in_answer = false;
  int played = 0;
  const auto finish = [&] {
    if (in_answer) {
      const std::string answer = script.answer(command);
      EXPECT_EQ(answer, expected) << path << ": " << command;
      rewritten += answer + "\n";
      ++played;
    }
    in_answer = false;
    expected.clear();
  };
  while (std::getline(file, line)) {
    if (line.empty()) {
      if (!in_answer) rewritten += "\n";
      finish();
      continue;
    }
    if (!in_answer) rewritten += line + "\n";
    if (line == "----") {
      in_answer = true;
    } else if (in_answer) {
      expected += line + "\n";
    } else if (line[0] != '#') {
      command = line;
    }
  }
  finish();
  EXPECT_GT(played, 10) << path;
  if (std::getenv("DATABRIDGE_REWRITE") != nullptr) {
    rewritten.pop_back();
    std::ofstream(path) << rewritten;
  }
}

TEST(StateScript, Moves) { play("moves"); }
TEST(StateScript, Tokens) { play("tokens"); }
TEST(StateScript, Generation) { play("generation"); }
TEST(StateScript, Constraints) { play("constraints"); }
TEST(StateScript, Members) { play("members"); }
TEST(StateScript, Deletion) { play("deletion"); }
TEST(StateScript, Config) { play("config"); }

}  // namespace
}  // namespace databridge
