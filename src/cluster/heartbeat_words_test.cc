// A heartbeat names all work that differs from the state (docs/adr/0011). Random events are checked
// against the full list, which a simple model of the host keeps.
#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "cluster/member_role.h"
#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

// Node 2 is the member; node 1 leads.
class Words : public TestCluster {
 public:
  explicit Words(uint64_t seed) : random_(seed) {
    follow(1, kTerm);
    for (uint64_t id = 1; id <= 6; ++id) processors_.push_back(add(id));
  }

  void happen() {
    const ProcessorId p = processors_[random_.below(processors_.size())];
    const Assignment& assignment = *state.assignments().find(p);
    switch (random_.below(9)) {
      case 0:
        return apply_here(Assign{p, assignment.epoch, node(random_.chance(0.8) ? 2 : 3), "a"});
      case 1:
        return apply_here(Release{p, assignment.epoch, "r"});
      case 2:
        if (random_.chance(0.5)) return;
        return apply_here(Unassign{p, assignment.epoch, "u"});
      case 3:
        return apply_here(Reports{{{p, assignment.epoch, any_state(), "d"}}});
      case 4: {
        role_.on_start({p, assignment.epoch, kTerm, assignment.epoch.index}, now);
        return;
      }
      case 5:
        if (random_.chance(0.7)) return;
        bar(p, assignment.epoch);
        return tell([&](Effects& effects) {
          role_.on_stop({p, assignment.epoch, kTerm}, turn(effects));
        });
      case 6: {
        const auto work = host_.find(p);
        if (work == host_.end()) return;
        const bool ends = work->second.state == RunState::stopping || random_.chance(0.1);
        const HostReport report{
            p, work->second.epoch, ends ? RunState::unassigned : any_state(), {}};
        return tell([&](Effects& effects) { role_.on_report(report, turn(effects)); }, &report);
      }
      case 7:
        now += random_.chance(0.05) ? 6s : 50ms;
        return tell([&](Effects& effects) { role_.tick(turn(effects)); });
      default:
        return beat();
    }
  }

 private:
  struct Work {
    Epoch epoch;
    RunState state;
  };

  RunState any_state() { return random_.chance(0.6) ? RunState::running : RunState::failed; }

  void apply_here(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = consensus.unix_ms;
    const Transition transition = state.apply(++index, command);
    tell([&](Effects& effects) {
      for (const ProcessorId& one : transition.touched.assignments) {
        role_.changed(one, turn(effects));
      }
    });
    for (const ProcessorId& one : transition.touched.reports) role_.report_changed(state, one);
  }

  // Lets something happen to the member, and follows its orders and reports in the model.
  template <typename Do>
  void tell(const Do& happens, const HostReport* report = nullptr) {
    Effects effects;
    happens(effects);
    if (report != nullptr) {
      Work& work = host_.at(report->processor);
      if (report->state == RunState::unassigned) {
        bar(report->processor, report->epoch);
        host_.erase(report->processor);
      } else if (work.state != RunState::stopping) {
        work.state = report->state;
      }
    }
    for (const StopHost& stop : all<StopHost>(effects)) {
      host_.at(stop.processor).state = RunState::stopping;
      bar(stop.processor, stop.epoch);
    }
    for (const auto& [to, word] : sent<WorkReport>(effects)) {
      if (word.state == RunState::unassigned) bar(word.processor, word.epoch);
    }
    for (const StartHost& start : all<StartHost>(effects)) {
      host_[start.processor] = {start.epoch, RunState::starting};
      ++started;
    }
    for (const auto& [to, heartbeat] : sent<Heartbeat>(effects)) compare(heartbeat);
  }

  void bar(ProcessorId processor, Epoch epoch) {
    barred_[processor] = std::max(barred_[processor], epoch);
  }

  void beat() {
    Effects effects;
    role_.on_ask({}, turn(effects));
    const Heartbeat heartbeat = sent<Heartbeat>(effects).at(0).message;
    compare(heartbeat);
    if (random_.chance(0.2)) return;  // It gets lost.
    tell([&](Effects& more) {
      role_.on_ack({heartbeat.sequence, heartbeat.term, index}, turn(more));
    });
  }

  void compare(const Heartbeat& heartbeat) {
    std::map<ProcessorId, Running> named;
    for (const Running& one : heartbeat.running) named[one.processor] = one;
    for (const ProcessorId& p : processors_) {
      const Assignment& assignment = *state.assignments().find(p);
      if (assignment.owner != node(2)) {
        EXPECT_FALSE(named.contains(p)) << "not its own";
        continue;
      }
      RunState here = RunState::assigned;
      const auto work = host_.find(p);
      if (work != host_.end() && work->second.epoch == assignment.epoch) {
        here = work->second.state;
      } else if (barred_.contains(p) && assignment.epoch <= barred_[p]) {
        here = RunState::unassigned;
      }
      const auto found = named.find(p);
      EXPECT_EQ(found == named.end() ? assignment.state : found->second.state, here) << p.text();
      if (assignment.releasing || here == RunState::assigned) {
        EXPECT_TRUE(found != named.end()) << "named until it has ended, or has begun";
      }
      silent += found == named.end() ? 1 : 0;
      spoken += found != named.end() ? 1 : 0;
    }
  }

  Random random_;
  std::vector<ProcessorId> processors_;
  MemberRole role_{timing, node(2), 1};
  std::map<ProcessorId, Work> host_;
  std::map<ProcessorId, Epoch> barred_;

 public:
  int started = 0, silent = 0, spoken = 0;
};

TEST(HeartbeatWords, AreAllThatTheStateDoesNotSay) {
  int started = 0, silent = 0, spoken = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Words words(seed);
    for (int n = 0; n < 1500; ++n) {
      words.happen();
      if (testing::Test::HasFailure()) FAIL() << "seed " << seed << " event " << n;
    }
    started += words.started;
    silent += words.silent;
    spoken += words.spoken;
  }
  EXPECT_GT(started, 1000);
  EXPECT_GT(silent, 300);
  EXPECT_GT(spoken, 1000);
}

}  // namespace
}  // namespace databridge::cluster
