#include "flow/condition.h"

#include <re2/re2.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "flow/units.h"
#include "model/ids.h"

namespace databridge::flow {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool done() {
    skip();
    return at_ == text_.size();
  }
  bool eat(std::string_view token) {
    skip();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  std::string word(std::string_view stops) {
    skip();
    const size_t end = std::min(text_.find_first_of(stops, at_), text_.size());
    const std::string_view found = text_.substr(at_, end - at_);
    at_ = end;
    return std::string(found);
  }
  std::optional<std::string> quoted() {
    std::string value;
    while (at_ < text_.size() && text_[at_] != '"') {
      const bool escapes = text_[at_] == '\\' && at_ + 1 < text_.size() &&
                           (text_[at_ + 1] == '"' || text_[at_ + 1] == '\\');
      if (escapes) ++at_;
      value.push_back(text_[at_++]);
    }
    if (at_ == text_.size()) return std::nullopt;
    ++at_;
    return value;
  }
  std::string where() const { return " at character " + std::to_string(at_ + 1); }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Condition::Condition() = default;
Condition::Condition(Condition&&) noexcept = default;
Condition::~Condition() = default;

Result<Condition> Condition::parse(std::string_view text) {
  static constexpr std::array<std::pair<const char*, Operator>, 9> kOperators = {
      {{"exists", Operator::exists},
       {"==", Operator::equal},
       {"!=", Operator::unequal},
       {"=~", Operator::matches},
       {"!~", Operator::differs},
       {"<=", Operator::less_equal},
       {">=", Operator::greater_equal},
       {"<", Operator::less},
       {">", Operator::greater}}};
  Condition made;
  Scanner from(text);
  made.any_of_all_.emplace_back();
  while (true) {
    Test test;
    test.attribute = from.word(" \t=!<>&|\"");
    if (!is_valid_name(test.attribute, 128)) {
      return fail(Code::unprocessable, "an attribute's name is expected" + from.where());
    }
    bool found = false;
    for (const auto& [token, op] : kOperators) {
      if (found || !from.eat(token)) continue;
      test.op = op;
      found = true;
    }
    if (!found) {
      return fail(Code::unprocessable,
                  "one of == != < <= > >= =~ !~ exists is expected" + from.where());
    }
    if (test.op != Operator::exists) {
      const bool is_quoted = from.eat("\"");
      const auto value = is_quoted ? from.quoted() : from.word(" \t&|\"");
      if (!value) return fail(Code::unprocessable, "a quote that does not end" + from.where());
      if (!is_quoted && value->empty()) {
        return fail(Code::unprocessable, "a value is expected" + from.where());
      }
      test.value = *value;
    }
    if (test.op == Operator::matches || test.op == Operator::differs) {
      auto pattern = compile(test.value);
      if (!pattern) return tl::make_unexpected(pattern.error());
      test.pattern = std::move(*pattern);
    }
    made.any_of_all_.back().push_back(std::move(test));
    if (from.done()) return made;
    if (from.eat("&&")) continue;
    if (!from.eat("||")) return fail(Code::unprocessable, "&& or || is expected" + from.where());
    made.any_of_all_.emplace_back();
  }
}

bool Condition::Test::holds(const std::map<std::string, std::string>& attributes) const {
  static const std::string kNothing;
  const auto it = attributes.find(attribute);
  const std::string& present = it == attributes.end() ? kNothing : it->second;
  switch (op) {
    case Operator::exists:
      return it != attributes.end();
    case Operator::equal:
      return present == value;
    case Operator::unequal:
      return present != value;
    case Operator::matches:
      return RE2::FullMatch(present, *pattern);
    case Operator::differs:
      return !RE2::FullMatch(present, *pattern);
    default:
      break;
  }
  const auto left = number_of(present), right = number_of(value);
  if (!left || !right) return false;
  if (op == Operator::less) return *left < *right;
  if (op == Operator::less_equal) return *left <= *right;
  if (op == Operator::greater) return *left > *right;
  return *left >= *right;
}

bool Condition::holds(const std::map<std::string, std::string>& attributes) const {
  for (const auto& all : any_of_all_) {
    bool every = true;
    for (const Test& test : all) every = every && test.holds(attributes);
    if (every) return true;
  }
  return false;
}

}  // namespace databridge::flow
