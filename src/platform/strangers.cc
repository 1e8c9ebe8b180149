#include "platform/strangers.h"

#include <algorithm>

namespace databridge::platform {

void Strangers::failed(const std::string& host, Duration now) {
  if (now - second_ >= 1s) {
    failed_.clear();
    second_ = now;
  }
  if (failed_.size() < kRememberedMax || failed_.contains(host)) ++failed_[host];
}

bool Strangers::too_many(const std::string& host, Duration now) const {
  if (now - second_ >= 1s) return false;
  const auto found = failed_.find(host);
  return found != failed_.end() && found->second >= kFailuresMax;
}

bool Strangers::is_news(const std::string& host, const std::string& why, Duration now) {
  const auto found = said_.find({host, why});
  if (found != said_.end() && now - found->second < kSilence) return false;
  if (found == said_.end() && said_.size() >= kRememberedMax) {
    std::erase_if(said_, [&](const auto& entry) { return now - entry.second >= kSilence; });
    if (said_.size() >= kRememberedMax) return true;  // The limit of lines a second still holds.
  }
  said_[{host, why}] = now;
  return true;
}

}  // namespace databridge::platform
