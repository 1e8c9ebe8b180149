// Owns the memory in which a node leaves what its guardian will need to report its end
// (docs/adr/0008). Hides its layout, and that the end may come in the middle of a write.
#pragma once

#include <optional>
#include <vector>

#include "env/network.h"
#include "model/address.h"

namespace databridge::platform {

class LastWill {
 public:
  // Maps the memory, which every process that is forked later shares.
  LastWill();
  ~LastWill();
  LastWill(const LastWill&) = delete;
  LastWill& operator=(const LastWill&) = delete;

  // The node; one thread at a time. `peers`: numeric endpoints at which it has met others. Those
  // that do not fit (some 5,000 do) are left out.
  void write(const env::Greeting& self, const std::vector<Address>& peers);

  // A new one for the next process: the guardian, before it forks. The process names its hash in
  // its greetings; who knows the secret has had that process as its child.
  void renew_secret();
  std::string secret() const;

  struct Content {
    env::Greeting process;
    std::vector<Address> peers;
  };
  // The guardian, once nobody writes any more. Nothing: the node never wrote, or it is damaged.
  std::optional<Content> read() const;
  void clear();

 private:
  struct Page;
  Page* page_;
};

}  // namespace databridge::platform
