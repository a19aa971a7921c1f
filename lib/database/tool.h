#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where the programs of databases are. */

typedef struct ToolFinder {
        /* The path of this one, or -ENOENT. Allocates. */
        int (*find)(void *userdata, const char *name, char **ret);
        void *userdata;
        /* Patterns of directories that have one version of all programs each, which come first; NULL: none.
         * NULL ends them. */
        char *const *versions;
} ToolFinder;
