// A processor type of the embedding program, as a type of the flow engine.
//
// - Hides: the adapters between the public contract and that of the room flow.
#pragma once

#include <databridge/processor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "flow/registry.h"

namespace databridge::lib {

// Keeps its own texts, since the flow engine refers to them.
class CustomType {
 public:
  CustomType(std::string name, std::vector<Property> properties, ProcessorFactory factory,
             ProcessorTraits traits);
  CustomType(const CustomType&) = delete;
  CustomType& operator=(const CustomType&) = delete;

  // Refers to this object, which must outlive it.
  flow::ProcessorType type() const;

 private:
  Result<std::unique_ptr<Processor>> call_factory(
      const std::map<std::string, std::string>& properties) const;

  const std::string name_;
  const std::vector<Property> properties_;
  const ProcessorFactory factory_;
  const ProcessorTraits traits_;
};

}  // namespace databridge::lib
