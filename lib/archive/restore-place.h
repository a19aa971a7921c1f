#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where things are restored to: directories opened once, with ordinary resolution, as the administrator
 * named them. Everything below goes through these descriptors and follows no symbolic link. */

#include <sys/types.h>

#include "base/failure.h"
#include "base/macros.h"

/* Paths of the archive: relative, without '/' at either end; "" is the root. */

/* Whether path is directory itself or below it. */
bool path_is_within(const char *path, const char *directory);
/* The last name. */
const char *path_name(const char *path);
/* Bytes of the path of the directory that holds it; 0: the root. */
size_t path_parent_length(const char *path);
/* Makes a path of the archive of an absolute one. -EINVAL: not absolute, or with a "." or ".." in it. */
int path_from_absolute(const char *absolute, char **ret) _warn_unused_;

/* Opens path below fd ("" is fd itself), of any length. No symbolic link is followed, nothing leads out:
 * -ELOOP, -EXDEV. */
int place_open(int fd, const char *path, int flags) _warn_unused_;

typedef struct Place {
        char *prefix;  /* the path of the archive that is restored into this directory */
        char *path;    /* the directory, resolved */
        char *missing; /* what must be made below it first, with ordinary modes; or NULL */
        int fd;        /* of path, after place_make() of both */
        bool made;     /* by us */
} Place;

typedef struct Places {
        Place *items;
        size_t n;
} Places;

void places_done(Places *p);
/* Opens the directory at an absolute path, or the deepest one on the way to it that there is, as a new place
 * for prefix. What is missing is remembered (is_destination), or stays part of what is restored: prefix then
 * becomes shorter. */
int places_add(Places *p, const char *path, const char *prefix, bool is_destination,
               Failure *reterr_failure) _warn_unused_;
/* The place for a path of the archive, or NULL: it only leads to places. */
Place *places_find(const Places *p, const char *path);
/* Makes the directories that are missing. */
int place_make(Place *p, Failure *reterr_failure) _warn_unused_;
/* The path within the place. */
const char *place_relative(const Place *p, const char *path);
