#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What may be larger than one object of a storage: volumes. The first has the key itself, the others have
 * ".001", ".002" … behind it, and 'cat' joins them in this order. Nearly everything has one volume. All but
 * the last are of one size, which is a multiple of VOLUME_UNIT; so what is not of such a size has no further
 * ones, and nobody has to ask.
 *
 * A VolumeList says where volumes end and takes their digests; a VolumesPut writes them. */

#include "crypto/digest.h"
#include "storage/storage.h"

/* Of all volumes of one thing. */
#define VOLUMES_MAX 1000
#define VOLUME_UNIT STORAGE_OBJECT_UNIT
#define VOLUME_SUFFIX_SIZE sizeof ".001"

/* What stands behind the key: "", ".001". Gives buf. */
char *volume_suffix(size_t number, char buf[static VOLUME_SUFFIX_SIZE]);
/* The reverse. -EINVAL: not the suffix of a volume. */
int volume_suffix_parse(const char *suffix, size_t *ret) _warn_unused_;
/* Allocates. */
int volume_key(const char *key, size_t number, char **ret) _warn_unused_;

/* --- Where volumes end --------------------------------------------------------------------------------- */

typedef struct Volume {
        uint64_t size;
        uint8_t sha256[SHA256_SIZE];
} Volume;

typedef struct VolumeList {
        uint64_t limit;  /* of one volume */
        uint64_t size;   /* of all */
        uint64_t filled; /* of the one that is being written */
        Volume *volumes; /* that have ended */
        size_t n, allocated;
        Sha256 *whole, *current; /* the latter: of all but the first */
} VolumeList;

#define VOLUME_LIST_NULL ((VolumeList){})

/* limit: a multiple of VOLUME_UNIT, or UINT64_MAX. */
int volume_list_init(VolumeList *l, uint64_t limit) _warn_unused_;
void volume_list_done(VolumeList *l);
/* Begins anew, with the same limit. */
int volume_list_reset(VolumeList *l) _warn_unused_;
/* How many of n bytes the volume that is being written takes; 0 where n is not: it is full, and the next one
 * is begun with volume_list_next(). */
size_t volume_list_room(const VolumeList *l, size_t n);
/* No more than there is room for. */
int volume_list_add(VolumeList *l, const void *p, size_t n) _warn_unused_;
/* Ends a volume for another one; *ret is valid until the next call. -EFBIG with VOLUMES_MAX of them. */
int volume_list_next(VolumeList *l, const Volume **ret) _warn_unused_;
/* Ends the last volume; the digest is that of all of them together. */
int volume_list_finish(VolumeList *l, uint8_t ret[static SHA256_SIZE]) _warn_unused_;

/* --- Writing ------------------------------------------------------------------------------------------ */

/* Where a storage can seal a put, nothing is under its name before the commit, which makes the first volume
 * visible last: who sees that one has all of them. Where it cannot, a volume is there when it is full. What
 * was committed is removed again where the rest fails, as far as the storage lets us. */
typedef struct VolumesPut VolumesPut;

/* As storage_put_new(). */
int volumes_put_new(Storage *s, const char *key, VolumesPut **ret, Failure *reterr_failure) _warn_unused_;
int volumes_put_write(VolumesPut *p, const void *data, size_t n, Failure *reterr_failure) _warn_unused_;
/* What follows is in the next volume; the digest is of the one that ends here. */
int volumes_put_next(VolumesPut *p, const uint8_t sha256[static SHA256_SIZE],
                     Failure *reterr_failure) _warn_unused_;
/* The digest is of the last volume. */
int volumes_put_commit(VolumesPut *p, const uint8_t sha256[static SHA256_SIZE],
                       Failure *reterr_failure) _warn_unused_;
/* Removes what was committed, after a commit as well. */
void volumes_put_undo(VolumesPut *p);
/* Undoes what has no commit. */
VolumesPut *volumes_put_free(VolumesPut *p);

DEFINE_CLEANUP(VolumesPut *, volumes_put_free);

/* --- Reading ------------------------------------------------------------------------------------------ */

typedef struct Volumes {
        size_t n;
        uint64_t each; /* of all but the last */
        uint64_t size; /* of all */
        bool uneven;   /* one that is not the last has another size: it is damaged */
} Volumes;

/* One object of this size. */
Volumes volumes_of_one(uint64_t size);
/* Whether an object of this size may have another volume behind it. */
bool volumes_may_follow(uint64_t size);
/* One more, of this size. */
void volumes_add(Volumes *v, uint64_t size);
/* Asks the storage for the volumes behind the first, which is there and has this size. */
int volumes_find(Storage *s, const char *key, uint64_t size, Volumes *ret,
                 Failure *reterr_failure) _warn_unused_;
/* As storage_read_at(), of all together; may give fewer bytes at the end of a volume, too. */
ssize_t volumes_read_at(Storage *s, const char *key, const Volumes *v, uint64_t offset, void *buf, size_t n,
                        Failure *reterr_failure) _warn_unused_;
/* Removes n volumes, the first one at first: then none counts any more. 1 and errors as of
 * storage_remove(). */
int volumes_remove(Storage *s, const char *key, size_t n, Failure *reterr_failure) _warn_unused_;
/* Removes what a removal that was cut off has left behind the first one, which is gone. Gives how many. */
int volumes_remove_rest(Storage *s, const char *key, Failure *reterr_failure) _warn_unused_;
