#include "platform/address_book.h"

#include "platform/system.h"

namespace databridge::platform {

AddressBook::AddressBook(std::string file) : file_(std::move(file)) {
  const auto text = read_file(file_);
  if (!text) return;
  for (BytesView rest = *text; !rest.empty() && places_.size() < kPlacesMax;) {
    const BytesView line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t space = line.find(' ');
    if (space == BytesView::npos) continue;
    auto place = Address::parse(line.substr(0, space));
    auto endpoint = Address::parse(line.substr(space + 1));
    if (place && endpoint) places_[*place] = std::move(*endpoint);
  }
}

Address AddressBook::find(const Address& place) const {
  const auto found = places_.find(place);
  return found == places_.end() ? Address() : found->second;
}

Result<void> AddressBook::met(const Address& place, const Address& endpoint) {
  const auto found = places_.find(place);
  if (found != places_.end() && found->second == endpoint) return {};
  if (found == places_.end() && places_.size() >= kPlacesMax) return {};
  places_[place] = endpoint;
  return file_.empty() ? Result<void>() : write();
}

Result<void> AddressBook::write() const {
  std::string text;
  for (const auto& [place, endpoint] : places_) text += place.text() + " " + endpoint.text() + "\n";
  return write_whole_file(file_, text);
}

}  // namespace databridge::platform
