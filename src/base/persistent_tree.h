// The B+tree of PersistentMap: how it inserts and erases items.
//
// - Owns: splits and merges. Merging is lazy: a node may stay half empty until it fits into its
//   neighbour.
// - Hides: everything; only base/persistent_map.h uses this file.
#pragma once

#include "base/persistent_nodes.h"

namespace databridge::persistent {

template <typename Key, typename Value>
struct Tree : Nodes<Key, Value> {
  using Parts = Nodes<Key, Value>;
  using Parts::append;
  using Parts::drop;
  using Parts::fork;
  using Parts::leaf;
  using Parts::own;
  using Parts::refresh;
  using Parts::slot_in_fork;
  using Parts::slot_in_leaf;
  using typename Parts::Fork;
  using typename Parts::Item;
  using typename Parts::Leaf;
  using typename Parts::Node;

  // The value of the key in an owned node, ready to be changed; nullptr if the key is not there.
  static Value* mine(Node* node, const Key& key) {
    if (!node->leaf) {
      const uint32_t at = slot_in_fork(node, key);
      Value* value = mine(own(fork(node)->slots[at]), key);
      refresh(node, at);
      return value;
    }
    const uint32_t at = slot_in_leaf(node, key);
    if (at == node->count || key < leaf(node)->slots[at]->key) return nullptr;
    return &own(leaf(node)->slots[at])->value;
  }

  // Inserts a new item into an owned node. If the node was split, returns its new right neighbour.
  static Node* insert(Node* node, Item* item) {
    if (node->leaf) {
      const uint32_t at = slot_in_leaf(node, item->key);
      Node* right = nullptr;
      Leaf* into = leaf(room(node, at, right));
      const uint32_t slot = into == node ? at : at - node->count;
      open(into->slots, into->count, slot);
      into->slots[slot] = item;
      into->count += 1;
      into->size += 1;
      return right;
    }
    const uint32_t at = slot_in_fork(node, item->key);
    Node* more = insert(own(fork(node)->slots[at]), item);
    node->size += 1;
    refresh(node, at);
    if (more == nullptr) return nullptr;
    node->size -= more->size;
    Node* right = nullptr;
    Fork* into = fork(room(node, at + 1, right));
    const uint32_t slot = into == node ? at + 1 : at + 1 - node->count;
    open(into->slots, into->count, slot);
    open(into->first, into->count, slot);
    into->slots[slot] = more;
    into->count += 1;
    into->size += more->size;
    refresh(into, slot);
    return right;
  }

  // Erases the item of the key from an owned node that has it.
  static void erase(Node* node, const Key& key) {
    node->size -= 1;
    if (node->leaf) {
      const uint32_t at = slot_in_leaf(node, key);
      drop(leaf(node)->slots[at]);
      close(leaf(node)->slots, node->count, at);
      node->count -= 1;
      return;
    }
    const uint32_t at = slot_in_fork(node, key);
    Node* child = own(fork(node)->slots[at]);
    erase(child, key);
    if (child->count == 0) {
      drop(child);
      close(fork(node)->slots, node->count, at);
      close(fork(node)->first, node->count, at);
      node->count -= 1;
      return;
    }
    refresh(node, at);
    if (at > 0) merge(node, at - 1);
  }

 private:
  template <typename Slot>
  static void open(Slot* slots, uint32_t count, uint32_t at) {
    std::copy_backward(slots + at, slots + count, slots + count + 1);
  }
  template <typename Slot>
  static void close(Slot* slots, uint32_t count, uint32_t at) {
    std::copy(slots + at + 1, slots + count, slots + at);
  }
  // The node that gets the new slot `at`: this node, or a new one, which becomes its `right`
  // neighbour. If the slot is at the end, this node stays full: keys often arrive in order.
  static Node* room(Node* node, uint32_t at, Node*& right) {
    if (node->count < kWidth) return node;
    right = node->leaf ? static_cast<Node*>(new Leaf) : new Fork;
    const uint32_t stay = at == kWidth ? kWidth : kWidth / 2;
    append(right, node, stay, false);
    node->count = stay;
    node->size -= right->size;
    return at > stay || stay == kWidth ? right : node;
  }

  // Merges the right neighbour of child `at` into that child, if both together stay half full.
  static void merge(Node* node, uint32_t at) {
    Node*& left = fork(node)->slots[at];
    Node*& next = fork(node)->slots[at + 1];
    if (left->count + next->count > kWidth / 2) return;
    append(own(left), next, 0, true);
    drop(next);
    close(fork(node)->slots, node->count, at + 1);
    close(fork(node)->first, node->count, at + 1);
    node->count -= 1;
    refresh(node, at);
  }
};

}  // namespace databridge::persistent
