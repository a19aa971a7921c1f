/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/copy.h"
#include "store/recovery.h"
#include "tests/unit/store/fixture.h"

static void path_in(const Fixture *f, const char *name, char ret[static 64]) {
        (void) snprintf(ret, 64, "%s/%s", f->directory, name);
}

/* Made while the daemons have it open and one writes; then a database of its own. */
static void test_copy(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(store_closep) Store *reader = NULL, *copy = NULL;
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        uint64_t kept, later, run;
        struct stat st;
        char path[64];

        fixture_init(&f);
        path_in(&f, "copy", path);
        kept = fixture_node(&f, "kept");
        run = fixture_run(&f, fixture_task(&f, "task", kept, fixture_target(&f, "target"), 0));
        CHECK_OK(store_open(f.path, STORE_RECOVERY, &reader, NULL));
        CHECK_INT(node_add(reader, "no", NULL, T0, &later), -EPERM);

        CHECK_OK(store_begin(f.api, &tx));
        CHECK_OK(node_add(f.api, "not yet", NULL, T0, &later));
        CHECK_OK(store_copy(reader, path, NULL));
        store_tx_done(&tx);
        CHECK_INT(store_copy(reader, path, NULL), -EEXIST);
        CHECK_OK(stat(path, &st));
        CHECK_INT(st.st_mode & 0777, 0600);

        CHECK_INT(store_in_use(f.path, NULL), 1);
        CHECK_INT(store_in_use(path, NULL), 0);
        CHECK_INT(store_in_use("/nowhere/at/all", NULL), -ENOENT);
        CHECK_INT(store_has_content(path, NULL), 1);

        CHECK_OK(store_revive(path, NULL));
        CHECK_OK(store_open(path, STORE_API, &copy, NULL));
        CHECK_OK(node_find(copy, "kept", &node));
        CHECK_INT(node.id, kept);
        CHECK_INT(node_find(copy, "not yet", &node), STORE_E_NOT_FOUND);
        CHECK_OK(node_add(copy, "new", NULL, T0, &later));
        CHECK(later > kept + 900);
        CHECK(run > 0);
        copy = store_close(copy);
        CHECK_OK(unlink(path));
}

/* What nobody has used yet may be replaced. */
static void test_empty(void) {
        _cleanup_(store_closep) Store *s = NULL;
        char directory[] = "/tmp/backupx-XXXXXX", path[64];

        CHECK(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/db", directory);
        CHECK_OK(store_open(path, STORE_API, &s, NULL));
        CHECK_INT(store_has_content(path, NULL), 0);
        s = store_close(s);
        CHECK_OK(unlink(path));
        CHECK_OK(rmdir(directory));
}

/* Lists are longer than a page. */
static void test_data(void) {
        _cleanup_(recovery_data_done) RecoveryData d = RECOVERY_DATA_NULL;
        _cleanup_(store_closep) Store *reader = NULL;
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_fixture_ Fixture f;
        char name[32];

        fixture_init(&f);
        CHECK_OK(store_begin(f.dispatcher, &tx));
        for (unsigned i = 1; i <= 2 * STORE_LIST_MAX + 5; i++)
                CHECK_OK(node_identity_set(f.dispatcher, i, "age1", "sealed"));
        CHECK_OK(store_commit(&tx));
        for (unsigned i = 0; i < 3; i++) {
                (void) snprintf(name, sizeof(name), "target-%u", i);
                (void) fixture_target(&f, name);
        }
        CHECK_OK(store_open(f.path, STORE_RECOVERY, &reader, NULL));
        CHECK_OK(recovery_data_read(reader, &d));
        CHECK_INT(d.n_identities, 2 * STORE_LIST_MAX + 5);
        CHECK_INT(d.identities[d.n_identities - 1].node_id, 2 * STORE_LIST_MAX + 5);
        CHECK_STR(d.identities[0].node_name, "local");
        CHECK(!d.identities[1].node_name);
        CHECK_INT(d.n_targets, 3);
        CHECK_STR(d.targets[2].name, "target-2");
        CHECK_INT(d.n_repositories, 0);
        CHECK_INT(d.n_places, 0);
}

int main(void) {
        RUN(test_copy);
        RUN(test_empty);
        RUN(test_data);
        return EXIT_SUCCESS;
}
