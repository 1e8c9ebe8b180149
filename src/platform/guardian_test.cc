// A node and its guardian as processes: the last will of the one, and the report of the other.
#include "platform/guardian.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "platform/death_report.h"
#include "platform/network.h"
#include "platform/process.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

using env::Greeting;

Greeting greeting_of(uint64_t incarnation, const char* cluster = "c", uint64_t boot = 1) {
  Greeting greeting = this_process();
  greeting.incarnation = Incarnation{incarnation};
  greeting.node = NodeId("n" + std::to_string(incarnation));
  greeting.cluster = ClusterId(cluster);
  greeting.boot = boot;
  return greeting;
}

// A network that remembers the deaths that it was told of.
class Listener {
 public:
  explicit Listener(const Greeting& self, Address listen = {"127.0.0.1", 0},
                    LastWill* will = nullptr) {
    NetworkOptions options;
    options.listen = std::move(listen);
    options.will = will;
    network = make_network(options);
    EXPECT_TRUE(network->start(self, {.on_message = [](env::Speaker, const Message&) {},
                                      .on_link = [](const env::LinkEvent&) {},
                                      .on_greeting =
                                          [this](const Greeting&) {
                                            const MutexLock lock(mutex_);
                                            ++met_;
                                          },
                                      .on_reaped =
                                          [this](Greeting process) {
                                            const MutexLock lock(mutex_);
                                            reaped_.push_back(std::move(process));
                                          }}));
  }
  ~Listener() { network.reset(); }

  Address address() const { return {"127.0.0.1", network->port()}; }
  std::vector<Greeting> reaped() {
    const MutexLock lock(mutex_);
    return reaped_;
  }

  int met() {
    const MutexLock lock(mutex_);
    return met_;
  }

  std::unique_ptr<Network> network;

 private:
  Mutex mutex_;
  std::vector<Greeting> reaped_ GUARDED_BY(mutex_);
  int met_ GUARDED_BY(mutex_) = 0;
};

// ---- The last will

TEST(LastWill, SaysWhatWasWrittenLast) {
  LastWill will;
  EXPECT_FALSE(will.read());
  will.write(greeting_of(1), {});
  will.write(greeting_of(1, "c", 2), {{"127.0.0.1", 8090}, {"::1", 8091}});
  const auto content = will.read();
  ASSERT_TRUE(content);
  EXPECT_EQ(content->process, greeting_of(1, "c", 2));
  EXPECT_EQ(content->peers, (std::vector<Address>{{"127.0.0.1", 8090}, {"::1", 8091}}));
  will.clear();
  EXPECT_FALSE(will.read());
}

