#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One object of a file system as an archive keeps it: metadata without content. Writers and readers of tar,
 * the listing and the restore share it. Paths are raw bytes without NUL, relative to the root of the file
 * system ("srv/data/x", no '/' at either end); the root itself is "". */

#include <sys/types.h>

#include "base/macros.h"

typedef enum MemberType {
        MEMBER_FILE,
        MEMBER_DIRECTORY,
        MEMBER_SYMLINK,
        MEMBER_HARDLINK, /* to an earlier member of the same archive */
        MEMBER_FIFO,
        MEMBER_CHARACTER,
        MEMBER_BLOCK,
        _MEMBER_TYPE_MAX,
        _MEMBER_TYPE_INVALID = -22, /* -EINVAL */
} MemberType;

/* "file", "directory", "symlink", "hardlink", "fifo", "character", "block". */
DECLARE_STRING_TABLE(member_type, MemberType);

typedef struct Xattr {
        char *name; /* "user.comment" */
        void *value;
        size_t size;
} Xattr;

/* Data of a sparse file: all else up to the size is a hole. */
typedef struct Extent {
        uint64_t offset;
        uint64_t size;
} Extent;

typedef struct Member {
        MemberType type;
        char *path;
        char *target;  /* of symlinks: as it is; of hard links: the path of the earlier member; else NULL */
        uint32_t mode; /* permissions and set-id bits: 07777 */
        uint64_t uid, gid;
        char *user, *group; /* NULL: the number has no name */
        int64_t mtime_sec;
        uint32_t mtime_nsec;
        uint64_t size; /* of files: as stat gives it, holes included */
        uint32_t major, minor;
        Xattr *xattrs; /* without ACLs */
        size_t n_xattrs;
        char *acl_access; /* text as acl_from_text() takes it, numeric ids; or NULL */
        char *acl_default;
        bool sparse;
        Extent *extents; /* of sparse files: ascending, not empty, not touching */
        size_t n_extents;
} Member;

#define MEMBER_NULL ((Member){ .type = MEMBER_FILE })

void member_done(Member *m);
/* The bytes of content that are stored: the size, or the sum of the extents; 0 for all but files. */
uint64_t member_stored_size(const Member *m);
