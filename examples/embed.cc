// An engine of one's own on three nodes: it runs a processor that counts, and saves its count. The
// processor's node is killed, and later the processor is moved. The count goes on each time, and it
// is checked that no two nodes ever counted at the same time.
//
//   embed DIR [PORT]: starts three processes, which listen on PORT, PORT + 1 and PORT + 2.
#include <databridge/cluster.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

const databridge::Uuid kCounter = databridge::Uuid::from_name("examples", "counter");

// ---- The journal: what the nodes do, in the order in which they do it. Each line is written at
// once, by all processes into the same file.

class Journal {
 public:
  explicit Journal(const std::string& path)
      : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {}
  ~Journal() { close(file_); }
  void write(const std::string& line) const {
    const std::string whole = line + "\n";
    if (::write(file_, whole.data(), whole.size()) < 0) std::abort();
  }

 private:
  const int file_;
};

struct Line {
  std::string what, node;
  unsigned long long epoch = 0, count = 0;
};

std::vector<Line> read_journal(const std::string& path) {
  std::vector<Line> lines;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    Line line;
    std::istringstream words(text);
    words >> line.what >> line.node >> line.epoch >> line.count;
    lines.push_back(line);
  }
  return lines;
}

// ---- One node with its engine

class Engine {
 public:
  Engine(std::string node, const Journal& journal) : node_(std::move(node)), journal_(journal) {}

  databridge::Callbacks callbacks() {
    databridge::Callbacks callbacks;
    callbacks.start = [this](const databridge::ProcessorStart& start) {
      const std::lock_guard lock(mutex_);
      workers_[start.epoch] = std::jthread([this, start](const std::stop_token& stop) {
        work(start.epoch, start.state.empty() ? 0 : std::stoull(start.state), stop);
      });
    };
    // Returns when the worker has ended: from then on another node may run the processor.
    callbacks.stop = [this](const databridge::Uuid&, uint64_t epoch) {
      std::jthread worker;
      {
        const std::lock_guard lock(mutex_);
        worker = std::move(workers_.at(epoch));
        workers_.erase(epoch);
      }
      worker.request_stop();
      worker.join();
      say("end", epoch, 0);
    };
    // Returns at once. Everything that the worker does must look for this.
    callbacks.lost = [this](const databridge::Uuid&, uint64_t epoch) {
      const std::lock_guard lock(mutex_);
      const auto worker = workers_.find(epoch);
      if (worker != workers_.end()) worker->second.request_stop();
    };
    return callbacks;
  }

  databridge::ClusterManager* manager = nullptr;

 private:
  void say(const char* what, uint64_t epoch, uint64_t count) const {
    journal_.write(std::string(what) + " " + node_ + " " + std::to_string(epoch) + " " +
                   std::to_string(count));
  }

