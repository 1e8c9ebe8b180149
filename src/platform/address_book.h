// Owns the file with the addresses at which named places were met last: while no name can be
// resolved, a node finds its peers by them. Hides its form. Network's thread.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "model/address.h"

namespace databridge::platform {

class AddressBook {
 public:
  static constexpr size_t kPlacesMax = 256;

  AddressBook() = default;  // In memory only.
  // A file that cannot be read is as good as none: the names are resolved anew.
  explicit AddressBook(std::string file);

  // The numeric endpoint of that place, if it was ever met; else empty.
  Address find(const Address& place) const;

  // It was met there: kept on disk, if that is news. Places with numeric hosts need no book.
  Result<void> met(const Address& place, const Address& endpoint);

 private:
  Result<void> write() const;

  std::string file_;
  std::map<Address, Address> places_;
};

}  // namespace databridge::platform
