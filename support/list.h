// SPDX-License-Identifier: Apache-2.0
// Intrusive doubly linked list: circular, with a head that holds no data. Freestanding; no locks,
// no allocation. Get from a node to its owner with LIST_OWNER.
#ifndef SUPPORT_LIST_H
#define SUPPORT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "support/compiler.h"

typedef struct list_node {
    struct list_node *next, *prev;
} list_node_t;

#define LIST_OWNER(node, type, member) CONTAINER_OF(node, type, member)

// Safe against removal of the current node, not of the next one.
#define LIST_FOR_EACH(node, head)                                                                  \
    for (list_node_t *node = (head)->next, *node##_next = node->next; node != (head);              \
         node = node##_next, node##_next = node->next)

// Also makes a lone node "in no list", so that list_remove on it is harmless.
static inline void list_init(list_node_t *head) { head->next = head->prev = head; }

static inline bool list_is_empty(const list_node_t *head) { return head->next == head; }

static inline void list_insert_before(list_node_t *where, list_node_t *node) {
    node->prev = where->prev;
    node->next = where;
    where->prev->next = node;
    where->prev = node;
}

static inline void list_push_back(list_node_t *head, list_node_t *node) {
    list_insert_before(head, node);
}

static inline void list_push_front(list_node_t *head, list_node_t *node) {
    list_insert_before(head->next, node);
}

static inline void list_remove(list_node_t *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline list_node_t *list_first(const list_node_t *head) {
    return list_is_empty(head) ? NULL : head->next;
}

static inline list_node_t *list_pop_front(list_node_t *head) {
    list_node_t *node = list_first(head);
    if (node != NULL)
        list_remove(node);
    return node;
}

#endif
