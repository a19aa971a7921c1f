/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/rows.h"
#include "store/user-row.h"

static const char *const user_role_table[_USER_ROLE_MAX] = {
        [USER_VIEWER] = "viewer",
        [USER_OPERATOR] = "operator",
        [USER_ADMIN] = "admin",
};

DEFINE_STRING_TABLE(user_role, UserRole);

void user_done(User *u) {
        assert(u);

        free(u->username);
        free(u->password_hash);
        *u = USER_NULL;
}

static void user_row_read(Query *q, void *item) {
        User *u = item;

        u->id = column_u64(q);
        u->username = column_text(q);
        u->password_hash = column_text(q);
        u->role = (UserRole) column_enum(q, _USER_ROLE_MAX);
        u->enabled = column_bool(q);
        u->created = column_u64(q);
        u->password_changed = column_u64(q);
        u->last_login = column_u64(q);
}

static void user_row_done(void *item) {
        user_done(item);
}

const RowType user_type = { sizeof(User), user_row_read, user_row_done };

void user_list_done(UserList *l) {
        assert(l);

        rows_free(&user_type, l->items, l->n);
        *l = USER_LIST_NULL;
}

int user_set_up(Store *s, const char *username, const char *password_hash, usec_t now, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(username);
        assert(password_hash);
        assert(ret_id);

        query_start(&q, s, SQL_USER_SET_UP);
        bind_text(&q, username);
        bind_text(&q, password_hash);
        bind_i64(&q, USER_ADMIN);
        bind_u64(&q, now);
        r = query_exec_or(&q, USER_E_SET_UP);
        if (r == 0)
                *ret_id = query_last_id(&q);
        return r;
}

int users_exist(Store *s, bool *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_USERS_EXIST);
        r = query_step(&q);
        if (r < 0)
                return r;
        *ret = column_bool(&q);
        return 0;
}

int user_add(Store *s, const User *u, uint64_t *ret_id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(u);
        assert(ret_id);

        query_start(&q, s, SQL_USER_ADD);
        bind_text(&q, u->username);
        bind_text(&q, u->password_hash);
        bind_i64(&q, u->role);
        bind_i64(&q, u->enabled);
        bind_u64(&q, u->created);
        r = query_exec(&q);
        if (r == 0)
                *ret_id = query_last_id(&q);
        return r;
}

int user_get(Store *s, uint64_t id, User *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_USER_GET);
        bind_u64(&q, id);
        return query_row(&q, &user_type, ret);
}

int user_find(Store *s, const char *username, User *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(username);
        assert(ret);

        query_start(&q, s, SQL_USER_FIND);
        bind_text(&q, username);
        return query_row(&q, &user_type, ret);
}

int users_list(Store *s, uint64_t after_id, size_t limit, UserList *ret) {
        assert(ret);

        return list_page(s, SQL_USERS_LIST, after_id, limit, &user_type, &ret->items, &ret->n);
}

/* Nothing changed: because the user is not there, or because of the guard. */
static int user_refused(Store *s, uint64_t id) {
        _cleanup_(user_done) User u = USER_NULL;
        int r;

        r = user_get(s, id, &u);
        return r == 0 ? USER_E_LAST_ADMIN : r;
}

static int sessions_end(Store *s, uint64_t user_id, const char *keep_jti) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        query_start(&q, s, SQL_SESSIONS_DELETE_OF_USER);
        bind_u64(&q, user_id);
        bind_text(&q, keep_jti);
        return query_exec(&q);
}

int user_update(Store *s, uint64_t id, const char *username, UserRole role, bool enabled) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        _cleanup_(user_done) User before = USER_NULL;
        int r;

        assert(s);
        assert(username);
        assert(role >= 0 && role < _USER_ROLE_MAX);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = user_get(s, id, &before);
        if (r != 0)
                return r;

        query_start(&q, s, SQL_USER_UPDATE);
        bind_u64(&q, id);
        bind_text(&q, username);
        bind_i64(&q, role);
        bind_i64(&q, enabled);
        bind_i64(&q, USER_ADMIN);
        r = query_exec_or(&q, USER_E_LAST_ADMIN);
        if (r != 0)
                return r;
        if (before.role != role || before.enabled != enabled) {
                r = sessions_end(s, id, NULL);
                if (r != 0)
                        return r;
        }
        return store_commit(&tx);
}

int user_set_password(Store *s, uint64_t id, const char *password_hash, usec_t now, const char *keep_jti) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(password_hash);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_USER_SET_PASSWORD);
        bind_u64(&q, id);
        bind_text(&q, password_hash);
        bind_u64(&q, now);
        r = query_exec_one(&q);
        if (r != 0)
                return r;
        r = sessions_end(s, id, keep_jti);
        if (r != 0)
                return r;
        return store_commit(&tx);
}

int user_logged_in(Store *s, uint64_t id, usec_t now) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);

        query_start(&q, s, SQL_USER_LOGGED_IN);
        bind_u64(&q, id);
        bind_u64(&q, now);
        return query_exec_one(&q);
}

int user_delete(Store *s, uint64_t id) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);

        query_start(&q, s, SQL_USER_DELETE);
        bind_u64(&q, id);
        bind_i64(&q, USER_ADMIN);
        r = query_exec_or(&q, USER_E_LAST_ADMIN);
        return r == USER_E_LAST_ADMIN ? user_refused(s, id) : r;
}
