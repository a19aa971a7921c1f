/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "store/api-key.h"
#include "store/session.h"
#include "store/user.h"
#include "tests/unit/store/fixture.h"

static uint64_t add_user(Fixture *f, const char *name, UserRole role, bool enabled) {
        User u = {
                .username = (char *) name,
                .password_hash = (char *) "$y$",
                .role = role,
                .enabled = enabled,
                .created = T0,
        };
        uint64_t id = 0;

        CHECK_INT(user_add(f->api, &u, &id), 0);
        return id;
}

static void add_session(Fixture *f, const char *jti, uint64_t user_id, usec_t created) {
        Session x = {
                .jti = (char *) jti,
                .user_id = user_id,
                .created = created,
                .expires = T0 + USEC_PER_HOUR,
                .address = (char *) "::1",
                .user_agent = (char *) "curl",
        };

        CHECK_INT(session_add(f->api, &x), 0);
}

static bool session_lives(Fixture *f, const char *jti, usec_t now) {
        _cleanup_(user_done) User u = USER_NULL;
        int r = session_get(f->api, jti, now, NULL, &u);

        CHECK(r == 0 || r == STORE_E_NOT_FOUND);
        return r == 0;
}

static void test_set_up(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(user_done) User u = USER_NULL;
        bool exist = true;
        uint64_t id = 0;

        fixture_init(&f);
        CHECK_INT(users_exist(f.api, &exist), 0);
        CHECK(!exist);
        CHECK_INT(user_set_up(f.api, "anna", "$y$1", T0, &id), 0);
        CHECK_INT(user_set_up(f.api, "bert", "$y$2", T0, &id), USER_E_SET_UP);
        CHECK_INT(users_exist(f.api, &exist), 0);
        CHECK(exist);
        CHECK_INT(user_get(f.api, id, &u), 0);
        CHECK_STR(u.username, "anna");
        CHECK_STR(u.password_hash, "$y$1");
        CHECK_INT(u.role, USER_ADMIN);
        CHECK(u.enabled);
        CHECK_INT(u.created, T0);
}

/* Many at the same instant: one wins. */
static void test_set_up_race(void) {
        _cleanup_fixture_ Fixture f;
        pid_t children[8];
        int go[2], won = 0;

        fixture_init(&f);
        CHECK_INT(pipe(go), 0);
        for (size_t i = 0; i < ELEMENTSOF(children); i++) {
                children[i] = fork();
                CHECK_OK(children[i]);
                if (children[i] == 0) {
                        Store *s = NULL;
                        uint64_t id;
                        char c;
                        int r;

                        (void) close(go[1]);
                        CHECK_OK(store_open(f.path, STORE_API, &s, NULL));
                        CHECK_INT(read(go[0], &c, 1), 0);
                        r = user_set_up(s, "admin", "$y$", T0, &id);
                        CHECK(r == 0 || r == USER_E_SET_UP);
                        store_close(s);
                        _exit(r == 0 ? 10 : 0);
                }
        }
        (void) close(go[0]);
        (void) close(go[1]);
        for (size_t i = 0; i < ELEMENTSOF(children); i++) {
                int status;

                CHECK_INT(waitpid(children[i], &status, 0), children[i]);
                CHECK(WIFEXITED(status));
                CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10);
                won += WEXITSTATUS(status) == 10;
        }
        CHECK_INT(won, 1);
}

static void test_users(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(user_done) User u = USER_NULL, none = USER_NULL;
        _cleanup_(user_list_done) UserList page = USER_LIST_NULL, rest = USER_LIST_NULL;
        uint64_t anna, bert;
        User twice = { .username = (char *) "anna", .password_hash = (char *) "x", .created = T0 };

        fixture_init(&f);
        anna = add_user(&f, "anna", USER_ADMIN, true);
        bert = add_user(&f, "bert", USER_VIEWER, true);
        (void) add_user(&f, "cleo", USER_OPERATOR, false);
        CHECK_INT(user_add(f.api, &twice, &anna), STORE_E_EXISTS);
        CHECK_INT(user_find(f.api, "bert", &u), 0);
        CHECK_INT(u.id, bert);
        CHECK_INT(u.role, USER_VIEWER);
        CHECK_INT(user_find(f.api, "nobody", &none), STORE_E_NOT_FOUND);
        CHECK_INT(user_get(f.api, 99, &none), STORE_E_NOT_FOUND);
        CHECK_INT(users_list(f.api, 0, 2, &page), 0);
        CHECK_INT(page.n, 2);
        CHECK_INT(users_list(f.api, page.items[1].id, 2, &rest), 0);
        CHECK_INT(rest.n, 1);
        CHECK_STR(rest.items[0].username, "cleo");
        CHECK_INT(user_update(f.api, bert, "anna", USER_VIEWER, true), STORE_E_EXISTS);
        CHECK_INT(user_update(f.api, 99, "x", USER_VIEWER, true), STORE_E_NOT_FOUND);
        CHECK_INT(user_delete(f.api, 99), STORE_E_NOT_FOUND);
        CHECK_INT(user_logged_in(f.api, bert, T0 + 5), 0);
        user_done(&u);
        CHECK_INT(user_get(f.api, bert, &u), 0);
        CHECK_INT(u.last_login, T0 + 5);
}

