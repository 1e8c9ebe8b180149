// The acts of other programs on a machine, on the users' files there. They meet no faults.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sim/world.h"

namespace databridge::sim {

class SimFiles;

// Short-lived: it must not outlive the present process of the machine.
class UserPrograms {
 public:
  UserPrograms(World& world, World::NodeIndex machine);
  ~UserPrograms();

  // Makes the file if it is missing.
  void append(const std::string& path, const std::string& text);
  void rename(const std::string& from, const std::string& to);
  void remove(const std::string& path);
  void link(const std::string& path, const std::string& target);  // Makes a symbolic link.
  uint64_t empty(const std::string& path);                        // Returns its size before.

  bool exists(const std::string& path) const;
  // True if the node's present process has it open, or will get it back (Files::keep).
  bool is_open(const std::string& path) const;
  uint64_t life() const;  // Each process of the node has another value.

 private:
  std::unique_ptr<SimFiles> files_;
};

}  // namespace databridge::sim
