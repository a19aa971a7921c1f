#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* From what the system says of a file to a Member: owners' names, extended attributes, ACLs, holes. */

#include "archive/fs.h"
#include "archive/member.h"

/* Names of owners, looked up once each (the directory service may be far away). */
typedef struct OwnerNames OwnerNames;

int owner_names_new(OwnerNames **ret) _warn_unused_;
OwnerNames *owner_names_free(OwnerNames *o);
/* NULL: no name. Valid until the next call. */
const char *owner_names_user(OwnerNames *o, uint32_t uid);
const char *owner_names_group(OwnerNames *o, uint32_t gid);

DEFINE_CLEANUP(OwnerNames *, owner_names_free);

/* Reads the attributes of name in dirfd (or of dirfd, for ""). Where some of them could
 * not be read the rest is there, and the first error is the result. -EOPNOTSUPP is no error. acl_text: ACLs
 * become text, else they are attributes like the others. buf has METADATA_BUFFER bytes. */
#define METADATA_BUFFER (2 * (64U << 10))
int metadata_xattrs(Fs *fs, int dirfd, const char *name, bool acl_text, char *buf,
                    Member *m) _warn_unused_;

/* The kernel's form of an ACL (version 2) as text with numeric ids. -EBADMSG. */
int acl_text_from_xattr(const void *value, size_t n, char **ret) _warn_unused_;

/* Where the data of a file of this size is. More than max extents: holes between the closest are taken as
 * data. Sets m->sparse and the extents unless there is no hole. */
int metadata_extents(Fs *fs, int fd, uint64_t size, size_t max, Member *m) _warn_unused_;

/* Takes holes smaller than this as data. m->size is set. */
void metadata_fill_holes(Member *m, uint64_t hole_min);
