// - Owns: the memory in which a node leaves what its guardian needs to report its end
//   (docs/adr/0008).
// - Hides: the layout, and that the end may come in the middle of a write.
#pragma once

#include <optional>
#include <vector>

#include "env/network.h"
#include "model/address.h"

namespace databridge::platform {

class LastWill {
 public:
  // Maps memory that is shared with each process that is forked later.
  LastWill();
  ~LastWill();
  LastWill(const LastWill&) = delete;
  LastWill& operator=(const LastWill&) = delete;

  // Called by the node, on one thread at a time. `peers`: numeric endpoints at which it has met
  // others. About 5,000 fit; the others are left out.
  void write(const env::Greeting& self, const std::vector<Address>& peers);

  // Called by the guardian before it forks: makes a new secret for the next process. The process
  // names its hash in its greetings. A guardian that knows the secret is proved to be the parent of
  // that process.
  void renew_secret();
  std::string secret() const;

  struct Content {
    env::Greeting process;
    std::vector<Address> peers;
  };
  // Called by the guardian once no process writes any more. nullopt: the node never wrote, or the
  // memory is damaged.
  std::optional<Content> read() const;
  void clear();

 private:
  struct Page;
  Page* page_;
};

}  // namespace databridge::platform
