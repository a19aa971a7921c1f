/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "archive/member.h"

static const char *const member_type_table[_MEMBER_TYPE_MAX] = {
        [MEMBER_FILE] = "file",
        [MEMBER_DIRECTORY] = "directory",
        [MEMBER_SYMLINK] = "symlink",
        [MEMBER_HARDLINK] = "hardlink",
        [MEMBER_FIFO] = "fifo",
        [MEMBER_CHARACTER] = "character",
        [MEMBER_BLOCK] = "block",
};

DEFINE_STRING_TABLE(member_type, MemberType);

void member_done(Member *m) {
        assert(m);

        free(m->path);
        free(m->target);
        free(m->user);
        free(m->group);
        for (size_t i = 0; i < m->n_xattrs; i++) {
                free(m->xattrs[i].name);
                free(m->xattrs[i].value);
        }
        free(m->xattrs);
        free(m->acl_access);
        free(m->acl_default);
        free(m->extents);
        *m = MEMBER_NULL;
}

uint64_t member_stored_size(const Member *m) {
        uint64_t sum = 0;

        assert(m);

        if (m->type != MEMBER_FILE)
                return 0;
        if (!m->sparse)
                return m->size;
        for (size_t i = 0; i < m->n_extents; i++)
                sum += m->extents[i].size;
        return sum;
}
