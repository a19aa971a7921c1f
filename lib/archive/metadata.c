/* SPDX-License-Identifier: Apache-2.0 */

#include <endian.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/metadata.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"

#define OWNER_SLOTS 1024
#define OWNER_BUFFER (64U << 10)
#define XATTR_VALUE_MAX (64U << 10)

/* --- Owners -----------------------------------------------------------------------------------------------
 */

typedef struct OwnerSlot {
        bool known;
        uint32_t id;
        char *name;
} OwnerSlot;

/* A slot an id, the newest wins: hosts have few owners, and a miss costs only a look-up. */
struct OwnerNames {
        OwnerSlot users[OWNER_SLOTS], groups[OWNER_SLOTS];
        char buf[OWNER_BUFFER];
};

int owner_names_new(OwnerNames **ret) {
        OwnerNames *o;

        assert(ret);

        o = new0(OwnerNames, 1);
        if (!o)
                return -ENOMEM;
        *ret = o;
        return 0;
}

OwnerNames *owner_names_free(OwnerNames *o) {
        if (!o)
                return NULL;
        for (size_t i = 0; i < OWNER_SLOTS; i++) {
                free(o->users[i].name);
                free(o->groups[i].name);
        }
        return mfree(o);
}

/* Remembers; a name that there is no memory for is one that there is not. */
static const char *slot_set(OwnerSlot *slot, uint32_t id, const char *name) {
        free(slot->name);
        *slot = (OwnerSlot){ .known = true, .id = id, .name = name ? memdup0(name, strlen(name)) : NULL };
        return slot->name;
}

const char *owner_names_user(OwnerNames *o, uint32_t uid) {
        struct passwd entry, *found = NULL;
        OwnerSlot *slot;

        assert(o);

        slot = &o->users[uid % OWNER_SLOTS];
        if (slot->known && slot->id == uid)
                return slot->name;
        (void) getpwuid_r(uid, &entry, o->buf, sizeof o->buf, &found);
        return slot_set(slot, uid, found && !isempty(found->pw_name) ? found->pw_name : NULL);
}

const char *owner_names_group(OwnerNames *o, uint32_t gid) {
        struct group entry, *found = NULL;
        OwnerSlot *slot;

        assert(o);

        slot = &o->groups[gid % OWNER_SLOTS];
        if (slot->known && slot->id == gid)
                return slot->name;
        (void) getgrgid_r(gid, &entry, o->buf, sizeof o->buf, &found);
        return slot_set(slot, gid, found && !isempty(found->gr_name) ? found->gr_name : NULL);
}

/* --- ACLs --------------------------------------------------------------------------------------------- */

static const char *acl_tag(unsigned tag, bool *ret_has_id) {
        *ret_has_id = tag == ACL_USER || tag == ACL_GROUP;
        switch (tag) {
        case ACL_USER_OBJ:
        case ACL_USER:
                return "user";
        case ACL_GROUP_OBJ:
        case ACL_GROUP:
                return "group";
        case ACL_MASK:
                return "mask";
        case ACL_OTHER:
                return "other";
        }
        return NULL;
}

int acl_text_from_xattr(const void *value, size_t n, char **ret) {
        const struct posix_acl_xattr_header *header = value;
        const struct posix_acl_xattr_entry *entries = (const void *) (header + 1);
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        char *taken;

        assert(value || n == 0);
        assert(ret);

        if (n < sizeof *header || (n - sizeof *header) % sizeof *entries != 0 ||
            le32toh(header->a_version) != POSIX_ACL_XATTR_VERSION)
                return -EBADMSG;
        for (size_t i = 0; i < (n - sizeof *header) / sizeof *entries; i++) {
                unsigned perm = le16toh(entries[i].e_perm);
                bool has_id;
                const char *tag = acl_tag(le16toh(entries[i].e_tag), &has_id);
                char id[16] = "";
                int r;

                if (!tag)
                        return -EBADMSG;
                if (has_id)
                        (void) snprintf(id, sizeof id, "%" PRIu32, le32toh(entries[i].e_id));
                r = buffer_printf(&text, "%s:%s:%c%c%c\n", tag, id, perm & ACL_READ ? 'r' : '-',
                                  perm & ACL_WRITE ? 'w' : '-', perm & ACL_EXECUTE ? 'x' : '-');
                if (r < 0)
                        return r;
        }
        taken = buffer_take(&text);
        if (!taken)
                return -ENOMEM;
        *ret = taken;
        return 0;
}

/* --- Extended attributes ----------------------------------------------------------------------------------
 */

