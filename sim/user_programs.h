// What other programs on a machine do with the files of users there. No error comes in their way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sim/world.h"

namespace databridge::sim {

class SimFiles;

// For the moment: it does not outlive the present process of the machine.
class UserPrograms {
 public:
  UserPrograms(World& world, World::NodeIndex machine);
  ~UserPrograms();

  void append(const std::string& path, const std::string& text);  // Makes it, if need be.
  void rename(const std::string& from, const std::string& to);
  void remove(const std::string& path);
  void link(const std::string& path, const std::string& target);  // A symbolic one.
  uint64_t empty(const std::string& path);                        // Returns how long it was.

  bool exists(const std::string& path) const;
  // The node's present process has it open, or will have it again (Files::keep).
  bool is_open(const std::string& path) const;
  uint64_t life() const;  // Another one for each process of the node.

 private:
  std::unique_ptr<SimFiles> files_;
};

}  // namespace databridge::sim
