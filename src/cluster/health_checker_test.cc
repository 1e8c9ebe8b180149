// Runs testdata/health_*.txt: a command, `----`, and the checker's answer. The script owns the
// clock: `run until=12s` ticks every 100 ms, and members that are `beating` are heard every second.
// Default timing: T = 10 s, checks every 3.33 s, back after 2 good ones.
#include "cluster/health_checker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/random.h"

namespace databridge::cluster {
namespace {

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

bool nobody_is_dead(Incarnation) { return false; }

class Script {
 public:
  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string verb, word;
    words >> verb;
    std::vector<Incarnation> who;
    std::map<std::string, std::string> with;
    while (words >> word) {
      const size_t equals = word.find('=');
      if (equals != std::string::npos) {
        with[word.substr(0, equals)] = word.substr(equals + 1);
      } else if (word[0] == 'n') {
        who.push_back(Incarnation{std::stoull(word.substr(1))});
      } else {
        with[word] = "yes";
      }
    }
    const auto duration = [&](const std::string& key) {
      return std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(std::stod(with.at(key))));
    };
    if (verb == "run") {
      return run(Instant{duration("until")}, with.contains("turn") ? duration("turn") : 100ms);
    }
    if (verb == "freeze") {  // The judge itself is away: no ticks, no input.
      now_ = Instant{duration("until")};
      return fmt::format("away: {}\n", checker_.was_away(now_) ? "yes" : "no");
    }
    if (verb == "noop") return checker_.noop_applied(now_), "ok\n";
    if (verb == "bound") {
      return checker_.lease_bound_passed(who.at(0), now_) ? "passed\n" : "not yet\n";
    }
    for (const Incarnation member : who) one(verb, member, with);
    return said_.empty() ? "ok\n" : std::exchange(said_, "");
  }

 private:
  void one(const std::string& verb, Incarnation member,
           const std::map<std::string, std::string>& with) {
    if (verb == "watch" || verb == "inherit") {
      Inherited inherited;
      if (with.contains("unhealthy")) inherited.health = Health::unhealthy;
      if (with.contains("disconnected")) inherited.health = Health::disconnected;
      if (with.contains("stopped")) {
        inherited.health = Health::stopped;
        inherited.reason = HealthReason::shut_down;
      }
      if (with.contains("boot")) inherited.goodbye_boot = std::stoull(with.at("boot"));
      if (with.contains("left")) {
        inherited.quarantine_left = std::chrono::seconds(std::stoi(with.at("left")));
        inherited.quarantine_given = inherited.quarantine_left;
      }
      if (verb == "inherit") return checker_.inherit(member, now_, inherited);
      checker_.watch(member, now_, inherited);
    } else if (verb == "forget") {
      checker_.forget(member);
      beating_.erase(member);
    } else if (verb == "beating") {
      beating_[member] = with.contains("boot") ? std::stoull(with.at("boot")) : 1;
    } else if (verb == "silent") {
      beating_.erase(member);
    } else if (verb == "heard") {
      beat(member, with);
    } else if (verb == "up") {
      checker_.link_up(member);
    } else if (verb == "lost") {
      checker_.link_lost(member);
    } else if (verb == "refused") {
      checker_.link_refused(member);
    } else if (verb == "failed") {
      checker_.answer_failed(member);
    } else if (verb == "dead") {
      dead_.insert(member);
    } else if (verb == "asked") {
      const auto number = checker_.asked(member, now_);
      said_ += number ? "check " + std::to_string(*number) + "\n" : "not watched\n";
    } else if (verb == "due") {
      const auto number = checker_.check_due(member, now_);
      said_ += number ? "check " + std::to_string(*number) + "\n" : "not due\n";
    } else if (verb == "latency") {
      const auto contact = checker_.contact(member);
      said_ += fmt::format("{} ms\n", contact->latency.last / 1ms);
    } else {
      said_ += "unknown command\n";
    }
  }

  void beat(Incarnation member, const std::map<std::string, std::string>& with) {
    Beat beat;
    beat.boot = with.contains("boot") ? std::stoull(with.at("boot")) : 1;
    if (with.contains("boot")) dead_.erase(member);  // Its next process.
    if (with.contains("took"))
      beat.round_trip = std::chrono::milliseconds(std::stoi(with.at("took")));
    beat.loop_late = with.contains("late");
    beat.lapsed = with.contains("lapsed");
    beat.stopping = with.contains("stopping");
    beat.behind = with.contains("behind");
    if (with.contains("answers")) beat.answers = std::stoull(with.at("answers"));
    if (with.contains("disk_full")) beat.trouble = HealthReason::disk_full;
    switch (checker_.heard(member, now_, beat)) {
      case Heard::fresh:
        break;
      case Heard::rebooted:
        said_ += "rebooted\n";
        break;
      case Heard::stale:
        said_ += "stale\n";
        break;
      case Heard::unknown:
        said_ += "unknown\n";
        break;
    }
  }

