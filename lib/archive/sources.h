#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The sources of a backup as a tree of names, so that one walk visits each path once, in order, whatever
 * lies within what. */

#include "base/failure.h"
#include "base/macros.h"

#define SOURCES_MAX 4096

typedef struct SourceNode SourceNode;

struct SourceNode {
        char *name;            /* "" at the root */
        bool is_source;        /* else it only leads to some */
        size_t index;          /* of a source: its number */
        SourceNode **children; /* sorted by the bytes of their names */
        size_t n_children;
};

typedef struct Sources {
        SourceNode *root;
        char **paths; /* normalized, without duplicates; numbers are indices */
        size_t n_paths;
} Sources;

#define SOURCES_NULL ((Sources){})

/* Takes absolute paths without ".."; repeated and trailing slashes and "." are taken out. */
int sources_init(Sources *s, char *const *paths, Failure *reterr_failure) _warn_unused_;
void sources_done(Sources *s);
const SourceNode *source_node_child(const SourceNode *node, const char *name);
