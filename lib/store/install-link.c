/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "store/install-link.h"
#include "store/rows.h"

int install_link_add(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], const InstallLink *link) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(hash);
        assert(link);
        assert(link->sealed);

        query_start(&q, s, SQL_INSTALL_LINK_ADD);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, link->node_id);
        bind_u64(&q, link->created);
        bind_u64(&q, link->expires);
        bind_id(&q, link->created_by);
        bind_text(&q, link->sealed);
        r = query_exec(&q);
        return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
}

int install_link_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now,
                      uint64_t *ret_node_id, char **ret_sealed) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        _cleanup_(freep) char *sealed = NULL;
        usec_t expires, used;
        uint64_t node_id;
        int r;

        assert(s);
        assert(hash);
        assert(ret_node_id);
        assert(ret_sealed);

        query_start(&q, s, SQL_INSTALL_LINK_FIND);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        r = query_step(&q);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NOT_FOUND;
        node_id = column_u64(&q);
        expires = column_u64(&q);
        used = column_u64(&q);
        sealed = column_text(&q);
        if (q.error != 0)
                return q.error;
        if (used != 0 || !sealed)
                return INSTALL_LINK_E_USED;
        if (expires <= now)
                return INSTALL_LINK_E_EXPIRED;
        *ret_node_id = node_id;
        *ret_sealed = TAKE_PTR(sealed);
        return 0;
}

int install_link_use(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(hash);

        query_start(&q, s, SQL_INSTALL_LINK_USE);
        bind_blob(&q, hash, TOKEN_HASH_SIZE);
        bind_u64(&q, now);
        return query_exec_or(&q, INSTALL_LINK_E_USED);
}