/* What is done to one of two users, the first an admin; the second as the row says. */
static void test_last_admin(void) {
        static const struct {
                UserRole other_role;
                bool other_enabled;
                bool delete;
                UserRole role;
                bool enabled;
                int expected;
        } cases[] = {
                { USER_VIEWER, true, true, 0, 0, USER_E_LAST_ADMIN },
                { USER_ADMIN, true, true, 0, 0, 0 },
                { USER_ADMIN, false, true, 0, 0, USER_E_LAST_ADMIN },
                { USER_OPERATOR, true, false, USER_VIEWER, true, USER_E_LAST_ADMIN },
                { USER_ADMIN, true, false, USER_VIEWER, true, 0 },
                { USER_ADMIN, false, false, USER_VIEWER, true, USER_E_LAST_ADMIN },
                { USER_ADMIN, false, false, USER_ADMIN, false, USER_E_LAST_ADMIN },
                { USER_ADMIN, true, false, USER_ADMIN, false, 0 },
                { USER_VIEWER, true, false, USER_ADMIN, true, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_fixture_ Fixture f;
                uint64_t anna;
                int r;

                fixture_init(&f);
                anna = add_user(&f, "anna", USER_ADMIN, true);
                (void) add_user(&f, "bert", cases[i].other_role, cases[i].other_enabled);
                r = cases[i].delete ? user_delete(f.api, anna) :
                                      user_update(f.api, anna, "anna", cases[i].role, cases[i].enabled);
                if (r != cases[i].expected)
                        TEST_FAIL("case %zu gives %d, expected %d", i, r, cases[i].expected);
        }
}

static void test_sessions(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(user_done) User u = USER_NULL;
        _cleanup_(session_done) Session x = SESSION_NULL;
        Session orphan = { .jti = (char *) "o", .user_id = 99, .created = T0, .expires = T0 + 1 };
        uint64_t anna;

        fixture_init(&f);
        anna = add_user(&f, "anna", USER_ADMIN, true);
        add_session(&f, "one", anna, T0);
        CHECK_INT(session_add(f.api, &orphan), STORE_E_NOT_FOUND);
        CHECK_INT(session_get(f.api, "one", T0, &x, &u), 0);
        CHECK_STR(x.address, "::1");
        CHECK_STR(x.user_agent, "curl");
        CHECK_STR(u.username, "anna");
        CHECK(session_lives(&f, "one", T0 + USEC_PER_HOUR - 1));
        CHECK(!session_lives(&f, "one", T0 + USEC_PER_HOUR));
        CHECK(!session_lives(&f, "two", T0));
        CHECK_INT(session_delete(f.api, "one"), 0);
        CHECK_INT(session_delete(f.api, "one"), STORE_E_NOT_FOUND);
        CHECK(!session_lives(&f, "one", T0));
}

/* Each of these ends the sessions of the user, and of nobody else. */
static void test_sessions_end(void) {
        for (unsigned i = 0; i < 7; i++) {
                _cleanup_fixture_ Fixture f;
                uint64_t anna, bert;
                bool ends = true;

                fixture_init(&f);
                anna = add_user(&f, "anna", USER_OPERATOR, true);
                bert = add_user(&f, "bert", USER_ADMIN, true);
                add_session(&f, "anna", anna, T0);
                add_session(&f, "bert", bert, T0);
                if (i == 0)
                        CHECK_INT(user_set_password(f.api, anna, "$y$n", T0, NULL), 0);
                else if (i == 1)
                        CHECK_INT(user_update(f.api, anna, "anna", USER_OPERATOR, false), 0);
                else if (i == 2)
                        CHECK_INT(user_update(f.api, anna, "anna", USER_VIEWER, true), 0);
                else if (i == 3)
                        CHECK_INT(user_delete(f.api, anna), 0);
                else if (i == 4)
                        CHECK_INT(sessions_delete_of_user(f.api, anna), 0);
                else if (i == 5) {
                        CHECK_INT(user_set_password(f.api, anna, "$y$n", T0, "anna"), 0);
                        ends = false;
                } else {
                        CHECK_INT(user_update(f.api, anna, "anna2", USER_OPERATOR, true), 0);
                        ends = false;
                }
                CHECK_INT(session_lives(&f, "anna", T0), !ends);
                CHECK(session_lives(&f, "bert", T0));
        }
}

static void test_sessions_limit(void) {
        _cleanup_fixture_ Fixture f;
        uint64_t anna;
        char jti[16];

        fixture_init(&f);
        anna = add_user(&f, "anna", USER_ADMIN, true);
        for (unsigned i = 0; i < SESSIONS_PER_USER_MAX + 3; i++) {
                (void) snprintf(jti, sizeof(jti), "%u", i);
                add_session(&f, jti, anna, T0 + i);
        }
        CHECK(!session_lives(&f, "0", T0));
        CHECK(!session_lives(&f, "2", T0));
        CHECK(session_lives(&f, "3", T0));
        CHECK(session_lives(&f, jti, T0));
}

static void test_api_keys(void) {
        static const uint8_t hash[TOKEN_HASH_SIZE] = { 1 }, other[TOKEN_HASH_SIZE] = { 2 };
        _cleanup_fixture_ Fixture f;
        _cleanup_(user_done) User u = USER_NULL;
        _cleanup_(api_key_done) ApiKey k = API_KEY_NULL, got = API_KEY_NULL;
        _cleanup_(api_key_list_done) ApiKeyList all = API_KEY_LIST_NULL, of_none = API_KEY_LIST_NULL;
        ApiKey new = {
                .name = (char *) "ci",
                .role = USER_ADMIN,
                .created = T0,
                .expires = T0 + USEC_PER_DAY,
        };
        uint64_t id = 0;

        fixture_init(&f);
        CHECK_INT(api_key_add(f.api, &new, hash, &id), STORE_E_NOT_FOUND);
        new.user_id = add_user(&f, "anna", USER_OPERATOR, true);
        CHECK_INT(api_key_add(f.api, &new, hash, &id), 0);
        CHECK_INT(api_key_add(f.api, &new, other, &id), STORE_E_EXISTS);
        CHECK_INT(api_key_find(f.api, hash, T0, &k, &u), 0);
        CHECK_INT(k.id, id);
        CHECK_STR(k.username, "anna");
        CHECK_INT(k.role, USER_OPERATOR); /* never above the user's */
        CHECK_INT(u.id, new.user_id);
        CHECK_INT(api_key_find(f.api, other, T0, &got, &u), STORE_E_NOT_FOUND);
        CHECK_INT(api_key_find(f.api, hash, T0 + USEC_PER_DAY, &got, &u), STORE_E_NOT_FOUND);
        CHECK_INT(api_key_used(f.api, id, T0 + 9), 0);
        CHECK_INT(api_key_get(f.api, id, &got), 0);
        CHECK_INT(got.last_used, T0 + 9);
        CHECK_INT(api_keys_list(f.api, 0, 0, 10, &all), 0);
        CHECK_INT(all.n, 1);
        CHECK_INT(api_keys_list(f.api, 77, 0, 10, &of_none), 0);
        CHECK_INT(of_none.n, 0);
        (void) add_user(&f, "root", USER_ADMIN, true);
        CHECK_INT(user_update(f.api, new.user_id, "anna", USER_OPERATOR, false), 0);
        api_key_done(&got);
        user_done(&u);
        CHECK_INT(api_key_find(f.api, hash, T0, &got, &u), STORE_E_NOT_FOUND);
        CHECK_INT(api_key_delete(f.api, id), 0);
        CHECK_INT(api_key_delete(f.api, id), STORE_E_NOT_FOUND);
        new.expires = 0;
        CHECK_INT(api_key_add(f.api, &new, hash, &id), 0);
        CHECK_INT(user_delete(f.api, new.user_id), 0);
        CHECK_INT(api_key_get(f.api, id, &got), STORE_E_NOT_FOUND);
}

static void test_clean(void) {
        _cleanup_fixture_ Fixture f;
        StoreRetention keep = STORE_RETENTION_DEFAULT;
        bool more = true;
        uint64_t anna;
        int64_t rounds = 0;
        char jti[16];

        keep.slice = USEC_INFINITY; /* whatever the speed of the machine */
        fixture_init(&f);
        for (unsigned i = 0; i < 5; i++) {
                (void) snprintf(jti, sizeof(jti), "user-%u", i);
                anna = add_user(&f, jti, USER_VIEWER, true);
                CHECK_OK(store_group_open(f.api));
                for (unsigned k = 0; k < 60; k++) {
                        (void) snprintf(jti, sizeof(jti), "%u-%u", i, k);
                        add_session(&f, jti, anna, T0);
                }
                CHECK_OK(store_group_commit(f.api));
        }
        CHECK_INT(store_clean(f.api, &keep, T0, &more), 0);
        CHECK(!more);
        CHECK(session_lives(&f, "0-0", T0));
        do {
                CHECK_INT(store_clean(f.api, &keep, T0 + USEC_PER_DAY, &more), 0);
                rounds++;
        } while (more);
        CHECK(rounds > 2);
        CHECK(!session_lives(&f, "4-59", T0));
}

int main(void) {
        RUN(test_set_up);
        RUN(test_set_up_race);
        RUN(test_users);
        RUN(test_last_admin);
        RUN(test_sessions);
        RUN(test_sessions_end);
        RUN(test_sessions_limit);
        RUN(test_api_keys);
        RUN(test_clean);
        return EXIT_SUCCESS;
}
