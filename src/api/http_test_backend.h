// A backend for tests: one node that is its own leader and carries out each request at once.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/backend.h"

namespace databridge::api {

inline MemberInfo member_info(uint64_t n) {
  MemberInfo info;
  info.incarnation = Incarnation{n};
  info.node = NodeId("node-" + std::to_string(n));
  info.address = {"10.0.1." + std::to_string(n), 8090};
  info.api_address = {"10.0.1." + std::to_string(n), 8080};
  info.labels = {{"zone", "a"}};
  info.capacity = {2, 8, 1000, 1000};
  info.software_version = "0.1.0";
  return info;
}

class TestBackend : public Backend {
 public:
  TestBackend() {
    view_.self = member_info(1);
    view_.cluster = ClusterId("c1");
    view_.leader = Incarnation{1};
    view_.term = 3;
    view_.has_quorum = true;
    view_.in_touch = view_.caught_up = true;
    view_.bootstrapped = true;
    view_.soft.term = 3;
    view_.soft.as_of_ms = 1'700'000'001'000;
    view_.soft.voters_reachable = 1;
    publish();
  }

  // Applies a command as the log would, and publishes.
  Applied apply(CommandBody body, Actor by = {}) {
    std::unique_lock lock(mutex_);
    Command command;
    command.by = std::move(by);
    command.body = std::move(body);
    command.at_ms = 1'700'000'000'000 + static_cast<int64_t>(view_.state.version());
    auto applied = view_.state.apply(view_.state.version() + 1, command).applied;
    view_.commit = view_.state.version();
    publish();
    auto listener = listener_;
    lock.unlock();
    if (listener) listener();
    return applied;
  }

  void change(const std::function<void(cluster::View&)>& change_it) {
    const std::lock_guard lock(mutex_);
    change_it(view_);
    publish();
  }

  // Puts one node into the state, which votes and leads.
  void found() {
    apply(AdmitMember{member_info(1)});
    apply(SetVoters{{Incarnation{1}}, Incarnation{1}});
  }

  cluster::ViewPtr view() const override {
    const std::lock_guard lock(mutex_);
    return published_;
  }

  void submit(cluster::Request request, std::function<void(cluster::Answer)> done) override {
    if (silent) {
      const std::lock_guard lock(mutex_);
      held.push_back(std::move(done));
      // Counted after `held` is filled, so that a test that sees the count may use `held`.
      ++asked;
      return;
    }
    ++asked;
    if (refuse) return done(tl::make_unexpected(*refuse));
    submitted.push_back(request);
    if (request.idempotency_key.empty()) return done(carry_out(request));
    const auto known = answered.find(request.idempotency_key);
    if (known != answered.end()) return done(known->second);
    done(answered.emplace(request.idempotency_key, carry_out(request)).first->second);
  }

  void on_publish(std::function<void()> published) override {
    const std::lock_guard lock(mutex_);
    listener_ = std::move(published);
  }

  Result<FlowSpec> parse_flow(std::string_view text, FlowFormat, const FlowId& id) const override {
    if (on_parse) on_parse();
    if (text.find("bad") != std::string_view::npos) {
      return fail(Code::unprocessable, "line 4, column 9: unknown key \"bad\"");
    }
    FlowSpec flow;
    flow.id = id;
    flow.name = "a flow";
    ProcessorSpec spec;
    spec.id = Uuid::from_name(id.value, "tail");
    spec.name = "tail";
    spec.type = "TailFile";
    spec.flow = id;
    flow.processors.push_back(spec);
    return flow;
  }

  Result<ProcessorSpec> check_processor(ProcessorSpec spec) const override {
    if (spec.type == "NoSuchType") return fail(Code::unprocessable, "there is no type NoSuchType");
    return spec;
  }

  std::vector<std::string> warnings() const override { return warned; }
  std::map<std::string, int64_t> certificate_ends() const override {
    return {{"cluster", 1'800'000'000}};
  }

  // In a test they are not secret, but each call gives other ones.
  Bytes secret_bytes(size_t count) const override {
    Bytes bytes;
    while (bytes.size() < count) bytes += static_cast<char>(++secrets_);
    return bytes;
  }

  std::function<void()> on_parse;  // A test may let it take long.
  std::vector<std::string> warned;
  std::vector<cluster::Request> submitted;
  std::map<std::string, cluster::Answer> answered;  // By the key of the request.
  std::optional<Error> refuse;
  std::atomic<size_t> asked = 0;
  bool silent = false;  // Requests are never answered.
  std::vector<std::function<void(cluster::Answer)>> held;

 private:
  cluster::Answer carry_out(const cluster::Request& request) {
    Applied applied;
    cluster::Outcome outcome;
    if (const auto* change = std::get_if<cluster::Change>(&request.body)) {
      applied = apply(change->body, request.by);
    } else if (const auto* place = std::get_if<cluster::Place>(&request.body)) {
      applied = apply(AddProcessor{place->spec});
      if (!applied.rejected) apply(Assign{place->spec.id, {}, Incarnation{1}, "the only node"});
    } else if (const auto* drain = std::get_if<cluster::DrainNode>(&request.body)) {
      const Member* member = view()->state.member(drain->node);
      if (member == nullptr) return fail(Code::not_found, "there is no node " + drain->node.value);
      applied = apply(SetDraining{member->info.incarnation, drain->draining, false});
    } else if (const auto* remove = std::get_if<cluster::RemoveNode>(&request.body)) {
      const Member* member = view()->state.member(remove->node);
      if (member == nullptr) return fail(Code::not_found, "there is no node " + remove->node.value);
      applied = apply(SetDraining{member->info.incarnation, true, true});
    } else if (std::get_if<cluster::Rebalance>(&request.body) != nullptr) {
      outcome.plan = placement::Plan{"plan-1", view()->state.version(), {}, 0, {}, {}, {}};
    }
    if (applied.rejected) return tl::make_unexpected(*applied.rejected);
    outcome.index = view()->state.version();
    return outcome;
  }

  void publish() {
    view_.published_at_ms = 1'700'000'002'000;
    published_ = std::make_shared<const cluster::View>(view_);
  }

  mutable std::mutex mutex_;
  mutable std::atomic<uint8_t> secrets_ = 0;
  cluster::View view_;
  cluster::ViewPtr published_;
  std::function<void()> listener_;
};

}  // namespace databridge::api
