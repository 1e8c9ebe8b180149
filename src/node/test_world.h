// For tests: an env in memory. The store forgets writes that were not synced, workers run only when
// they are told to, and the network does nothing.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "env/env.h"
#include "env/load_probe.h"
#include "env/network.h"
#include "env/store.h"
#include "env/workers.h"
#include "flow/testing.h"
#include "node/embedder.h"

namespace databridge::node {

class ForgetfulStore : public env::Store {
 public:
  uint64_t submit(env::Batch batch) override {
    pending_.push_back(std::move(batch));
    return ++submitted_;
  }
  void on_durable(std::function<void(Result<Durable>)>) override {}

  // Makes up to `count` batches durable; returns the number of the last one.
  uint64_t sync(size_t count = SIZE_MAX) {
    for (; count > 0 && !pending_.empty(); --count) {
      for (const env::Write& write : pending_.front().writes) apply(write);
      for (const env::Record& record : pending_.front().records) records_.push_back(record);
      pending_.pop_front();
      ++durable_;
    }
    return durable_;
  }

  // Drops the writes that were not synced. Batches are numbered from 1 again, as in a new process.
  void crash() {
    pending_.clear();
    submitted_ = durable_ = 0;
  }

  Result<std::optional<Bytes>> get(env::Space space, BytesView key) override {
    const auto it = data_.find({space, Bytes(key)});
    return it == data_.end() ? std::optional<Bytes>() : it->second;
  }
  Result<void> scan(env::Space space, BytesView from, BytesView to,
                    const std::function<bool(BytesView, BytesView)>& visit) override {
    for (auto it = data_.lower_bound({space, Bytes(from)}); it != data_.end(); ++it) {
      if (it->first.first != space || (!to.empty() && it->first.second >= to)) break;
      if (!visit(it->first.second, it->second)) break;
    }
    return {};
  }
  // Its one file has the id 1, and the offset of a record is its number. It forgets no file.
  Result<void> replay(const Visit& visit) override {
    for (uint32_t i = 0; i < records_.size(); ++i) {
      const BytesView bytes = records_[i].bytes.view();
      auto taken = visit(records_[i].kind, {1, 0, i, static_cast<uint32_t>(bytes.size())}, bytes);
      if (!taken) return taken;
    }
    return {};
  }
  Result<Bytes> read(const env::Position& at) override {
    return Bytes(records_.at(at.offset).bytes.view());
  }
  Room room() const override { return {1 << 30, 1 << 30}; }

 private:
  void apply(const env::Write& write) {
    if (write.kind == env::Write::Kind::put) {
      data_[{write.space, write.key}] = write.value;
    } else if (write.kind == env::Write::Kind::erase) {
      data_.erase({write.space, write.key});
    } else {
      data_.erase(data_.lower_bound({write.space, write.key}),
                  data_.lower_bound({write.space, write.value}));
    }
  }

  std::map<std::pair<env::Space, Bytes>, Bytes> data_;
  std::vector<env::Record> records_;
  std::deque<env::Batch> pending_;
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
};

class ManualWorkers : public env::Workers {
 public:
  void run(std::function<void()> job) override { jobs_.push_back(std::move(job)); }
  bool empty() const { return jobs_.empty(); }
  void run_one(size_t at = 0) {
    auto job = std::move(jobs_[at]);
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(at));
    job();
  }
  size_t size() const { return jobs_.size(); }

 private:
  std::deque<std::function<void()>> jobs_;
};

class NoNetwork : public env::Network {
 public:
  Result<void> start(env::Greeting, Receiver) override { return {}; }
  void set_cluster(const ClusterId&) override {}
  void dial(const Address&) override {}
  void hang_up(const Address&) override {}
  void know(KnownPeers) override {}
  void set_position(const env::LogPosition&) override {}
  void send(Incarnation, Message, uint64_t) override {}
};

class NoLoad : public env::LoadProbe {
 public:
  env::Machine machine() const override { return {}; }
  std::optional<env::LoadSample> sample() override { return std::nullopt; }
};

// An embedding program. It writes down what it is told, and returns from a stop when the test says
// so.
class ToldProgram final : public Embedder {
 public:
  void start(Start start) override {
    told.push_back("start " + std::to_string(start.epoch.index) + " " + start.state);
    hold = std::move(start.hold);
    is_leased = std::move(start.is_leased);
  }
  void stop(const ProcessorId&, Epoch epoch, std::function<void()> then) override {
    told.push_back("stop " + std::to_string(epoch.index));
    returned = std::move(then);
  }
  void lost(const ProcessorId&, Epoch epoch) override {
    told.push_back("lost " + std::to_string(epoch.index));
  }

  std::vector<std::string> told;
  std::shared_ptr<const void> hold;
  std::function<bool()> is_leased;
  std::function<void()> returned;
};

}  // namespace databridge::node
