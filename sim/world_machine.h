// One machine of the simulated world: the data that outlive a process, and the env of the present
// process. Internal to sim/world*.cc.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/message.h"
#include "sim/world.h"
#include "sim/world_discovery.h"
#include "sim/world_disk.h"

namespace databridge::sim {

// The wall clock of a machine. People and time servers set it, and it has its own rate.
struct WallClock {
  Duration error{};
  double rate = 1.0;

  int64_t ms(Instant now) const {
    const auto passed = static_cast<double>(now.time_since_epoch().count()) * rate;
    return 1'700'000'000'000 +
           (Duration(static_cast<int64_t>(passed)) + error) / std::chrono::milliseconds(1);
  }
};

class SimClock final : public env::Clock {
 public:
  SimClock(const World& world, double rate, const WallClock& wall)
      : world_(world), rate_(rate), since_(world.now()), wall_(wall) {}
  Instant now() const override {
    const auto passed = static_cast<double>((world_.now() - since_).count()) * rate_;
    return since_ + Duration(static_cast<int64_t>(passed));
  }
  int64_t unix_ms() const override { return wall_.ms(now()); }
  // The time of the world at which this clock shows `when`.
  Instant world_time(Instant when) const {
    if (when == Instant::max()) return when;
    const auto left = static_cast<double>((when - now()).count()) / rate_;
    return world_.now() + Duration(static_cast<int64_t>(std::max(left, 0.0)) + 1);
  }

 private:
  const World& world_;
  double rate_;
  Instant since_;
  const WallClock& wall_;
};

class SimNetwork final : public env::Network {
 public:
  SimNetwork(World& world, World::NodeIndex node) : world_(world), node_(node) {}

  Result<void> start(env::Greeting self, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override;
  void dial(const Address& address) override;
  void hang_up(const Address& address) override;
  void know(KnownPeers peers) override { known_ = std::move(peers); }
  void set_position(const env::LogPosition& position) override { self_.log = position; }
  void send(Incarnation to, Message message, uint64_t start) override;

  void break_link(const Address& address, bool notify);
  void break_links_to(World::NodeIndex peer, bool notify);
  void peer_gone(World::NodeIndex peer);

 private:
  friend class World;
  bool is_foreign(const env::Greeting& other) const;
  void expect_greeting(World::NodeIndex from, Duration wait);
  void greeted_anew(World::NodeIndex from);
  struct Link {
    uint64_t generation = 0;  // Of its last attempt to connect.
    bool up = false;
    env::Greeting peer;
    ClusterId told;  // In our last greeting on this link.
    struct Lane {
      Instant last_delivery{};
      Instant pipe_free{};  // The time when everything that was sent will have left.
    };
    Lane prompt, bulk;  // Deliveries of flow files are overtaken by all other messages.
    Duration backoff = 10ms;
  };
  bool leads_to(const Link& link, Incarnation to, uint64_t start) const;
  void hear(const env::Greeting& from, Message message);
  bool through_pipe(Link& link, Link::Lane& lane, const Message& message);
  void deliver(World::NodeIndex there, Instant when, Message message);
  void tell_lost(const Address& address, const env::Greeting& peer);
  void connect(const Address& address, uint64_t generation, Duration wait);
  void attempt(const Address& address);

  World& world_;
  World::NodeIndex node_;
  env::Greeting self_;
  Receiver receiver_;
  bool listening_ = false;
  KnownPeers known_;
  std::map<Address, Link> links_;
  uint64_t generations_ = 0;  // Over all links: one that was forgotten may be dialled again.
};

class SimWorkers final : public env::Workers {
 public:
  SimWorkers(World& world, World::NodeIndex node, std::shared_ptr<SimFiles> files)
      : world_(world), node_(node), files_(std::move(files)) {}
  void run(std::function<void()> job) override;

 private:
  World& world_;
  World::NodeIndex node_;
  std::shared_ptr<SimFiles> files_;  // Files that jobs may have open.
};

class SimProbe final : public env::LoadProbe {
 public:
  explicit SimProbe(Random& random) : random_(random) {}
  env::Machine machine() const override { return {4, 16}; }
  std::optional<env::LoadSample> sample() override {
    return env::LoadSample{random_.unit() * 50, random_.unit() * 50};
  }

 private:
  Random& random_;
};

struct World::Machine {
  // These outlive the process.
  Disk disk;
  Disk kept;            // The copy that put_back() brings back.
  uint64_t inode = 0;   // The inode of the data directory. It changes when the disk is lost.
  bool sights = false;  // Its processes have a discovery source.
  uint16_t moves = 0;   // How often it moved to another address.
  std::shared_ptr<SimFiles::Numbers> numbers = std::make_shared<SimFiles::Numbers>();
  SimFiles::Names files;
  uint64_t life = 0;
  bool on = false;
  Instant paused_until{};
  Instant hung_until{};
  Instant full_until{};
  Duration sync_more{};
  Duration turn_max{};
  WallClock wall;
  // These belong to the present process.
  Duration lag{};        // For the turn under way: how much later its effects leave.
  Instant busy_until{};  // The end of the last turn.
  std::unique_ptr<SimClock> clock;
  std::unique_ptr<SimStore> store;
  std::unique_ptr<SimNetwork> network;
  std::unique_ptr<SimDiscovery> discovery;  // Null: it knows its seeds only.
  std::unique_ptr<SimWorkers> workers;
  // shared_ptr, because work of a process that has ended may wait in the world's events.
  std::shared_ptr<SimFiles> user_files;
  std::unique_ptr<SimProbe> probe;
  uint64_t seed = 0;
  std::function<void()> turn;
  std::function<Instant()> due;
  Instant wake_at = Instant::max();
};

}  // namespace databridge::sim