  std::string run(Instant until, Duration turn) {
    std::string text;
    for (; now_ <= until; now_ += turn) {
      if (now_.time_since_epoch() % 1s == Duration::zero()) {
        for (const auto& [member, boot] : beating_) {
          if (!dead_.contains(member)) checker_.heard(member, now_, {.boot = boot});
        }
      }
      const auto is_dead = [this](Incarnation one) { return dead_.contains(one); };
      for (const VerdictChange& change : checker_.tick(now_, is_dead)) {
        text += fmt::format("{:.1f}s n{} {} -> {}", seconds(now_.time_since_epoch()),
                            change.member.value, name(change.from), name(change.to));
        if (change.reason != HealthReason::none) text += fmt::format(" ({})", name(change.reason));
        if (change.quarantine > Duration::zero()) {
          text += fmt::format(", quarantined for {:.1f}s", seconds(change.quarantine));
        }
        if (change.loses_work) text += ", loses its work";
        text += "\n";
      }
    }
    now_ -= turn;
    return text.empty() ? "(nothing changed)\n" : text;
  }

  HealthChecker checker_{*Timing::from(10s, 30s)};
  Instant now_{};
  std::map<Incarnation, uint64_t> beating_;  // Of which boot.
  std::set<Incarnation> dead_;
  std::string said_;
};

void play(const std::string& path) {
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  Script script;
  std::string line, command, expected;
  bool in_answer = false;
  const auto finish = [&] {
    if (in_answer) {
      EXPECT_EQ(script.answer(command), expected) << path << ": " << command;
    }
    in_answer = false;
    expected.clear();
  };
  while (std::getline(file, line)) {
    if (line == "----") {
      in_answer = true;
    } else if (line.empty()) {
      finish();
    } else if (line[0] == '#') {
      continue;
    } else if (in_answer) {
      expected += line + "\n";
    } else {
      command = line;
    }
  }
  finish();
}

TEST(HealthChecker, SilenceScript) { play("src/cluster/testdata/health_silence.txt"); }
TEST(HealthChecker, LinksScript) { play("src/cluster/testdata/health_links.txt"); }
TEST(HealthChecker, FlappingScript) { play("src/cluster/testdata/health_flapping.txt"); }
TEST(HealthChecker, SelfDoubtScript) { play("src/cluster/testdata/health_self_doubt.txt"); }
TEST(HealthChecker, LeaseBoundScript) { play("src/cluster/testdata/health_lease_bound.txt"); }
TEST(HealthChecker, TroubleScript) { play("src/cluster/testdata/health_trouble.txt"); }
TEST(HealthChecker, GoodbyeScript) { play("src/cluster/testdata/health_goodbye.txt"); }
TEST(HealthChecker, ChecksScript) { play("src/cluster/testdata/health_checks.txt"); }
TEST(HealthChecker, BusyScript) { play("src/cluster/testdata/health_busy.txt"); }

TEST(HealthChecker, LatencyIsLastSmoothedAndP99) {
  HealthChecker checker(*Timing::from(10s, 30s));
  const Incarnation member{2};
  checker.watch(member, Instant{});
  checker.round_trip(member, 8ms);
  EXPECT_EQ(checker.contact(member)->latency.smoothed, 8ms);
  checker.round_trip(member, 16ms);
  EXPECT_EQ(checker.contact(member)->latency.last, 16ms);
  EXPECT_EQ(checker.contact(member)->latency.smoothed, 9ms);
  for (int k = 1; k <= 1000; ++k) checker.round_trip(member, std::chrono::microseconds(k));
  EXPECT_EQ(checker.round_trip_p99(member), 873us + 126us) << "of the newest 128";
}

TEST(HealthChecker, MeasuresTheRoundTripOnceACheck) {
  HealthChecker checker(*Timing::from(10s, 30s));
  const Incarnation member{2};
  EXPECT_FALSE(checker.check_due(member, Instant{})) << "not watched";
  checker.watch(member, Instant{});
  std::ignore = checker.tick(Instant{}, nobody_is_dead);
  checker.heard(member, Instant{500ms}, Beat{.boot = 1});
  EXPECT_EQ(checker.check_due(member, Instant{500ms}), 1u);
  checker.heard(member, Instant{507ms}, Beat{.boot = 1, .answers = 1});
  EXPECT_EQ(checker.contact(member)->latency.last, 7ms);
  EXPECT_FALSE(checker.check_due(member, Instant{507ms}));
  checker.heard(member, Instant{1500ms}, Beat{.boot = 1, .answers = 1});
  EXPECT_EQ(checker.contact(member)->latency.last, 7ms) << "its own next heartbeat is no answer";
  EXPECT_EQ(checker.check_due(member, Instant{3900ms}), 2u);
  // The judge was away when the answer came, so the answer would measure its own absence.
  EXPECT_TRUE(checker.was_away(Instant{9s}));
  checker.came_back(Instant{9s});
  checker.heard(member, Instant{9s}, Beat{.boot = 1, .answers = 2});
  EXPECT_EQ(checker.contact(member)->latency.last, 7ms);
}

