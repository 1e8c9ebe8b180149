#include "lib/custom_type.h"

#include <exception>
#include <utility>

#include "flow/processor.h"
#include "flow/session.h"
#include "lib/callback_scope.h"

namespace databridge::lib {
namespace {

class CustomSession final : public Session {
 public:
  explicit CustomSession(flow::Session& inner) : inner_(inner) {}

  FlowFile* get() override { return inner_.get(); }
  FlowFile* create() override { return inner_.create(); }
  FlowFile* clone(const FlowFile& source) override { return inner_.clone(source); }
  void transfer(const FlowFile* file, const std::string& relationship) override {
    inner_.transfer(file, relationship);
  }
  void remove(const FlowFile* file) override { inner_.remove(file); }
  void put_back(const FlowFile* file) override { inner_.put_back(file); }
  const std::string& state() const override { return inner_.state(); }
  void set_state(std::string state) override { inner_.set_state(std::move(state)); }
  uint64_t epoch() const override { return inner_.epoch().number(); }
  size_t room() const override { return inner_.room(); }
  void wait(std::chrono::nanoseconds time) override {
    inner_.wait(std::chrono::duration_cast<Duration>(time));
  }

 private:
  flow::Session& inner_;
};

class CustomWorld final : public World {
 public:
  explicit CustomWorld(flow::World& inner) : inner_(inner) {}

  Uuid processor() const override { return inner_.processor; }
  bool must_end() const override { return inner_.must_end(); }
  void note(std::string_view text) override { inner_.note(std::string(text)); }
  void trouble(std::string_view text) override { inner_.trouble = text; }

 private:
  flow::World& inner_;
};

class CustomProcessor final : public flow::Processor {
 public:
  explicit CustomProcessor(std::unique_ptr<databridge::Processor> own) : own_(std::move(own)) {}
  ~CustomProcessor() override {
    const CallbackScope scope;
    own_.reset();
  }
  CustomProcessor(const CustomProcessor&) = delete;
  CustomProcessor& operator=(const CustomProcessor&) = delete;

  Result<void> on_trigger(flow::Session& session, flow::World& world) override {
    CustomSession its_session(session);
    CustomWorld its_world(world);
    const CallbackScope scope;
    return own_->on_trigger(its_session, its_world);
  }

 private:
  std::unique_ptr<databridge::Processor> own_;
};

flow::PropertyKind kind_of(PropertyKind kind) {
  switch (kind) {
    case PropertyKind::text:
      return flow::PropertyKind::text;
    case PropertyKind::number:
      return flow::PropertyKind::number;
    case PropertyKind::duration:
      return flow::PropertyKind::duration;
    case PropertyKind::size:
      return flow::PropertyKind::size;
    case PropertyKind::boolean:
      return flow::PropertyKind::boolean;
    case PropertyKind::pattern:
      break;
  }
  return flow::PropertyKind::pattern;
}

}  // namespace

CustomType::CustomType(std::string name, std::vector<Property> properties, ProcessorFactory factory,
                       ProcessorTraits traits)
    : name_(std::move(name)),
      properties_(std::move(properties)),
      factory_(std::move(factory)),
      traits_(std::move(traits)) {}

// The program may throw anything.
Result<std::unique_ptr<databridge::Processor>> CustomType::call_factory(
    const std::map<std::string, std::string>& properties) const {
  const CallbackScope scope;
  try {
    return factory_(properties);
  } catch (const std::exception& error) {
    return fail(Code::internal, "the factory of " + name_ + " threw: " + error.what());
  } catch (...) {
    return fail(Code::internal, "the factory of " + name_ + " threw");
  }
}

flow::ProcessorType CustomType::type() const {
  flow::ProcessorType type{};
  type.name = name_.c_str();
  type.help = traits_.help.c_str();
  type.source = traits_.source;
  type.state =
      traits_.state == StateScope::cluster ? flow::StateScope::cluster : flow::StateScope::none;
  type.relationships = traits_.relationships;
  type.losses = traits_.losses;
  for (const Property& property : properties_) {
    type.properties.push_back({property.name.c_str(), kind_of(property.kind),
                               property.fallback ? property.fallback->c_str() : nullptr,
                               property.help.c_str()});
  }
  type.make = [this](const flow::Settings& settings) -> Result<std::unique_ptr<flow::Processor>> {
    auto made = call_factory(settings.all());
    if (!made) return tl::make_unexpected(made.error());
    if (*made == nullptr) return fail(Code::internal, "the factory of " + name_ + " made nothing");
    return std::make_unique<CustomProcessor>(std::move(*made));
  };
  return type;
}

}  // namespace databridge::lib
