/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "repository/id-set.h"

void id_set_done(IdSet *s) {
        assert(s);

        free(s->items);
        *s = ID_SET_NULL;
}

int id_set_add(IdSet *s, const Id *id, uint64_t size) {
        assert(s);
        assert(id);

        if (s->n == s->allocated) {
                size_t n = MAX(2 * s->allocated, (size_t) 64);
                IdSetItem *grown = reallocarray(s->items, n, sizeof(IdSetItem));

                if (!grown)
                        return -ENOMEM;
                s->items = grown;
                s->allocated = n;
        }
        s->items[s->n++] = (IdSetItem){ *id, size };
        return 0;
}

static int compare_item(const void *a, const void *b) {
        return id_compare(a, b); /* the id comes first */
}

void id_set_sort(IdSet *s) {
        assert(s);

        if (s->n > 0)
                qsort(s->items, s->n, sizeof(IdSetItem), compare_item);
}

bool id_set_has(const IdSet *s, const Id *id) {
        assert(s);
        assert(id);

        return s->n > 0 && bsearch(id, s->items, s->n, sizeof(IdSetItem), compare_item);
}

static int add_listed(void *userdata, const Id *id, uint64_t size) {
        return id_set_add(ASSERT_PTR(userdata), id, size);
}

int id_set_list(IdSet *s, Repository *r, RepoFileType type, Failure *reterr_failure) {
        int k;

        assert(s);

        s->n = 0;
        k = repository_list(r, type, add_listed, s, reterr_failure);
        if (k < 0)
                return k;
        id_set_sort(s);
        return 0;
}
