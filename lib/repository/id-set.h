#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Names of files, with their sizes as listed: a listing that was made before any of the files is read or
 * removed, and that a later one is compared with. 40 bytes a file. */

#include "repository/repository.h"

typedef struct IdSetItem {
        Id id;
        uint64_t size;
} IdSetItem;

typedef struct IdSet {
        IdSetItem *items;
        size_t n, allocated;
} IdSet;

#define ID_SET_NULL ((IdSet){})
void id_set_done(IdSet *s);

int id_set_add(IdSet *s, const Id *id, uint64_t size) _warn_unused_;
/* After the last one was added, before the first is looked for. */
void id_set_sort(IdSet *s);
bool id_set_has(const IdSet *s, const Id *id);
/* Replaces the set by what the storage lists, sorted. After an error it says nothing. */
int id_set_list(IdSet *s, Repository *r, RepoFileType type, Failure *reterr_failure) _warn_unused_;
