// PersistentMap: an ordered map whose copies share structure. A copy costs one pointer. A change
// after a copy costs O(log n) new nodes, and the next changes nearby cost none. So a state that
// changes all the time can be published all the time.
//
// Changes are not thread-safe. Copies may be read on any thread while the original goes on
// changing. References stay valid while some copy that holds them lives unchanged.
#pragma once

#include <cstddef>
#include <utility>

#include "base/persistent_tree.h"

namespace databridge {

template <typename Key, typename Value>
class PersistentMap {
 public:
  PersistentMap() = default;
  PersistentMap(const PersistentMap& other) : root_(other.root_) {
    if (root_ != nullptr) Tree::hold(root_);
  }
  PersistentMap(PersistentMap&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
  PersistentMap& operator=(PersistentMap other) noexcept {
    std::swap(root_, other.root_);
    return *this;
  }
  ~PersistentMap() {
    if (root_ != nullptr) Tree::drop(root_);
  }

  size_t size() const { return root_ == nullptr ? 0 : root_->size; }
  bool empty() const { return root_ == nullptr; }

  const Value* find(const Key& key) const {
    const Node* node = root_;
    if (node == nullptr) return nullptr;
    while (!node->leaf) node = Tree::fork(node)->slots[Tree::slot_in_fork(node, key)];
    const uint32_t at = Tree::slot_in_leaf(node, key);
    if (at == node->count || key < Tree::leaf(node)->slots[at]->key) return nullptr;
    return &Tree::leaf(node)->slots[at]->value;
  }
  bool contains(const Key& key) const { return find(key) != nullptr; }

  // Inserts or replaces.
  void set(const Key& key, Value value) {
    if (root_ == nullptr) root_ = new typename Tree::Leaf;
    Tree::own(root_);
    if (Value* known = Tree::mine(root_, key)) {
      *known = std::move(value);
      return;
    }
    Node* right = Tree::insert(root_, new typename Tree::Item(key, std::move(value)));
    if (right != nullptr) grow(right);
  }

  // Calls `change(value)` on the value of a key. Returns false if there is none. `change` must not
  // read or change the map itself.
  template <typename Change>
  bool change(const Key& key, Change&& change_one) {
    if (!contains(key)) return false;
    change_one(*Tree::mine(Tree::own(root_), key));
    return true;
  }

  // Returns true if there was an item to erase. `key` may be a reference into this map.
  bool erase(const Key& key) {
    if (!contains(key)) return false;
    Tree::erase(Tree::own(root_), Key(key));
    while (root_ != nullptr && !root_->leaf && root_->count == 1) {
      Node* only = Tree::hold(Tree::fork(root_)->slots[0]);
      Tree::drop(std::exchange(root_, only));
    }
    if (root_->count == 0) Tree::drop(std::exchange(root_, nullptr));
    return true;
  }

  // Visits in order of key until `visit(key, value)` returns false.
  template <typename Visit>
  void visit(Visit&& visit_one) const {
    if (root_ != nullptr) walk(root_, nullptr, visit_one);
  }
  // The same, but begins with the first key that is not less than `from`.
  template <typename Visit>
  void visit_from(const Key& from, Visit&& visit_one) const {
    if (root_ != nullptr) walk(root_, &from, visit_one);
  }
  // Visits everything.
  template <typename Visit>
  void each(Visit&& visit_one) const {
    visit([&](const Key& key, const Value& value) {
      visit_one(key, value);
      return true;
    });
  }

  // The n-th item in order, counted from 0; nullptr past the end.
  std::pair<const Key*, const Value*> nth(size_t n) const {
    if (n >= size()) return {nullptr, nullptr};
    const Node* node = root_;
    while (!node->leaf) {
      uint32_t at = 0;
      for (; n >= Tree::fork(node)->slots[at]->size; ++at) n -= Tree::fork(node)->slots[at]->size;
      node = Tree::fork(node)->slots[at];
    }
    const auto* item = Tree::leaf(node)->slots[n];
    return {&item->key, &item->value};
  }

 private:
  using Tree = persistent::Tree<Key, Value>;
  using Node = typename Tree::Node;

  void grow(Node* right) {
    auto* root = new typename Tree::Fork;
    root->size = root_->size + right->size;
    root->count = 2;
    root->slots[0] = root_;
    root->slots[1] = right;
    Tree::refresh(root, 0);
    Tree::refresh(root, 1);
    root_ = root;
  }

  template <typename Visit>
  static bool walk(const Node* node, const Key* from, Visit& visit_one) {
    if (node->leaf) {
      for (uint32_t i = from ? Tree::slot_in_leaf(node, *from) : 0; i < node->count; ++i) {
        const auto* item = Tree::leaf(node)->slots[i];
        if (!visit_one(item->key, item->value)) return false;
      }
      return true;
    }
    for (uint32_t i = from ? Tree::slot_in_fork(node, *from) : 0; i < node->count; ++i) {
      if (!walk(Tree::fork(node)->slots[i], from, visit_one)) return false;
      from = nullptr;  // All later children lie above `from`.
    }
    return true;
  }

  Node* root_ = nullptr;
};

}  // namespace databridge