  void work(uint64_t epoch, uint64_t count, const std::stop_token& stop) {
    say("begin", epoch, count);
    while (!stop.stop_requested()) {
      say("count", epoch, ++count);
      // What was not saved is done again by the next owner.
      const auto saved = manager->save(kCounter, epoch, std::to_string(count));
      if (saved) say("saved", epoch, count);
      if (!saved && saved.error().code == databridge::Code::forbidden) return;  // It is over here.
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const std::string node_;
  const Journal& journal_;
  std::mutex mutex_;
  std::map<uint64_t, std::jthread> workers_;  // By epoch.
};

databridge::ClusterConfig config_of(const std::string& directory, int port, int number) {
  databridge::ClusterConfig config;
  config.node_id = "node-" + std::to_string(number);
  config.bind_port = static_cast<uint16_t>(port + number - 1);
  for (int other = 1; other <= 3; ++other) {
    if (other == number) continue;
    config.seed_nodes.push_back("127.0.0.1:" + std::to_string(port + other - 1));
  }
  config.heartbeat_timeout = std::chrono::seconds(2);
  config.election_timeout = std::chrono::seconds(6);
  config.data_dir = directory + "/" + config.node_id;
  return config;
}

// A leader may be replaced at any time. To assign and to move may be repeated, also if it is not
// known whether the first try has counted.
databridge::Result<void> retried(const std::function<databridge::Result<void>()>& call) {
  for (int more = 4;; --more) {
    auto done = call();
    if (done || more == 0) return done;
    const databridge::Code code = done.error().code;
    if (code != databridge::Code::timed_out && code != databridge::Code::no_leader &&
        code != databridge::Code::no_quorum && code != databridge::Code::unavailable) {
      return done;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

// Obeys the words on its standard input until that ends.
int run_node(const std::string& directory, int port, int number) {
  const Journal journal(directory + "/journal");
  const databridge::ClusterConfig config = config_of(directory, port, number);
  Engine engine(config.node_id, journal);
  auto manager = databridge::ClusterManager::create(config, engine.callbacks());
  if (!manager) return std::fprintf(stderr, "%s\n", manager.error().message.c_str()), 1;
  engine.manager = manager->get();
  if (auto started = (*manager)->start(); !started) {
    return std::fprintf(stderr, "%s: %s\n", config.node_id.c_str(),
                        started.error().message.c_str()),
           1;
  }
  journal.write("ready " + config.node_id);
  for (std::string word; std::cin >> word;) {
    const auto done = retried([&]() -> databridge::Result<void> {
      if (word != "assign") return (*manager)->move_processor(kCounter, word);
      const auto owner = (*manager)->assign_processor(kCounter);
      if (!owner) return tl::make_unexpected(owner.error());
      return {};
    });
    if (!done) std::fprintf(stderr, "%s: %s\n", word.c_str(), done.error().message.c_str());
    const std::string answer = !done ? "failed" : word == "assign" ? "assigned" : "moved";
    journal.write(answer + " " + config.node_id);
  }
  const auto stopped = (*manager)->stop();
  if (!stopped) std::fprintf(stderr, "stop: %s\n", stopped.error().message.c_str());
  return stopped ? 0 : 1;
}

// ---- The process that starts the three, kills one, and checks the journal

struct Child {
  pid_t process = -1;
  int words = -1;  // Its standard input.

  void tell(const std::string& word) const {
    const std::string line = word + "\n";
    if (write(words, line.data(), line.size()) < 0) std::perror("tell");
  }
};

Child start_child(const char* program, const char* directory, int port, int number) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
  const std::string ports = std::to_string(port), numbers = std::to_string(number);
  const pid_t process = fork();
  if (process == 0) {
    dup2(ends[0], STDIN_FILENO);
    execl(program, program, directory, ports.c_str(), numbers.c_str(), nullptr);
    _exit(127);
  }
  close(ends[0]);
  return {process, ends[1]};
}

void check(bool is_so, const std::string& what) {
  std::printf("%s %s\n", is_so ? "ok    " : "WRONG ", what.c_str());
  std::fflush(stdout);
  if (!is_so) std::exit(1);
}

void eventually(const std::string& journal, const std::string& what,
                const std::function<bool(const std::vector<Line>&)>& condition,
                std::chrono::seconds most = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (!condition(read_journal(journal)) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::vector<Line> lines = read_journal(journal);
  if (std::ranges::count(lines, "failed", &Line::what) > 0) check(false, "a call has failed");
  check(condition(lines), what);
}

// The last node that began, and how often it has counted since.
std::string owner_of(const std::vector<Line>& lines) {
  std::string owner;
  for (const Line& line : lines) {
    if (line.what == "begin") owner = line.node;
  }
  return owner;
}

long counts_of(const std::vector<Line>& lines, const std::string& node) {
  if (owner_of(lines) != node) return 0;
  return std::ranges::count_if(
      lines, [&](const Line& line) { return line.what == "saved" && line.node == node; });
}

void check_journal(const std::vector<Line>& lines) {
  unsigned long long epoch = 0, saved = 0;
  for (const Line& line : lines) {
    if (line.what == "begin") {
      if (line.epoch <= epoch) check(false, "each owner has a greater epoch");
      if (line.count < saved) check(false, "each owner goes on from the last save");
      epoch = line.epoch;
    } else if (line.what == "count" && line.epoch != epoch) {
      check(false, line.node + " counts under an epoch that is over");
    } else if (line.what == "saved") {
      saved = line.count;
    }
  }
  check(epoch != 0 && saved != 0, "no two nodes counted at the same time, and no save was lost");
}

int run_all(const char* program, const char* directory, int port) {
  const std::string journal = std::string(directory) + "/journal";
  std::map<std::string, Child> children;
  for (int number = 1; number <= 3; ++number) {
    children["node-" + std::to_string(number)] = start_child(program, directory, port, number);
  }
  eventually(journal, "three nodes are members", [](const auto& lines) {
    return std::ranges::count(lines, "ready", &Line::what) == 3;
  });
  children.begin()->second.tell("assign");
  const auto counts = [&](const std::string& node) {
    eventually(journal, node + " counts",
               [&](const auto& lines) { return counts_of(lines, node) >= 20; });
  };
  eventually(journal, "a node begins", [](const auto& lines) { return !owner_of(lines).empty(); });
  const std::string first = owner_of(read_journal(journal));
  counts(first);

  kill(children.at(first).process, SIGKILL);
  waitpid(children.at(first).process, nullptr, 0);
  close(children.at(first).words);
  children.erase(first);
  eventually(journal, "after kill -9 of " + first + " another node goes on",
             [&](const auto& lines) { return owner_of(lines) != first; });
  const std::string second = owner_of(read_journal(journal));
  counts(second);

  const std::string third =
      children.begin()->first == second ? children.rbegin()->first : children.begin()->first;
  children.at(second).tell(third);
  // Long before a lease could end: the owner is alive, and stops it at once.
  eventually(
      journal, "the processor moves to " + third,
      [&](const auto& lines) {
        return owner_of(lines) == third && std::ranges::count(lines, "moved", &Line::what) == 1;
      },
      std::chrono::seconds(5));
  counts(third);

  // One after the other, so that the first one can still hand its work over.
  for (auto& [node, child] : children) {
    close(child.words);
    int status = 0;
    waitpid(child.process, &status, 0);
    check(status == 0, node + " stops");
  }
  check_journal(read_journal(journal));
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s DIR [PORT]\n", arguments[0]);
    return 2;
  }
  const int port = count > 2 ? std::atoi(arguments[2]) : 8090;
  if (count > 3) return run_node(arguments[1], port, std::atoi(arguments[3]));
  return run_all(arguments[0], arguments[1], port);
}
