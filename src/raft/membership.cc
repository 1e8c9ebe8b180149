#include "raft/membership.h"

#include <algorithm>

#include "base/check.h"

namespace databridge::raft {
namespace {

bool contains(const std::vector<ServerId>& sorted, ServerId id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

void insert(std::vector<ServerId>& sorted, ServerId id) {
  sorted.insert(std::lower_bound(sorted.begin(), sorted.end(), id), id);
}

void erase(std::vector<ServerId>& sorted, ServerId id) {
  sorted.erase(std::remove(sorted.begin(), sorted.end(), id), sorted.end());
}

}  // namespace

bool Configuration::is_voter(ServerId id) const { return contains(voters, id); }
bool Configuration::is_learner(ServerId id) const { return contains(learners, id); }

const Membership::Item& Membership::item_at(Index index) const {
  for (auto item = history_.rbegin(); item != history_.rend(); ++item) {
    if (item->position.index <= index) return *item;
  }
  return history_.front();
}

const Configuration& Membership::at(Index index) const { return item_at(index).configuration; }
Position Membership::position_at(Index index) const { return item_at(index).position; }

void Membership::append(Position position, Configuration configuration) {
  CHECK(position.index > latest_index());
  history_.push_back({position, std::move(configuration)});
}

bool Membership::truncate_from(Index index) {
  const size_t before = history_.size();
  while (history_.size() > 1 && history_.back().position.index >= index) history_.pop_back();
  return history_.size() != before;
}

void Membership::compact(Index upto) {
  auto keep = history_.begin();
  while (keep + 1 != history_.end() && (keep + 1)->position.index <= upto) ++keep;
  history_.erase(history_.begin(), keep);
}

void Membership::reset(Position position, Configuration configuration) {
  std::sort(configuration.voters.begin(), configuration.voters.end());
  std::sort(configuration.learners.begin(), configuration.learners.end());
  history_.assign(1, {position, std::move(configuration)});
}

Result<Configuration> changed(const Configuration& from, const Change& change) {
  Configuration to = from;
  const ServerId id = change.server;
  const std::string who = "server " + std::to_string(id);
  if (id == 0) return fail(Code::invalid, "server 0 is nobody");
  switch (change.kind) {
    case Change::Kind::add_learner:
      if (from.has(id)) return fail(Code::invalid, who + " is a member already");
      insert(to.learners, id);
      break;
    case Change::Kind::promote:
      if (!from.is_learner(id)) return fail(Code::invalid, who + " is no learner");
      erase(to.learners, id);
      insert(to.voters, id);
      break;
    case Change::Kind::demote:
      if (!from.is_voter(id)) return fail(Code::invalid, who + " is no voter");
      erase(to.voters, id);
      insert(to.learners, id);
      break;
    case Change::Kind::remove:
      if (!from.has(id)) return fail(Code::invalid, who + " is no member");
      erase(to.voters, id);
      erase(to.learners, id);
      break;
  }
  if (to.voters.empty()) return fail(Code::invalid, "no voter would be left");
  return to;
}

}  // namespace databridge::raft
