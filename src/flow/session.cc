#include "flow/session.h"

#include <algorithm>

#include "base/check.h"

namespace databridge::flow {

struct Session::Item {
  FlowFile file;
  const Input* input = nullptr;  // Null: created here.
  enum class Fate : uint8_t { open, transferred, removed, put_back } fate = Fate::open;
  std::string relationship;
};

Session::Session(Offer offer, Random& random, int64_t unix_ms, const World* world)
    : offer_(std::move(offer)), random_(random), unix_ms_(unix_ms), world_(world) {}
Session::~Session() = default;

FlowFile* Session::get() {
  if (next_ == offer_.inputs.size()) return nullptr;
  if (next_ > 0 && world_ != nullptr && world_->must_end()) return nullptr;
  const Input& input = offer_.inputs[next_++];
  items_.push_back(std::make_unique<Item>());
  items_.back()->file = *input.file;
  items_.back()->input = &input;
  return &items_.back()->file;
}

FlowFile* Session::create() {
  items_.push_back(std::make_unique<Item>());
  items_.back()->file.id = Uuid::make(unix_ms_, random_);
  return &items_.back()->file;
}

FlowFile* Session::clone(const FlowFile& source) {
  FlowFile* made = create();
  made->attributes = source.attributes;
  made->content = source.content;
  return made;
}

// Processors handle what they took last: from the back it is found at once.
Session::Item* Session::find(const FlowFile* file) {
  const auto it = std::find_if(items_.rbegin(), items_.rend(),
                               [&](const auto& item) { return &item->file == file; });
  CHECK(it != items_.rend());
  CHECK((*it)->fate == Item::Fate::open);
  return it->get();
}

void Session::transfer(FlowFile* file, const std::string& relationship) {
  Item* item = find(file);
  item->fate = Item::Fate::transferred;
  item->relationship = relationship;
  for (size_t i = items_.size(); i-- > 0;) {
    if (items_[i].get() == item) return transferred_.push_back(i);
  }
}

void Session::remove(FlowFile* file) { find(file)->fate = Item::Fate::removed; }

void Session::put_back(FlowFile* file) {
  Item* item = find(file);
  CHECK(item->input != nullptr);
  item->fate = Item::Fate::put_back;
}

const Bytes& Session::state() const { return state_ ? *state_ : offer_.state; }
void Session::set_state(Bytes state) { state_ = std::move(state); }
void Session::wait(Duration duration) { wait_ = std::max(wait_.value_or(duration), duration); }

Result<Delta> Session::finish() {
  Delta delta;
  for (const auto& item : items_) {
    if (item->fate == Item::Fate::open) {
      return fail(Code::internal, "a flow file was neither transferred nor removed");
    }
    if (item->input == nullptr || item->fate == Item::Fate::put_back) continue;
    delta.consumed.push_back(*item->input);
    ++delta.files_in;
    delta.bytes_in += item->input->file->content.size();
  }
  for (const size_t at : transferred_) {
    Item& item = *items_[at];
    const auto connections = offer_.outputs.find(item.relationship);
    if (connections == offer_.outputs.end() || connections->second.empty()) continue;
    // What came in is let through with a little more: a path that it was put to.
    const uint64_t before = item.input == nullptr ? 0 : item.input->file->bytes() + (64 << 10);
    if (const uint64_t bytes = item.file.bytes(); bytes > std::max(kFlowFileMax, before)) {
      return fail(Code::too_large, "a flow file of " + std::to_string(bytes) + " bytes: at most " +
                                       std::to_string(kFlowFileMax));
    }
    ++delta.files_out;
    delta.bytes_out += item.file.content.size();
    const auto file = std::make_shared<const FlowFile>(std::move(item.file));
    for (const Uuid& connection : connections->second) delta.outputs.push_back({connection, file});
  }
  if (state_ && *state_ != offer_.state) delta.state = std::move(state_);
  delta.wait = wait_;
  return delta;
}

}  // namespace databridge::flow