TEST(HealthChecker, CountsOnlyThoseWhoAnsweredWithinTheWindow) {
  HealthChecker checker(*Timing::from(10s, 30s));
  const Incarnation member{2};
  checker.watch(member, Instant{});
  EXPECT_FALSE(checker.answered_within(member, Instant{1s}, 5s)) << "never heard in this term";
  checker.heard(member, Instant{2s}, Beat{.boot = 1});
  EXPECT_TRUE(checker.answered_within(member, Instant{3s}, 1500ms));
  EXPECT_FALSE(checker.answered_within(member, Instant{4s}, 1500ms));
}

// A member that was heard within T is never condemned for silence, and one that is silent for T
// while the judge watches always is. No lease bound passes within T of a heartbeat.
TEST(HealthChecker, HoldsItsPromisesUnderRandomHeartbeatsAndGaps) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Timing timing = *Timing::from(10s, 30s, 1 + static_cast<uint32_t>(random.below(6)),
                                        1 + static_cast<uint32_t>(random.below(4)));
    HealthChecker checker(timing);
    Instant now{100s};
    const Instant began = now;
    std::map<Incarnation, Instant> heard, judged_since, unlinked;
    std::map<Incarnation, bool> loses, beating;
    for (uint64_t id = 2; id < 6; ++id) {
      checker.watch(Incarnation{id}, now);
      judged_since[Incarnation{id}] = now;
    }
    checker.noop_applied(now);
    std::ignore = checker.tick(now, nobody_is_dead);
    for (int step = 0; step < 3000; ++step) {
      const bool away = random.chance(0.002);
      const auto gap =
          std::chrono::milliseconds(away ? random.between(1100, 15000) : random.between(1, 500));
      now += gap;
      if (away) {  // The judge counts only T/10 of it.
        for (auto& [id, since] : judged_since) since += gap - timing.doubt_gap;
      }
      for (uint64_t value = 2; value < 6; ++value) {
        const Incarnation id{value};
        if (random.chance(0.005)) beating[id] = !beating[id];
        if (random.chance(0.002)) checker.link_lost(id), unlinked.try_emplace(id, now);
        if (random.chance(0.002)) checker.link_refused(id), unlinked.try_emplace(id, now);
        if (random.chance(0.02)) checker.link_up(id), unlinked.erase(id);
        if (beating[id] && random.chance(0.5)) {
          ASSERT_EQ(checker.heard(id, now, Beat{.boot = 1}), Heard::fresh);
          heard[id] = now;
          judged_since[id] = now;
        }
      }
      for (const VerdictChange& change : checker.tick(now, nobody_is_dead)) {
        if (change.loses_work && !loses[change.member]) {
          const bool silent = now - judged_since[change.member] >= timing.heartbeat_timeout;
          EXPECT_TRUE(silent || unlinked.contains(change.member)) << "condemned without a cause";
        }
        EXPECT_EQ(change.loses_work, change.quarantine > Duration::zero() || change.loses_work);
        EXPECT_TRUE(!change.loses_work || change.to == Health::unhealthy ||
                    change.to == Health::disconnected);
        loses[change.member] = change.loses_work;
      }
      for (uint64_t value = 2; value < 6; ++value) {
        const Incarnation id{value};
        const auto contact = checker.contact(id);
        ASSERT_TRUE(contact);
        if (!away && now - judged_since[id] >= timing.heartbeat_timeout) {
          EXPECT_TRUE(contact->loses_work) << "silent for T, and still trusted";
        }
        if (contact->health == Health::healthy) {
          EXPECT_TRUE(away || now - judged_since[id] < timing.heartbeat_timeout);
          EXPECT_FALSE(unlinked.contains(id));
        }
        if (checker.lease_bound_passed(id, now)) {
          EXPECT_GE(now - began, timing.heartbeat_timeout);
          if (heard.contains(id)) {
            EXPECT_GE(now - heard[id], timing.heartbeat_timeout);
          }
        }
      }
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace databridge::cluster