static int xattr_add(Member *m, const char *name, const void *value, size_t n, bool acl_text) {
        Xattr x = {}, *grown;

        assert(m);

        if (acl_text && streq(name, "system.posix_acl_access"))
                return acl_text_from_xattr(value, n, &m->acl_access);
        if (acl_text && streq(name, "system.posix_acl_default"))
                return acl_text_from_xattr(value, n, &m->acl_default);
        x.name = memdup0(name, strlen(name));
        x.value = memdup0(value, n);
        x.size = n;
        grown = reallocarray(m->xattrs, m->n_xattrs + 1, sizeof *grown);
        if (grown)
                m->xattrs = grown;
        if (!grown || !x.name || !x.value) {
                free(x.name);
                free(x.value);
                return -ENOMEM;
        }
        m->xattrs[m->n_xattrs++] = x;
        return 0;
}

int metadata_xattrs(Fs *fs, int dirfd, const char *name, bool acl_text, char *buf, Member *m) {
        char *value = buf + XATTR_VALUE_MAX;
        ssize_t n, k;
        int error = 0;

        assert(fs);
        assert(name);
        assert(buf);
        assert(m);

        n = fs_list_xattrs(fs, dirfd, name, buf, XATTR_VALUE_MAX);
        if (n == -EOPNOTSUPP || n == -ENOSYS)
                return 0;
        if (n < 0)
                return (int) n;
        for (const char *p = buf; p < buf + n; p += strlen(p) + 1) {
                int r;

                k = fs_get_xattr(fs, dirfd, name, p, value, XATTR_VALUE_MAX);
                /* Removed since it was listed, or hidden from us although it is listed. */
                if (k == -ENODATA || k == -EOPNOTSUPP)
                        continue;
                r = k < 0 ? (int) k : xattr_add(m, p, value, (size_t) k, acl_text);
                if (r == -ENOMEM || r == -ETIMEDOUT || r == -ECANCELED)
                        return r;
                if (r < 0 && error == 0)
                        error = r;
        }
        return error;
}

/* --- Holes -------------------------------------------------------------------------------------------- */

/* Joins extents that have less than gap between them, so that at most half of max are left. */
static void extents_join(Member *m, size_t max) {
        uint64_t gap = 4096;

        assert(m);

        while (m->n_extents > max / 2) {
                size_t to = 0;

                for (size_t i = 1; i < m->n_extents; i++) {
                        Extent *last = &m->extents[to], *e = &m->extents[i];

                        if (e->offset - (last->offset + last->size) < gap)
                                last->size = e->offset + e->size - last->offset;
                        else
                                m->extents[++to] = *e;
                }
                m->n_extents = to + 1;
                gap *= 2;
        }
}

static int extent_add(Member *m, size_t max, size_t *allocated, Extent e) {
        assert(m);

        if (m->n_extents == *allocated) {
                size_t n = *allocated == 0 ? 16 : 2 * *allocated;
                Extent *grown = reallocarray(m->extents, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                m->extents = grown;
                *allocated = n;
        }
        m->extents[m->n_extents++] = e;
        if (m->n_extents > max)
                extents_join(m, max);
        return 0;
}

int metadata_extents(Fs *fs, int fd, uint64_t size, size_t max, Member *m) {
        size_t allocated = 0;
        int64_t at = 0;

        assert(fs);
        assert(m);
        assert(max >= 2);

        while ((uint64_t) at < size) {
                int64_t start, end;
                int r;

                start = fs_seek(fs, fd, at, SEEK_DATA);
                if (start == -ENXIO || start >= (int64_t) size)
                        break;
                /* A file system that does not tell. */
                if (start == -EINVAL || start == -EOPNOTSUPP)
                        return 0;
                if (start < 0)
                        return (int) start;
                end = fs_seek(fs, fd, start, SEEK_HOLE);
                if (end < 0)
                        return (int) end;
                end = MIN(end, (int64_t) size);
                if (end <= start)
                        break;
                r = extent_add(m, max, &allocated, (Extent){ (uint64_t) start, (uint64_t) (end - start) });
                if (r < 0)
                        return r;
                at = end;
        }
        if (m->n_extents == 1 && m->extents[0].offset == 0 && m->extents[0].size == size) {
                m->n_extents = 0;
                return 0;
        }
        m->sparse = true;
        return 0;
}

void metadata_fill_holes(Member *m, uint64_t hole_min) {
        uint64_t end = 0;
        size_t to = 0;

        assert(m);

        if (m->n_extents == 0)
                return;
        for (size_t i = 0; i < m->n_extents; i++) {
                Extent e = m->extents[i];
                uint64_t gap = e.offset - end;

                end = e.offset + e.size;
                if (gap >= hole_min || (i == 0 && gap == 0))
                        m->extents[to++] = e;
                else if (i == 0)
                        m->extents[to++] = (Extent){ 0, end };
                else
                        m->extents[to - 1].size = end - m->extents[to - 1].offset;
        }
        m->n_extents = to;
        if (m->size - end < hole_min)
                m->extents[to - 1].size = m->size - m->extents[to - 1].offset;
}
