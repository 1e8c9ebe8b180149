// PersistentMap: an ordered map whose copies share structure. A copy costs one pointer; a change
// costs O(log n) new nodes, so a state that changes all the time can be published all the time.
//
// A treap (Seidel and Aragon, 1996) whose priorities are hashes of the keys: the shape depends on
// the content alone, not on the order of changes. Not thread-safe to change; copies may be read on
// any thread while the original goes on changing. References stay valid while some copy that holds
// them lives unchanged.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace databridge {

template <typename Key, typename Value, typename Hash = std::hash<Key>>
class PersistentMap {
 public:
  size_t size() const { return size_of(root_); }
  bool empty() const { return root_ == nullptr; }

  const Value* find(const Key& key) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      if (key < node->key) {
        node = node->left.get();
      } else if (node->key < key) {
        node = node->right.get();
      } else {
        return &node->value;
      }
    }
    return nullptr;
  }
  bool contains(const Key& key) const { return find(key) != nullptr; }

  // Inserts or replaces.
  void set(const Key& key, Value value) { root_ = insert(root_, key, std::move(value)); }

  // Calls `change(value)` on the value of a key; false if there is none.
  template <typename Change>
  bool change(const Key& key, Change&& change_one) {
    const Value* found = find(key);
    if (found == nullptr) return false;
    Value value = *found;
    change_one(value);
    set(key, std::move(value));
    return true;
  }

  // True if there was something to erase.
  bool erase(const Key& key) {
    if (!contains(key)) return false;
    root_ = without(root_, key);
    return true;
  }

  // Visits in order of key until `visit(key, value)` returns false.
  template <typename Visit>
  void visit(Visit&& visit_one) const {
    walk(root_.get(), visit_one);
  }
  // The same, from the first key that is not less than `from`.
  template <typename Visit>
  void visit_from(const Key& from, Visit&& visit_one) const {
    walk_from(root_.get(), from, visit_one);
  }
  // Visits everything.
  template <typename Visit>
  void each(Visit&& visit_one) const {
    visit([&](const Key& key, const Value& value) {
      visit_one(key, value);
      return true;
    });
  }

  // The n-th in order, from 0; nullptr past the end.
  std::pair<const Key*, const Value*> nth(size_t n) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      const size_t before = size_of(node->left);
      if (n < before) {
        node = node->left.get();
      } else if (n == before) {
        return {&node->key, &node->value};
      } else {
        n -= before + 1;
        node = node->right.get();
      }
    }
    return {nullptr, nullptr};
  }

 private:
  struct Node;
  using Link = std::shared_ptr<const Node>;  // Shared by all the copies that have the node.
  struct Node {
    Key key;
    Value value;
    uint64_t priority;
    size_t size;
    Link left, right;
  };

  static size_t size_of(const Link& node) { return node ? node->size : 0; }
  static uint64_t priority_of(const Key& key) {
    uint64_t z = static_cast<uint64_t>(Hash{}(key)) + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  static Link make(const Key& key, Value value, uint64_t priority, Link left, Link right) {
    const size_t size = 1 + size_of(left) + size_of(right);
    return std::make_shared<const Node>(
        Node{key, std::move(value), priority, size, std::move(left), std::move(right)});
  }
  static Link with(const Node& node, Link left, Link right) {
    return make(node.key, node.value, node.priority, std::move(left), std::move(right));
  }
  static bool above(const Node& a, const Node& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.key < b.key;
  }

  static Link insert(const Link& node, const Key& key, Value value) {
    if (!node) return make(key, std::move(value), priority_of(key), nullptr, nullptr);
    if (key < node->key) {
      Link left = insert(node->left, key, std::move(value));
      if (!above(*left, *node)) return with(*node, std::move(left), node->right);
      return with(*left, left->left, with(*node, left->right, node->right));
    }
    if (node->key < key) {
      Link right = insert(node->right, key, std::move(value));
      if (!above(*right, *node)) return with(*node, node->left, std::move(right));
      return with(*right, with(*node, node->left, right->left), right->right);
    }
    return make(key, std::move(value), node->priority, node->left, node->right);
  }

  static Link merge(const Link& low, const Link& high) {
    if (!low) return high;
    if (!high) return low;
    if (above(*low, *high)) return with(*low, low->left, merge(low->right, high));
    return with(*high, merge(low, high->left), high->right);
  }
  static Link without(const Link& node, const Key& key) {
    if (key < node->key) return with(*node, without(node->left, key), node->right);
    if (node->key < key) return with(*node, node->left, without(node->right, key));
    return merge(node->left, node->right);
  }

  template <typename Visit>
  static bool walk(const Node* node, Visit& visit) {
    if (node == nullptr) return true;
    return walk(node->left.get(), visit) && visit(node->key, node->value) &&
           walk(node->right.get(), visit);
  }
  template <typename Visit>
  static bool walk_from(const Node* node, const Key& from, Visit& visit) {
    if (node == nullptr) return true;
    if (node->key < from) return walk_from(node->right.get(), from, visit);
    return walk_from(node->left.get(), from, visit) && visit(node->key, node->value) &&
           walk(node->right.get(), visit);
  }

  Link root_;
};

}  // namespace databridge
