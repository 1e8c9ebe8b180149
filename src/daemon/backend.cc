#include "daemon/backend.h"

#include <utility>

#include "flow/flow_yaml.h"
#include "flow/registry.h"

namespace databridge::daemon {

namespace {

constexpr size_t kBegunMax = 4096;  // More than there are connections to the API.
constexpr int64_t kBegunMs = 60'000;
constexpr int64_t kCheckMs = 2000;  // Of the leader's table: who is not heard by then is not heard.

int64_t heard_ms(const cluster::View& view, const NodeId& node) {
  const Member* member = view.state.member(node);
  for (const SoftMember& soft : view.soft.members) {
    if (member != nullptr && soft.incarnation == member->info.incarnation) {
      return soft.heartbeat_last_ms;
    }
  }
  return 0;
}

// A processor that is told to stop or to start: the wish is one entry, what follows from it
// another.
std::function<bool(const cluster::View&)> obeyed_when(const SetWanted& wish,
                                                      const cluster::View& now) {
  const Assignment* before = now.state.assignments().find(wish.processor);
  if (before == nullptr || before->wanted == wish.wanted) return {};
  return [wish, reason = before->reason](const cluster::View& view) {
    const Assignment* assignment = view.state.assignments().find(wish.processor);
    if (assignment == nullptr || assignment->wanted != wish.wanted) return true;  // Changed again.
    if (wish.wanted) return assignment->owner || assignment->reason != reason;
    return !assignment->owner || assignment->releasing;
  };
}

// What a view must show before the request is done; nothing if the engine's word is enough.
std::function<bool(const cluster::View&)> shown_when(const cluster::Request& request,
                                                     const cluster::View& now) {
  if (std::holds_alternative<cluster::JoinCluster>(request.body)) {
    return [](const cluster::View& view) {
      return view.bootstrapped && view.state.member(view.self.incarnation) != nullptr;
    };
  }
  if (const auto* transfer = std::get_if<cluster::TransferLeadership>(&request.body)) {
    return [to = transfer->to, term = now.term](const cluster::View& view) {
      const Member* leader = view.leader ? view.state.member(view.leader) : nullptr;
      return leader != nullptr && (view.term > term || leader->info.node == to);
    };
  }
  if (const auto* change = std::get_if<cluster::Change>(&request.body)) {
    const auto* wish = std::get_if<SetWanted>(&change->body);
    return wish == nullptr ? std::function<bool(const cluster::View&)>() : obeyed_when(*wish, now);
  }
  if (const auto* check = std::get_if<cluster::CheckNode>(&request.body)) {
    return [node = check->node, heard = heard_ms(now, check->node),
            until = now.soft.as_of_ms + kCheckMs](const cluster::View& view) {
      return heard_ms(view, node) > heard || view.soft.as_of_ms >= until;
    };
  }
  return {};
}

}  // namespace

void EngineBackend::submit(cluster::Request request, std::function<void(cluster::Answer)> done) {
  const cluster::ViewPtr now = view();
  auto shown = shown_when(request, *now);
  if (!shown) return engine_.submit(std::move(request), std::move(done));
  const bool transfer = std::holds_alternative<cluster::TransferLeadership>(request.body);
  engine_.submit(std::move(request),
                 [this, transfer,
                  begun = Begun{std::move(shown), std::move(done),
                                now->published_at_ms + kBegunMs}](cluster::Answer answer) mutable {
                   // The old leader's word may be lost with its leadership: the new one's is as
                   // good.
                   const bool lost = transfer && !answer && answer.error().code == Code::timed_out;
                   if (!answer && !lost) return begun.done(std::move(answer));
                   wait(std::move(begun));
                 });
}

void EngineBackend::wait(Begun begun) {
  begun_.push_back(std::move(begun));
  look();
  if (begun_.size() <= kBegunMax) return;
  begun_.front().done(fail(Code::unavailable, "too many requests wait for this; try again"));
  begun_.pop_front();
}

void EngineBackend::look() {
  if (begun_.empty()) return;
  const cluster::ViewPtr now = view();
  std::erase_if(begun_, [&](const Begun& begun) {
    if (!begun.shown(*now)) {
      if (now->published_at_ms < begun.until_ms) return false;
      begun.done(fail(Code::timed_out, "it was begun, and did not show within a minute"));
      return true;
    }
    begun.done(cluster::Outcome{.index = now->state.version(), .plan = {}, .text = {}});
    return true;
  });
}

void EngineBackend::on_publish(std::function<void()> published) {
  if (!published) return engine_.on_publish({});
  engine_.on_publish([this, published = std::move(published)] {
    look();
    published();
  });
}

// JSON is YAML too: one reader for both.
Result<FlowSpec> EngineBackend::parse_flow(std::string_view text, api::FlowFormat,
                                           const FlowId& id) const {
  return flow::read_flow(text, id.value);
}

Result<ProcessorSpec> EngineBackend::check_processor(ProcessorSpec spec) const {
  if (spec.type == "external") return spec;  // Its properties mean something to who embeds us.
  if (auto checked = flow::check_processor(spec); !checked) {
    return tl::make_unexpected(checked.error());
  }
  spec.node_local = flow::find_type(spec.type)->node_local;
  spec.files = flow::files_of(spec);
  return spec;
}

}  // namespace databridge::daemon