TEST(LastWill, LeavesOutWhatDoesNotFit) {
  LastWill will;
  will.write(greeting_of(1), std::vector<Address>(100'000, {"10.0.0.1", 8090}));
  EXPECT_GT(will.read()->peers.size(), 5'000u);
  EXPECT_LT(will.read()->peers.size(), 100'000u);
}

TEST(LastWill, IsWholeWheneverTheWriterDies) {
  LastWill will;
  const std::vector<Address> few(3, {"10.0.0.1", 8090});
  const std::vector<Address> many(2'000, {"10.0.0.2", 8091});
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (uint64_t boot = 1;; ++boot) {
        will.write(greeting_of(boot % 2 + 1), boot % 2 == 0 ? few : many);
      }
    }
    const bool begun = eventually([&] { return will.read().has_value(); });
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_TRUE(begun);
    const auto content = will.read();
    ASSERT_TRUE(content);
    EXPECT_EQ(content->peers, content->process.incarnation == Incarnation{1} ? few : many);
  }
}

// A node may die of a write to a wrong place.
TEST(LastWill, IsNothingWhenItIsDamaged) {
  const Greeting self = greeting_of(1);
  const std::vector<Address> peers(3, {"10.0.0.1", 8090});
  size_t damaged = 0;
  for (size_t at = 0; at < 400; ++at) {
    LastWill will;
    will.write(self, peers);
    // Nothing else here has shared memory, so the object gives the address of the page.
    unsigned char* page = nullptr;  // A LastWill is only this pointer.
    static_assert(sizeof will == sizeof page);
    std::memcpy(&page, static_cast<const void*>(&will), sizeof page);
    page[at] ^= 0xff;
    const auto content = will.read();
    if (content) {
      EXPECT_EQ(content->process, self) << at;
      EXPECT_EQ(content->peers, peers) << at;
    } else {
      ++damaged;
    }
  }
  EXPECT_GT(damaged, 100u);
}

// ---- The report

// A process with a guardian, which names the hash of the guardian's secret.
Reaped guarded(uint64_t incarnation, const char* cluster = "c", uint64_t boot = 1) {
  Reaped reaped{greeting_of(incarnation, cluster, boot), "secret of " + std::to_string(boot)};
  reaped.process.guardian = sha256(reaped.secret);
  return reaped;
}

// The process greets that listener and ends.
void meet(const Reaped& process, Listener& there) {
  Listener one(process.process);
  one.network->dial(there.address());
  ASSERT_TRUE(eventually([&] { return there.met() >= 1; }));
}

TEST(DeathReport, IsTakenByMembersOfThatClusterOnly) {
  Listener member(greeting_of(1));
  Listener stranger(greeting_of(2, "another"));
  Listener homeless(greeting_of(3, ""));
  const Reaped dead = guarded(9, "c", 4);
  meet(dead, member);
  meet(dead, homeless);
  EXPECT_EQ(report_death(dead, {member.address(), stranger.address(), homeless.address()}, 20s),
            3u);
  EXPECT_EQ(member.reaped(), std::vector<Greeting>{dead.process});
  EXPECT_TRUE(stranger.reaped().empty());
  EXPECT_TRUE(homeless.reaped().empty());
}

TEST(DeathReport, IsTakenFromItsGuardianOnlyAndOfAProcessThatWasMet) {
  Listener member(greeting_of(1));
  const Reaped dead = guarded(9, "c", 4);
  EXPECT_EQ(report_death(dead, {member.address()}, 20s), 1u);
  EXPECT_TRUE(member.reaped().empty()) << "nobody was met";
  meet(dead, member);
  Reaped forged = dead;
  forged.secret = dead.process.guardian;
  EXPECT_EQ(report_death(forged, {member.address()}, 20s), 1u);
  Reaped next = guarded(9, "c", 5);
  EXPECT_EQ(report_death(next, {member.address()}, 20s), 1u);
  EXPECT_TRUE(member.reaped().empty());
  EXPECT_EQ(report_death(dead, {member.address()}, 20s), 1u);
  EXPECT_EQ(member.reaped().size(), 1u);
}

TEST(DeathReport, IsNotTakenFromOurselves) {
  Listener member(greeting_of(1));
  EXPECT_EQ(report_death(guarded(1), {member.address()}, 20s), 1u);
  EXPECT_TRUE(member.reaped().empty());
}

TEST(DeathReport, IsRepeatedUntilSomebodyIsThere) {
  Address later;
  { later = Listener(greeting_of(1)).address(); }
  Listener now(greeting_of(2));
  const Reaped dead = guarded(9);
  meet(dead, now);
  size_t answered = 0;
  std::thread guardian([&] { answered = report_death(dead, {later, now.address()}, 20s); });
  EXPECT_TRUE(eventually([&] { return now.reaped().size() == 1; }));
  Listener again(greeting_of(1), later);
  guardian.join();
  EXPECT_EQ(answered, 2u);
}

TEST(DeathReport, EndsWhenItsTimeIsOver) {
  Address nobody;
  { nobody = Listener(greeting_of(1)).address(); }
  EXPECT_EQ(report_death(guarded(9), {nobody}, 100ms), 0u);
}

// ---- The guardian

// Whether the node was told to stop within that time.
bool is_stopped(Duration within) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  const timespec time{within / 1s, within % 1s / 1ns};
  return ::sigtimedwait(&stop, nullptr, &time) == SIGTERM;
}

// Names its pid, and runs until it is told to stop.
int wait_for_stop() {
  ChildRole::put(::getpid());
  while (!is_stopped(20s)) continue;
  return 0;
}

// Fails twice, then ends well. The argument is a file that counts the starts.
const ChildRole kFailing("guardian_failing", [](const std::string& path) {
  GuardianOptions options;
  options.first_pause = 1ms;
  options.node = [&](LastWill&) {
    std::ofstream(path, std::ios::app) << '.';
    std::string all;
    std::ifstream(path) >> all;
    return all.size() < 3 ? 1 : 0;
  };
  ChildRole::put(guard(options));
});

TEST(Guardian, StartsAFailedNodeAgainAndEndsWithOneThatEndedWell) {
  const TemporaryDirectory at;
  ChildProcess guardian("guardian_failing", at.path() + "/runs");
  int code = -1;
  ASSERT_TRUE(guardian.get(code));
  EXPECT_EQ(code, 0);
  std::string runs;
  std::ifstream(at.path() + "/runs") >> runs;
  EXPECT_EQ(runs, "...");
}

const ChildRole kFinal("guardian_final", [](const std::string&) {
  GuardianOptions options;
  options.is_final = [](int code) { return code == 2; };
  options.node = [](LastWill&) { return 2; };
  ChildRole::put(guard(options));
});

TEST(Guardian, DoesNotRepeatWhatCannotGetBetter) {
  ChildProcess guardian("guardian_final", "");
  int code = -1;
  ASSERT_TRUE(guardian.get(code));
  EXPECT_EQ(code, 2);
}

const ChildRole kWaiting("guardian_waiting", [](const std::string&) {
  GuardianOptions options;
  options.first_pause = 1ms;
  options.node = [](LastWill&) { return wait_for_stop(); };
  ChildRole::put(guard(options));
});

TEST(Guardian, StartsAKilledNodeAgainAndPassesOnThatItShallStop) {
  ChildProcess guardian("guardian_waiting", "");
  pid_t first = 0;
  ASSERT_TRUE(guardian.get(first));
  ::kill(first, SIGKILL);
  pid_t second = 0;
  ASSERT_TRUE(guardian.get(second));
  EXPECT_NE(first, second);
  ::kill(guardian.pid(), SIGTERM);
  int code = -1;
  ASSERT_TRUE(guardian.get(code));
  EXPECT_EQ(code, 0);
  EXPECT_EQ(::kill(second, 0), -1) << "it is no more";
}

// SIGCHLD is ignored, as after `trap '' CHLD` in a shell.
const ChildRole kIgnoring("guardian_ignoring", [](const std::string&) {
  ::signal(SIGCHLD, SIG_IGN);
  GuardianOptions options;
  options.is_final = [](int code) { return code == 2; };
  options.node = [](LastWill&) { return 2; };
  ChildRole::put(guard(options));
});

TEST(Guardian, HearsOfItsChildrenWhateverItsParentIgnored) {
  ChildProcess guardian("guardian_ignoring", "");
  int code = -1;
  ASSERT_TRUE(guardian.get(code));
  EXPECT_EQ(code, 2);
}

TEST(Guardian, ItsNodeDoesNotOutliveIt) {
  ChildProcess guardian("guardian_waiting", "");
  pid_t node = 0;
  ASSERT_TRUE(guardian.get(node));
  guardian.kill();
  pid_t nobody = 0;
  EXPECT_FALSE(guardian.get(nobody)) << "both ends of the pipe are closed: both are gone";
}

// The argument is the port of the peer.
const ChildRole kLinked("guardian_linked", [](const std::string& port) {
  GuardianOptions options;
  options.first_pause = 1ms;
  options.node = [&](LastWill& will) {
    const Listener node(greeting_of(2, "c", 7), {"127.0.0.1", 0}, &will);
    node.network->dial({"127.0.0.1", static_cast<uint16_t>(std::stoi(port))});
    while (!will.read() || will.read()->peers.empty()) {
      if (is_stopped(1ms)) return 0;
    }
    return wait_for_stop();
  };
  ChildRole::put(guard(options));
});

TEST(Guardian, TellsThePeersOfADeath) {
  Listener peer(greeting_of(1));
  ChildProcess guardian("guardian_linked", std::to_string(peer.address().port));
  pid_t node = 0;
  ASSERT_TRUE(guardian.get(node));
  EXPECT_TRUE(peer.reaped().empty());
  ::kill(node, SIGKILL);
  ASSERT_TRUE(eventually([&] { return !peer.reaped().empty(); }));
  const Greeting dead = peer.reaped().front();
  EXPECT_EQ(dead.incarnation, Incarnation{2});
  EXPECT_EQ(dead.boot, 7u);
  EXPECT_EQ(dead.pid, static_cast<uint64_t>(node));
}

}  // namespace
}  // namespace databridge::platform
