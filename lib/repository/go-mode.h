#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The mode of a node as Go's os.FileMode has it: permissions as everywhere, all else in bits of its own. */

#include "repository/tree-node.h"

/* mode: 07777. */
static inline uint32_t go_mode(TreeNodeType type, uint32_t mode) {
        static const uint32_t types[] = {
                [TREE_NODE_FILE] = 0,
                [TREE_NODE_DIRECTORY] = UINT32_C(1) << 31,
                [TREE_NODE_SYMLINK] = UINT32_C(1) << 27,
                [TREE_NODE_BLOCK] = UINT32_C(1) << 26,
                [TREE_NODE_CHARACTER] = UINT32_C(1) << 26 | UINT32_C(1) << 21,
                [TREE_NODE_FIFO] = UINT32_C(1) << 25,
                [TREE_NODE_SOCKET] = UINT32_C(1) << 24,
                [TREE_NODE_IRREGULAR] = UINT32_C(1) << 19,
        };

        assert(type >= 0 && type < _TREE_NODE_TYPE_MAX);

        return types[type] | (mode & 0777) | (mode & 06000) << 12 | (mode & 01000) << 11;
}

/* The permissions and set-id bits: 07777. */
static inline uint32_t go_mode_permissions(uint32_t go) {
        return (go & 0777) | (go >> 12 & 06000) | (go >> 11 & 01000);
}
