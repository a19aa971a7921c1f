#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The names in one directory, sorted by their bytes, in bounded memory: where they are more than the budget
 * holds, the directory is read again for each part. */

#include "archive/fs.h"

typedef struct NameList {
        char *arena; /* a type byte (DT_*), the name and a NUL, each */
        size_t used, allocated;
        uint32_t *offsets;
        size_t n, n_allocated, next;
        size_t budget;
        char *limit; /* names from here on are in a later part */
        char *last;  /* the last name of the part before */
} NameList;

#define NAME_LIST_NULL ((NameList){})

void name_list_done(NameList *l);
/* Reads the names of the directory fd from its beginning. */
int name_list_read(NameList *l, Fs *fs, int fd, size_t budget) _warn_unused_;
/* 1: the next name, valid until the list changes, and its DT_ type; 0: no more. fd as before. */
int name_list_peek(NameList *l, Fs *fs, int fd, const char **ret, unsigned char *ret_type) _warn_unused_;
/* Goes past the name that was peeked at. */
void name_list_skip(NameList *l);
size_t name_list_memory(const NameList *l);
