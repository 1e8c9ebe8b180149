// The nodes of PersistentMap: a B+tree whose nodes count their holders. A node with one holder is
// changed in place; a shared node is copied first.
//
// - Owns: references, copies, and searches within a node.
// - Threads: counts are atomic, and the holders of a shared node only read it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace databridge::persistent {

inline constexpr uint32_t kWidth = 32;

template <typename Key, typename Value>
struct Nodes {
  struct Item {
    std::atomic<uint32_t> holders{1};
    const Key key;
    Value value;
    Item(const Key& k, Value v) : key(k), value(std::move(v)) {}
  };
  struct Node {
    std::atomic<uint32_t> holders{1};
    const bool leaf;
    uint32_t count = 0;  // The slots in use.
    size_t size = 0;     // The items below this node.
    explicit Node(bool is_leaf) : leaf(is_leaf) {}
  };
  struct Leaf : Node {
    Item* slots[kWidth];
    Leaf() : Node(true) {}
  };
  // A fork also keeps the first item below each child, so that a search reads no child that it does
  // not enter.
  struct Fork : Node {
    Node* slots[kWidth];
    const Item* first[kWidth];
    Fork() : Node(false) {}
  };

  static Leaf* leaf(Node* node) { return static_cast<Leaf*>(node); }
  static const Leaf* leaf(const Node* node) { return static_cast<const Leaf*>(node); }
  static Fork* fork(Node* node) { return static_cast<Fork*>(node); }
  static const Fork* fork(const Node* node) { return static_cast<const Fork*>(node); }

  template <typename Held>
  static Held* hold(Held* held) {
    held->holders.fetch_add(1, std::memory_order_relaxed);
    return held;
  }
  static void drop(Item* item) {
    if (item->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete item;
  }
  static void drop(Node* node) {
    if (node->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (node->leaf) {
      for (uint32_t i = 0; i < node->count; ++i) drop(leaf(node)->slots[i]);
      delete leaf(node);
    } else {
      for (uint32_t i = 0; i < node->count; ++i) drop(fork(node)->slots[i]);
      delete fork(node);
    }
  }
  // True if the caller is the only holder. Then no other holder can appear, unless the caller makes
  // one.
  template <typename Held>
  static bool alone(const Held* held) {
    return held->holders.load(std::memory_order_acquire) == 1;
  }

  // Appends the slots of `other`, beginning with slot `from`. `share`: `other` keeps these slots
  // too.
  static void append(Node* node, Node* other, uint32_t from, bool share) {
    for (uint32_t i = from; i < other->count; ++i, ++node->count) {
      if (node->leaf) {
        Item* item = leaf(other)->slots[i];
        leaf(node)->slots[node->count] = share ? hold(item) : item;
        node->size += 1;
      } else {
        Node* child = fork(other)->slots[i];
        fork(node)->slots[node->count] = share ? hold(child) : child;
        fork(node)->first[node->count] = fork(other)->first[i];
        node->size += child->size;
      }
    }
  }

  // Makes sure that this tree is the only holder of the node or item in a slot, so that it may be
  // changed. A shared one is replaced by a copy. The slot must belong to an owned node, or be the
  // root.
  static Node* own(Node*& node) {
    if (alone(node)) return node;
    Node* copy = node->leaf ? static_cast<Node*>(new Leaf) : new Fork;
    append(copy, node, 0, true);
    drop(node);
    return node = copy;
  }
  static Item* own(Item*& item) {
    if (alone(item)) return item;
    Item* copy = new Item(item->key, item->value);
    drop(item);
    return item = copy;
  }

  // The slot of the first item that is not less than `key`.
  static uint32_t slot_in_leaf(const Node* node, const Key& key) {
    const auto* slots = leaf(node)->slots;
    const auto less = [](const Item* item, const Key& k) { return item->key < k; };
    return static_cast<uint32_t>(std::lower_bound(slots, slots + node->count, key, less) - slots);
  }
  // The slot of the child that has `key`, or that would have it.
  static uint32_t slot_in_fork(const Node* node, const Key& key) {
    const auto* first = fork(node)->first;
    const auto less = [](const Key& k, const Item* item) { return k < item->key; };
    const auto above = std::upper_bound(first + 1, first + node->count, key, less);
    return static_cast<uint32_t>(above - first) - 1;
  }

  // Reads the first item below a child again. Each change of a child must call it.
  static void refresh(Node* node, uint32_t at) {
    const Node* child = fork(node)->slots[at];
    fork(node)->first[at] = child->leaf ? leaf(child)->slots[0] : fork(child)->first[0];
  }
};

}  // namespace databridge::persistent
