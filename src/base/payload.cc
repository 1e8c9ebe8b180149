#include "base/payload.h"

#include <xxhash.h>

#include <algorithm>

#include "base/check.h"

namespace databridge {

Pieces::Pieces(std::vector<Payload> list) {
  Inside inside;
  std::erase_if(list, [](const Payload& piece) { return piece.empty(); });
  inside.begins.reserve(list.size());
  for (const Payload& piece : list) {
    inside.begins.push_back(inside.size);
    inside.size += piece.size();
  }
  inside.list = std::move(list);
  if (inside.size > 0) inside_ = std::make_shared<const Inside>(std::move(inside));
}

const std::vector<Payload>& Pieces::list() const {
  static const std::vector<Payload> none;
  return inside_ ? inside_->list : none;
}

Payload Pieces::slice(size_t offset, size_t size) const {
  if (offset >= this->size()) return {};
  const auto& begins = inside_->begins;
  auto at = static_cast<size_t>(std::upper_bound(begins.begin(), begins.end(), offset) -
                                begins.begin() - 1);
  size_t within = offset - begins[at];
  size = std::min(size, this->size() - offset);
  Payload first = inside_->list[at].slice(within, size);
  if (first.size() == size) return first;
  Bytes copy;
  copy.reserve(size);
  for (; copy.size() < size; ++at, within = 0) {
    copy += inside_->list[at].slice(within, size - copy.size()).view();
  }
  return Payload(std::move(copy));
}

uint64_t Pieces::hash() const {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  CHECK(state && XXH3_64bits_reset(state.get()) == XXH_OK);
  for (const Payload& piece : list()) {
    CHECK(XXH3_64bits_update(state.get(), piece.view().data(), piece.size()) == XXH_OK);
  }
  return XXH3_64bits_digest(state.get());
}

bool Pieces::operator==(const Pieces& other) const {
  return inside_ == other.inside_ || joined() == other.joined();
}

}  // namespace databridge
