// Remembers in a file the addresses at which named places were met last. While no name can be
// resolved, a node finds its peers by them.
//
// - Owns: that file. Hides: its form. Network's thread.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "model/address.h"

namespace databridge::platform {

class AddressBook {
 public:
  static constexpr size_t kPlacesMax = 256;

  AddressBook() = default;  // A book in memory only.
  // A file that cannot be read counts as empty: the names are resolved again.
  explicit AddressBook(std::string file);

  // The numeric endpoint at which that place was met last; empty if it was never met.
  Address find(const Address& place) const;

  // The place was met at that endpoint. Writes the file if this is new. Places with numeric hosts
  // need no book.
  Result<void> met(const Address& place, const Address& endpoint);

 private:
  Result<void> write() const;

  std::string file_;
  std::map<Address, Address> places_;
};

}  // namespace databridge::platform
