/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/rows.h"
#include "store/session.h"
#include "store/user-row.h"

void session_done(Session *x) {
        assert(x);

        free(x->jti);
        free(x->address);
        free(x->user_agent);
        *x = SESSION_NULL;
}

static void session_row_read(Query *q, void *item) {
        Session *x = item;

        x->jti = column_text(q);
        x->user_id = column_u64(q);
        x->created = column_u64(q);
        x->expires = column_u64(q);
        x->address = column_text(q);
        x->user_agent = column_text(q);
}

static void session_row_done(void *item) {
        session_done(item);
}

static const RowType session_type = { sizeof(Session), session_row_read, session_row_done };

static int sessions_trim(Store *s, uint64_t user_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_SESSIONS_TRIM);
        bind_u64(&q, user_id);
        bind_u64(&q, SESSIONS_PER_USER_MAX);
        return query_exec(&q);
}

int session_add(Store *s, const Session *x) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(x && x->jti);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_SESSION_ADD);
        bind_text(&q, x->jti);
        bind_u64(&q, x->user_id);
        bind_u64(&q, x->created);
        bind_u64(&q, x->expires);
        bind_text(&q, x->address);
        bind_text(&q, x->user_agent);
        r = query_exec(&q);
        if (r != 0)
                return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
        r = sessions_trim(s, x->user_id);
        if (r != 0)
                return r;
        return store_commit(&tx);
}

static int session_get_user(Store *s, const char *jti, usec_t now, User *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_SESSION_USER);
        bind_text(&q, jti);
        bind_u64(&q, now);
        return query_row(&q, &user_type, ret);
}

int session_get(Store *s, const char *jti, usec_t now, Session *ret, User *ret_user) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        _cleanup_(user_done) User u = USER_NULL;
        int r;

        assert(s);
        assert(jti);
        assert(ret_user);

        r = session_get_user(s, jti, now, &u);
        if (r != 0)
                return r;
        if (ret) {
                query_start(&q, s, SQL_SESSION_GET);
                bind_text(&q, jti);
                bind_u64(&q, now);
                r = query_row(&q, &session_type, ret);
                if (r != 0)
                        return r;
        }
        *ret_user = u;
        u = USER_NULL;
        return 0;
}

int session_delete(Store *s, const char *jti) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(jti);

        query_start(&q, s, SQL_SESSION_DELETE);
        bind_text(&q, jti);
        return query_exec_one(&q);
}

int sessions_delete_of_user(Store *s, uint64_t user_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_SESSIONS_DELETE_OF_USER);
        bind_u64(&q, user_id);
        bind_text(&q, NULL);
        return query_exec(&q);
}
