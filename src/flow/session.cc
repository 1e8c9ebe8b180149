#include "flow/session.h"

#include <algorithm>

#include "base/check.h"

namespace databridge::flow {

Session::Session(Offer offer, Random& random, int64_t unix_ms, const World* world)
    : offer_(std::move(offer)), random_(random), unix_ms_(unix_ms), world_(world) {
  items_.reserve(offer_.inputs.size());
}
Session::~Session() = default;

const FlowFile* Session::look() {
  if (next_ == offer_.inputs.size()) return nullptr;
  if (next_ > 0 && world_ != nullptr && world_->must_end()) return nullptr;
  Input& input = offer_.inputs[next_++];
  items_.push_back({.shown = input.file.get(), .own = nullptr, .input = &input});
  return items_.back().shown;
}

FlowFile* Session::get() {
  const FlowFile* file = look();
  return file == nullptr ? nullptr : edit(file);
}

FlowFile* Session::edit(const FlowFile* file) {
  Item& item = items_[find(file)];
  if (!item.own) item.own = std::make_shared<FlowFile>(*file);
  item.shown = item.own.get();
  return item.own.get();
}

FlowFile* Session::create() {
  auto made = std::make_shared<FlowFile>();
  made->id = make_uuid(unix_ms_, random_);
  items_.push_back({.shown = made.get(), .own = made});
  return made.get();
}

FlowFile* Session::clone(const FlowFile& source) {
  FlowFile* made = create();
  made->attributes = source.attributes;
  made->content = source.content;
  return made;
}

// A processor mostly handles the file that it took last, or its files in order. Both are found at
// once.
size_t Session::find(const FlowFile* file) const {
  const auto is_it = [&](size_t at) { return at < items_.size() && items_[at].shown == file; };
  if (is_it(found_ + 1)) return ++found_;
  size_t at = items_.size();
  while (at > 0 && !is_it(at - 1)) --at;
  CHECK(at > 0);
  return found_ = at - 1;
}

Session::Item& Session::decide(const FlowFile* file, Fate fate) {
  Item& item = items_[find(file)];
  CHECK(item.fate == Fate::open);
  item.fate = fate;
  return item;
}

const std::vector<Uuid>* Session::connections(const std::string& relationship) const {
  const auto at = offer_.outputs.find(relationship);
  return at == offer_.outputs.end() || at->second.empty() ? nullptr : &at->second;
}

bool Session::leads_on(const std::string& relationship) const {
  return connections(relationship) != nullptr;
}

void Session::transfer(const FlowFile* file, const std::string& relationship) {
  decide(file, Fate::transferred).to = connections(relationship);
  transferred_.push_back(found_);
}

void Session::remove(const FlowFile* file) { decide(file, Fate::removed); }

void Session::put_back(const FlowFile* file) {
  CHECK(decide(file, Fate::put_back).input != nullptr);
}

const Bytes& Session::state() const { return state_ ? *state_ : offer_.state; }
void Session::set_state(Bytes state) { state_ = std::move(state); }
void Session::wait(Duration duration) { wait_ = std::max(wait_.value_or(duration), duration); }

Result<Delta> Session::finish() {
  Delta delta;
  for (const Item& item : items_) {
    if (item.fate == Fate::open) {
      return fail(Code::internal, "a flow file was neither transferred nor removed");
    }
  }
  for (const size_t at : transferred_) {
    Item& item = items_[at];
    if (item.to == nullptr) continue;
    // A file that came in may get a little larger, for example by an attribute with its path.
    const uint64_t before = item.input == nullptr ? 0 : item.input->file->bytes() + (64 << 10);
    if (const uint64_t bytes = item.shown->bytes(); bytes > std::max(kFlowFileMax, before)) {
      return fail(Code::too_large, "a flow file of " + std::to_string(bytes) + " bytes: at most " +
                                       std::to_string(kFlowFileMax));
    }
    ++delta.files_out;
    delta.bytes_out += item.shown->content.size();
    const FlowFilePtr file = item.own ? FlowFilePtr(std::move(item.own)) : item.input->file;
    for (const Uuid& connection : *item.to) delta.outputs.push_back({connection, file});
  }
  delta.consumed.reserve(offer_.inputs.size());
  for (const Item& item : items_) {
    if (item.input == nullptr || item.fate == Fate::put_back) continue;
    ++delta.files_in;
    delta.bytes_in += item.input->file->content.size();
    delta.consumed.push_back(std::move(*item.input));
  }
  if (state_ && *state_ != offer_.state) delta.state = std::move(state_);
  delta.wait = wait_;
  return delta;
}

}  // namespace databridge::flow
