#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How each kind of thing is listed: its path in the API, its columns. */

#include "cli/show.h"

typedef struct Entity {
        const char *noun; /* as on the command line */
        const char *path; /* in the API, with a fixed query where the list needs one */
        const char *singular;
        const Column *columns;
        size_t n_columns;
} Entity;

/* Never NULL for a noun of the command table that has list. */
const Entity *entity_find(const char *noun);
/* The path of the list without its query. */
int entity_path(const Entity *e, char **ret) _warn_unused_;
