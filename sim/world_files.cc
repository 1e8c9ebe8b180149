// Files of users in the simulated world, and the programs that write them.
#include <algorithm>

#include "base/check.h"
#include "sim/user_programs.h"
#include "sim/world_machine.h"

namespace databridge::sim {

SimFiles::File::File(std::shared_ptr<Numbers> of, uint64_t born)
    : numbers(std::move(of)),
      number(numbers->free.empty() ? ++numbers->last : *numbers->free.begin()),
      birth(born) {
  numbers->free.erase(number);
}

class SimFiles::Open final : public env::OpenFile {
 public:
  Open(const SimFiles& all, std::string path, std::string where, std::shared_ptr<File> file)
      : all_(all),
        path_(std::move(path)),
        where_(std::move(where)),
        file_(std::move(file)),
        life_(all.life_) {
    ++file_->open_in_life[life_];
  }
  ~Open() override { --file_->open_in_life[life_]; }

  Result<env::FileInfo> stat() override {
    if (auto bad = all_.fails(path_); !bad) return tl::make_unexpected(bad.error());
    return all_.info(path_, *file_);
  }
  Result<std::string> read(uint64_t offset, size_t length) override {
    if (auto bad = all_.fails(path_); !bad) return tl::make_unexpected(bad.error());
    if (offset >= file_->content.size()) return std::string();
    return file_->content.substr(offset, length);
  }
  Result<uint64_t> data_after(uint64_t offset) override {
    return std::min(file_->content.find_first_not_of('\0', offset), file_->content.size());
  }
  Result<std::string> where() override { return where_; }

 private:
  const SimFiles& all_;
  std::string path_;
  std::string where_;
  std::shared_ptr<File> file_;  // Its names and all that have it open share it.
  uint64_t life_;
};

// A process that has ended keeps nothing open.
void SimFiles::keep(const std::string& owner, std::unique_ptr<env::OpenFile> file) {
  if (world_.machines_[node_]->life == life_) kept_[owner].push_back(std::move(file));
}

Result<void> SimFiles::fails(const std::string& path) const {
  if (!world_.random().chance(world_.faults_.file_error)) return {};
  return fail(Code::io, path + ": simulated error");
}

Result<env::FileInfo> SimFiles::stat(const std::string& path) {
  if (auto bad = fails(path); !bad) return tl::make_unexpected(bad.error());
  const auto found = names_.find(real(path));
  if (found == names_.end()) return fail(Code::not_found, path + " is not there");
  return info(path, *found->second);
}

Result<std::unique_ptr<env::OpenFile>> SimFiles::open(const std::string& path) {
  if (auto bad = fails(path); !bad) return tl::make_unexpected(bad.error());
  const auto found = names_.find(real(path));
  if (found == names_.end()) return fail(Code::not_found, path + " is not there");
  return std::make_unique<Open>(*this, path, found->first, found->second);
}

Result<std::string> SimFiles::read(const std::string& path, uint64_t offset, size_t length) {
  auto file = open(path);
  if (!file) return tl::make_unexpected(file.error());
  return (*file)->read(offset, length);
}

Result<std::vector<env::FileInfo>> SimFiles::list(const std::string& directory) {
  if (auto bad = fails(directory); !bad) return tl::make_unexpected(bad.error());
  std::vector<env::FileInfo> all;
  for (const auto& [path, file] : names_) {
    if (path.rfind(directory + "/", 0) != 0) continue;
    const auto target = names_.find(real(path));
    if (target != names_.end()) {
      all.push_back(info(path, *target->second));
    } else {
      all.push_back({.path = path, .host = machine(), .trouble = path + " leads nowhere"});
    }
  }
  return all;
}

std::string SimFiles::real(const std::string& path) const {
  const auto found = names_.find(path);
  const bool is_link = found != names_.end() && !found->second->leads_to.empty();
  return is_link ? found->second->leads_to : path;
}

SimFiles::File& SimFiles::made(const std::string& path) {
  auto& file = names_[path];
  file = std::make_shared<File>(world_.machines_[node_]->numbers, world_.next_birth());
  return *file;
}

// An error may come although the file was written.
Result<void> SimFiles::write(const std::string& path, const std::string& content) {
  auto bad = fails(path);
  if (!bad && world_.random().chance(0.5)) return bad;
  world_.on_file(node_, content, bad.has_value());
  made(path).content = content;
  return bad;
}

Result<void> SimFiles::create(const std::string& path, const std::string& content) {
  if (names_.contains(path)) return fail(Code::conflict, path + " is there already");
  return write(path, content);
}

Result<void> SimFiles::append(const std::string& path, BytesView content) {
  const auto found = names_.find(real(path));
  (found == names_.end() ? made(real(path)) : *found->second).content += content;
  return {};
}

Result<void> SimFiles::remove(const std::string& path) {
  names_.erase(path);
  return {};
}

env::FileInfo SimFiles::info(const std::string& path, const File& file) const {
  env::FileInfo info;
  info.path = path;
  info.host = machine();
  info.device = 1;
  info.inode = file.number;
  info.birth = file.birth;
  info.size = file.content.size();
  return info;
}

UserPrograms::UserPrograms(World& world, World::NodeIndex machine)
    : files_(std::make_unique<SimFiles>(world, machine, world.machines_[machine]->life,
                                        world.machines_[machine]->files)) {}

UserPrograms::~UserPrograms() = default;

uint64_t UserPrograms::life() const { return files_->life_; }

void UserPrograms::append(const std::string& path, const std::string& text) {
  CHECK(files_->append(path, text).has_value());
}

void UserPrograms::rename(const std::string& from, const std::string& to) {
  files_->names_[to] = files_->names_.at(from);
  files_->names_.erase(from);
}

void UserPrograms::remove(const std::string& path) { CHECK(files_->names_.erase(path) == 1); }

void UserPrograms::link(const std::string& path, const std::string& target) {
  files_->made(path).leads_to = target;
}

uint64_t UserPrograms::empty(const std::string& path) {
  return std::exchange(files_->names_.at(path)->content, {}).size();
}

bool UserPrograms::exists(const std::string& path) const { return files_->names_.contains(path); }

bool UserPrograms::is_open(const std::string& path) const {
  const auto found = files_->names_.find(path);
  return found != files_->names_.end() && found->second->open_in_life[files_->life_] > 0;
}

}  // namespace databridge::sim
