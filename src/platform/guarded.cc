#include "platform/guarded.h"

#include "platform/process.h"

namespace databridge::platform {
namespace {

constexpr size_t kGuardedMax = 1024;

}  // namespace

void Guarded::met(const env::Greeting& peer, bool dialled, const KnownPeers& known) {
  if (peer.guardian.empty()) return;
  if (processes_.size() >= kGuardedMax) {
    std::erase_if(processes_, [&](const auto& entry) { return !known.contains(entry.first); });
    if (processes_.size() >= kGuardedMax) return;
  }
  const Process now{peer.boot, peer.start, peer.guardian};
  const auto [met, fresh] = processes_.try_emplace(peer.incarnation, now);
  if (!fresh && (dialled || peer.boot > met->second.boot)) met->second = now;
}

bool Guarded::proves(const Reaped& report) const {
  const auto met = processes_.find(report.process.incarnation);
  return met != processes_.end() && met->second.boot == report.process.boot &&
         met->second.start == report.process.start && met->second.hash == sha256(report.secret);
}

}  // namespace databridge::platform
