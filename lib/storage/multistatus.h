#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The answer of a WebDAV server to PROPFIND (RFC 4918, section 9.1): what is there, one response a resource.
 * Bytes of a stranger: nothing is trusted but that it is said. */

#include "base/macros.h"
#include "base/times.h"

typedef struct DavResource {
        char *path; /* of its address, decoded: begins with '/', has no NUL; directories may end in '/' */
        bool is_directory;
        bool is_gone; /* the server lists it and says that it is not there */
        bool has_size;
        uint64_t size;
        usec_t modified; /* 0: not said */
        bool has_quota;
        uint64_t free_bytes, used_bytes;
} DavResource;

/* Gives 0 to go on; anything else ends the reading, which gives it back. */
typedef int (*DavResourceFunc)(void *userdata, const DavResource *resource);

/* -EBADMSG: not such an answer. */
int multistatus_read(const void *data, size_t n, DavResourceFunc func, void *userdata) _warn_unused_;

/* The path of an address ("https://host/a%20b" or "/a%20b") without its escapes: allocated. -EBADMSG. */
int dav_decode_path(const char *href, char **ret) _warn_unused_;
