/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/sources.h"
#include "base/alloc.h"
#include "base/text.h"

static SourceNode *node_free(SourceNode *root) {
        /* Depth is that of a path a client wrote: no recursion. Children are moved up until none is left. */
        while (root) {
                SourceNode *node = root;

                if (node->n_children == 0) {
                        free(node->name);
                        free(node->children);
                        free(node);
                        return NULL;
                }
                while (node->children[node->n_children - 1]->n_children > 0)
                        node = node->children[node->n_children - 1];
                node->n_children--;
                free(node->children[node->n_children]->name);
                free(node->children[node->n_children]->children);
                free(node->children[node->n_children]);
        }
        return NULL;
}

void sources_done(Sources *s) {
        assert(s);

        s->root = node_free(s->root);
        s->paths = strv_free(s->paths);
        s->n_paths = 0;
}

/* Where name is or would be among the children. */
static size_t child_place(const SourceNode *node, const char *name, bool *ret_found) {
        size_t low = 0, high = node->n_children;

        while (low < high) {
                size_t middle = (low + high) / 2;
                int c = strcmp(node->children[middle]->name, name);

                if (c == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (c < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = false;
        return low;
}

const SourceNode *source_node_child(const SourceNode *node, const char *name) {
        bool found;
        size_t i;

        if (!node)
                return NULL;
        i = child_place(node, name, &found);
        return found ? node->children[i] : NULL;
}

static int node_new(const char *name, size_t n, SourceNode **ret) {
        SourceNode *node;

        node = new0(SourceNode, 1);
        if (!node)
                return -ENOMEM;
        node->name = memdup0(name, n);
        if (!node->name) {
                free(node);
                return -ENOMEM;
        }
        *ret = node;
        return 0;
}

static int child_get(SourceNode *node, const char *part, size_t n, SourceNode **ret) {
        _cleanup_(freep) char *name = memdup0(part, n);
        SourceNode **grown, *child;
        bool found;
        size_t i;
        int r;

        assert(node);

        if (!name)
                return -ENOMEM;
        i = child_place(node, name, &found);
        if (found) {
                *ret = node->children[i];
                return 0;
        }
        grown = reallocarray(node->children, node->n_children + 1, sizeof(SourceNode *));
        if (!grown)
                return -ENOMEM;
        node->children = grown;
        r = node_new(part, n, &child);
        if (r < 0)
                return r;
        memmove(node->children + i + 1, node->children + i, (node->n_children - i) * sizeof(SourceNode *));
        node->children[i] = child;
        node->n_children++;
        *ret = child;
        return 0;
}

/* Appends the normalized form to paths where it is a new one. */
static int path_add(Sources *s, const char *path) {
        _cleanup_(freep) char *clean = malloc(strlen(path) + 2);
        SourceNode *node = s->root;
        size_t size = 0;
        int r;

        if (!clean)
                return -ENOMEM;
        if (path[0] != '/')
                return -EINVAL;
        for (const char *p = path; *p;) {
                size_t n = strcspn(p, "/");

                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return -EINVAL;
                if (n > 0 && !(n == 1 && p[0] == '.')) {
                        clean[size++] = '/';
                        memcpy(clean + size, p, n);
                        size += n;
                        r = child_get(node, p, n, &node);
                        if (r < 0)
                                return r;
                }
                p += n;
                p += *p == '/';
        }
        if (size == 0)
                clean[size++] = '/';
        clean[size] = 0;
        if (node->is_source)
                return 0;
        node->is_source = true;
        node->index = s->n_paths;
        r = strv_extend(&s->paths, clean);
        if (r < 0)
                return r;
        s->n_paths++;
        return 0;
}

int sources_init(Sources *s, char *const *paths, Failure *reterr_failure) {
        int r;

        assert(s);

        *s = SOURCES_NULL;
        if (strv_length(paths) == 0)
                return failure_set(reterr_failure, -EINVAL, "SOURCE_INVALID",
                                   "There is no path to back up.");
        if (strv_length(paths) > SOURCES_MAX)
                return failure_set(reterr_failure, -E2BIG, "SOURCE_INVALID",
                                   "More than %d paths to back up.", SOURCES_MAX);
        r = node_new("", 0, &s->root);
        if (r < 0)
                return r;
        STRV_FOREACH(p, paths) {
                r = path_add(s, *p);
                if (r == -EINVAL)
                        return failure_set(reterr_failure, r, "SOURCE_INVALID",
                                           "The path '%s' to back up is not absolute, or has '..' in it.",
                                           *p);
                if (r < 0)
                        return r;
        }
        return 0;
}
