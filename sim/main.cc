// databridge-sim: runs simulated clusters by the thousand and says what it found.
//
//   databridge-sim [--kind NAME|all] [--seed N] [--runs N] [--steps N] [--threads N] [--canary
//   NAME|all]
//
// Run i uses seed N + i, whatever the number of threads. Exit code 0: nothing found and everything
// happened at least once; 1: an invariant broke (or, with --canary, the planted bug was not found);
// 2: bad arguments.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <thread>
#include <vector>

#include "base/canary.h"
#include "sim/kinds.h"

namespace databridge::sim {
namespace {

struct Asked {
  std::string kind = "all";
  uint64_t seed = 1;
  uint64_t runs = 10500;
  size_t steps = 3000;
  unsigned threads = 0;
  std::string canary;
};

// A CHECK that fails ends the process; its handler must still be able to name the run.
thread_local uint64_t current_seed = 0;
thread_local const char* current_kind = "";
size_t current_steps = 0;

void name_the_run(int) {
  char text[200];
  const int size =
      std::snprintf(text, sizeof text,
                    "a CHECK failed in this run; again:\n  databridge-sim --kind %s --seed %llu "
                    "--runs 1 --steps %zu\n",
                    current_kind, static_cast<unsigned long long>(current_seed), current_steps);
  (void)!::write(STDERR_FILENO, text, static_cast<size_t>(size));
}

struct Outcome {
  bool violated = false;
  uint64_t seed = 0;  // The smallest seed with a violation that was found.
  std::string what, drawn;
  uint64_t runs = 0;
  uint64_t hash = 0;  // Over all trace hashes; independent of the order of the runs.
  std::map<std::string, uint64_t, std::less<>> totals;
};

Outcome run_all(const RunKind& kind, const Asked& asked, uint64_t runs) {
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::vector<Outcome> outcomes(asked.threads);
  const auto work = [&](Outcome& mine) {
    current_kind = kind.name;
    while (!stop) {
      const uint64_t i = next++;
      if (i >= runs) break;
      current_seed = asked.seed + i;
      const RunResult result = kind.run(current_seed, asked.steps);
      ++mine.runs;
      mine.hash += result.trace_hash;
      for (const auto& [name, count] : result.totals) mine.totals[name] += count;
      if (!result.violation) continue;
      stop = true;
      mine.violated = true;
      mine.seed = current_seed;
      mine.what = *result.violation;
      mine.drawn = result.drawn;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(outcomes.size());
  for (Outcome& mine : outcomes) threads.emplace_back(work, std::ref(mine));
  for (std::thread& thread : threads) thread.join();

  Outcome all;
  for (const Outcome& mine : outcomes) {
    all.runs += mine.runs;
    all.hash += mine.hash;
    for (const auto& [name, count] : mine.totals) all.totals[name] += count;
    if (mine.violated && (!all.violated || mine.seed < all.seed)) {
      all.violated = true;
      all.seed = mine.seed;
      all.what = mine.what;
      all.drawn = mine.drawn;
    }
  }
  return all;
}

void print_violation(const RunKind& kind, const Asked& asked, const Outcome& outcome) {
  fmt::print(
      "VIOLATION with seed {}: {}\n  drawn: {}\n  again: databridge-sim --kind {} --seed {} "
      "--runs 1 --steps {}{}\n",
      outcome.seed, outcome.what, outcome.drawn, kind.name, outcome.seed, asked.steps,
      asked.canary.empty() ? "" : " --canary " + asked.canary);
}

bool run_kind(const RunKind& kind, const Asked& asked, uint64_t runs) {
  const Outcome outcome = run_all(kind, asked, runs);
  fmt::print("{}: {} runs of {} steps, trace {:016x}\n", kind.name, outcome.runs, asked.steps,
             outcome.hash);
  bool good = !outcome.violated;
  for (const auto& [name, count] : outcome.totals) {
    fmt::print("  {:24} {:>12}\n", name, count);
    // One run need not see everything; a thousand must. The runs of a kind with a small weight are
    // long, so fewer of them must.
    if (count == 0 && outcome.runs >= 250 * kind.weight) {
      fmt::print("NEVER HAPPENED in any run: {}; so it was not tested\n", name);
      good = false;
    }
  }
  if (outcome.violated) print_violation(kind, asked, outcome);
  return good;
}

bool is_asked(const RunKind& kind, const Asked& asked) {
  return asked.kind == "all" || asked.kind == kind.name;
}

// The kinds share the runs. With defaults, a canary gets as many as its kind does.
uint64_t share_of(const RunKind& kind, const Asked& asked) {
  uint64_t all = 0;
  for (const RunKind& one : kinds()) all += is_asked(one, asked) ? one.weight : 0;
  return std::max<uint64_t>(1, asked.runs * kind.weight / all);
}

#ifdef DATABRIDGE_CANARIES
// The first run that fails with the planted bug and passes without it: a run that fails anyway
// proves nothing. `outcome.runs` counts all runs that were tried.
Outcome first_broken_by(const Canary& bird, const RunKind& kind, Asked asked, uint64_t runs) {
  const uint64_t first = asked.seed;
  for (;;) {
    canary::armed = bird.name;
    Outcome outcome = run_all(kind, asked, runs - (asked.seed - first));
    outcome.runs += asked.seed - first;
    if (!outcome.violated) return outcome;
    canary::armed = {};
    if (!kind.run(outcome.seed, asked.steps).violation) return outcome;
    fmt::print("seed {} is broken without {}, too\n", outcome.seed, bird.name);
    asked.seed = outcome.seed + 1;
    if (asked.seed - first >= runs) {
      outcome.violated = false;
      return outcome;
    }
  }
}

// It runs in a process of its own: a planted bug may trip a CHECK, which is one way to be found.
bool find_canary(const RunKind& kind, const Canary& bird, Asked asked) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    asked.canary = bird.name;
    const Outcome outcome = first_broken_by(bird, kind, asked, share_of(kind, asked));
    if (outcome.violated) {
      fmt::print("canary {}: found after {} runs, seed {}: {}\n", bird.name, outcome.runs,
                 outcome.seed, outcome.what);
    } else {
      fmt::print("canary {}: NOT FOUND in {} runs\n", bird.name, outcome.runs);
    }
    std::fflush(nullptr);
    ::_exit(outcome.violated ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    // A crash of another kind is a bug of the simulator, or one that nobody has planted.
    const bool checked = WTERMSIG(status) == SIGABRT;
    fmt::print("canary {}: {}\n", bird.name,
               checked ? "found by a CHECK (see above)" : "ENDED BY A SIGNAL, NOT BY A CHECK");
    return checked;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
#endif

int find_canaries([[maybe_unused]] const Asked& asked) {
#ifdef DATABRIDGE_CANARIES
  bool good = true;
  size_t sought = 0;
  for (const RunKind& kind : kinds()) {
    if (!is_asked(kind, asked)) continue;
    for (const Canary& bird : kind.canaries) {
      if (asked.canary != "all" && asked.canary != bird.name) continue;
      ++sought;
      good &= find_canary(kind, bird, asked);
    }
  }
  const char* verdict = sought == 0 ? "there are none of that name"
                        : good      ? "all found"
                                    : "SOME NOT FOUND";
  fmt::print("{} canaries sought, {}\n", sought, verdict);
  return good && sought > 0 ? 0 : 1;
#else
  fmt::print(stderr, "this build has no canaries; build with -DDATABRIDGE_CANARIES=ON\n");
  return 2;
#endif
}

int run(Asked asked) {
  if (asked.threads == 0) asked.threads = std::max(1u, std::thread::hardware_concurrency());
  current_steps = asked.steps;
  std::signal(SIGABRT, name_the_run);
  fmt::print("seed {}, {} runs, kind {}\n", asked.seed, asked.runs, asked.kind);
  std::fflush(nullptr);
  if (!asked.canary.empty()) return find_canaries(asked);

  bool good = true;
  size_t chosen = 0;
  for (const RunKind& kind : kinds()) {
    if (!is_asked(kind, asked)) continue;
    ++chosen;
    good &= run_kind(kind, asked, share_of(kind, asked));
  }
  if (chosen == 0) {
    fmt::print(stderr, "no such kind: {}\n", asked.kind);
    return 2;
  }
  fmt::print("seed {}: {}\n", asked.seed, good ? "nothing found" : "FOUND SOMETHING");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace databridge::sim

int main(int argc, char** argv) {
  databridge::sim::Asked asked;
  CLI::App app("databridge-sim: simulated clusters, checked after every step");
  app.add_option("--kind", asked.kind, "raft, node, wild, found, recovery, replica or all")
      ->capture_default_str();
  app.add_option("--seed", asked.seed, "of the first run; run i uses seed + i")
      ->capture_default_str();
  app.add_option("--runs", asked.runs, "over all kinds together")->capture_default_str();
  app.add_option("--steps", asked.steps, "of each run")->capture_default_str();
  app.add_option("--threads", asked.threads, "0: one for each core")->capture_default_str();
  app.add_option("--canary", asked.canary, "arm this planted bug, or each in turn: all");
  bool logs = false;
  app.add_flag("--log", logs, "show what the nodes log: for one run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (logs) {
    asked.threads = 1;
    databridge::sim::on_node_log = [](std::chrono::milliseconds at, size_t node,
                                      const std::string& text) {
      fmt::print("{:>9} node {}: {}\n", at.count(), node, text);
    };
  }
  return databridge::sim::run(asked);
}
