/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "repository/blob.h"
#include "repository/key.h"
#include "repository/lock-held.h"
#include "repository/polynomial.h"
#include "tests/test.h"
#include "wire/json.h"

/* A repository in a folder of its own. */
typedef struct Ground {
        char folder[40];
        Storage *storage;
        RepositoryArgs args;
} Ground;

static void ground_init(Ground *g) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_json_ json_t *config = NULL;
        _cleanup_(freep) char *store = NULL;
        RepositoryNew n = { .chunker = CHUNKER_GEAR, .hostname = "web-1" };
        StorageConfig c = { .id = 1, .type = "local" };

        *g = (Ground){ .folder = "/tmp/backupx-repository-XXXXXX" };
        CHECK(mkdtemp(g->folder));
        CHECK_OK(asprintf_safe(&store, "%s/store", g->folder));
        CHECK_OK(mkdir_p(store, 0700));
        config = json_pack("{s:s}", "path", store);
        c.config = config;
        if (storage_open(&c, &g->storage, &f) < 0)
                TEST_FAIL("%s", failure_message(&f, 0));
        g->args = (RepositoryArgs){ .storage = g->storage, .prefix = "node/", .password = "word" };
        CHECK_OK(polynomial_random(&n.chunker_polynomial));
        if (repository_init(&g->args, &n, &f) < 0)
                TEST_FAIL("%s", failure_message(&f, 0));
        CHECK_INT(repository_init(&g->args, &n, &f), -EEXIST);
        CHECK_STR(f.code, "REPOSITORY_EXISTS");
}

static void ground_done(Ground *g) {
        _cleanup_(freep) char *command = NULL;

        storage_free(g->storage);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", g->folder));
        CHECK_INT(system(command), 0);
}

static int count_one(void *userdata, const Id *id, uint64_t size) {
        unsigned *n = ASSERT_PTR(userdata);

        (*n)++;
        return 0;
}

static int remove_key(void *userdata, const Id *id, uint64_t size) {
        Repository *r = ASSERT_PTR(userdata);
        _cleanup_(freep) char *key = NULL;

        CHECK_OK(repository_path(r, REPO_FILE_KEY, id, &key));
        return storage_remove(repository_storage(r), key, NULL);
}

/* Made by two at once, or by one that was interrupted behind its key and another: one repository, and any of
 * its keys is right. */
static void test_derived(void) {
        _cleanup_(repository_freep) Repository *r = NULL, *again = NULL, *none = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL, refused = FAILURE_NULL;
        RepositoryNew n = { .chunker = CHUNKER_GEAR, .derived = true };
        CipherKey one, same, other;
        unsigned keys = 0;
        Ground g;

        ground_init(&g);
        g.args.prefix = "derived/";
        CHECK_OK(polynomial_random(&n.chunker_polynomial));
        CHECK_OK(repository_init(&g.args, &n, &f));
        CHECK_OK(storage_remove(g.storage, "derived/config", &f));
        CHECK_INT(repository_open(&g.args, &r, &f), -ENOENT);
        CHECK_OK(repository_init(&g.args, &n, &f));
        CHECK_INT(repository_init(&g.args, &n, &f), -EEXIST);
        CHECK_OK(repository_open(&g.args, &r, &f));
        CHECK_OK(repository_list(r, REPO_FILE_KEY, count_one, &keys, &f));
        CHECK_INT(keys, 2);

        CHECK_OK(repo_key_derive("word", &one));
        CHECK_OK(repo_key_derive("word", &same));
        CHECK_OK(repo_key_derive("words", &other));
        CHECK_MEM(&one, &same, sizeof(one));
        CHECK_MEM(&one, repository_key(r), sizeof(one));
        CHECK(memcmp(&one, &other, sizeof(one)) != 0);
        CHECK(memcmp(one.encrypt, one.mac_k, sizeof(one.mac_k)) != 0);

        /* Who has the password needs none of the keys, and who has not is asked for one. */
        CHECK_OK(repository_list(r, REPO_FILE_KEY, remove_key, r, &f));
        CHECK_OK(repository_open(&g.args, &again, &f));
        CHECK_MEM(&one, repository_key(again), sizeof(one));
        g.args.password = "words";
        CHECK_INT(repository_open(&g.args, &none, &refused), -EKEYREJECTED);
        CHECK_STR(refused.code, "REPOSITORY_PASSWORD");
        ground_done(&g);
}

static Repository *opened(const Ground *g) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        Repository *r;

        if (repository_open(&g->args, &r, &f) < 0)
                TEST_FAIL("%s", failure_message(&f, 0));
        return r;
}

static void test_open(void) {
        _cleanup_(repository_freep) Repository *r = NULL, *none = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL, missing = FAILURE_NULL;
        RepositoryArgs args;
        Ground g;

        ground_init(&g);
        r = opened(&g);
        CHECK_INT(repository_config(r)->version, 2);
        CHECK_INT(repository_config(r)->chunker, CHUNKER_GEAR);
        args = g.args;
        args.password = "wrong";
        CHECK_INT(repository_open(&args, &none, &f), -EKEYREJECTED);
        CHECK_STR(f.code, "REPOSITORY_PASSWORD");
        args.prefix = "other/";
        CHECK_INT(repository_open(&args, &none, &missing), -ENOENT);
        CHECK_STR(missing.code, "REPOSITORY_MISSING");
        ground_done(&g);
}

static int count(void *userdata, const Id *id, Snapshot *s) {
        unsigned *n = userdata;

        (*n)++;
        return 0;
}

static void put_snapshot(Repository *r, int64_t sec, Id *ret) {
        Snapshot s = { .time = { .sec = sec } };
        _cleanup_(freep) char *json = NULL;
        size_t n;

        CHECK_OK(snapshot_format(&s, &json, &n));
        CHECK_OK(repository_put(r, REPO_FILE_SNAPSHOT, json, n, ret, NULL));
}

static void test_snapshots(void) {
        _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;
        _cleanup_(repository_freep) Repository *r = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_(freep) char *cache = NULL;
        char hex[ID_HEX_SIZE];
        Id newer, older, found;
        unsigned n = 0;
        Ground g;

        ground_init(&g);
        CHECK_OK(asprintf_safe(&cache, "%s/cache", g.folder));
        g.args.cache = cache;
        r = opened(&g);
        put_snapshot(r, 2000, &newer);
        put_snapshot(r, 1000, &older);
        CHECK_OK(repository_list_snapshots(r, count, &n, &f));
        CHECK_INT(n, 2);
        CHECK_OK(repository_find_snapshot(r, "latest", &found, &s, &f));
        CHECK(id_equal(&found, &newer));
        snapshot_done(&s);
        id_to_hex(&older, hex)[8] = 0;
        CHECK_OK(repository_find_snapshot(r, hex, &found, &s, &f));
        CHECK(id_equal(&found, &older));
        CHECK_INT(repository_find_snapshot(r, "", &found, &s, &f), -ENOENT);
        CHECK_STR(f.code, "SNAPSHOT_MISSING");
        CHECK_OK(repository_remove(r, REPO_FILE_SNAPSHOT, &older, &f));
        CHECK_INT(repository_get_snapshot(r, &older, &s, NULL), -ENOENT);
        ground_done(&g);
}

/* A copy on this machine that is damaged, or gone, is read from the storage again; one in the storage that
 * is damaged is an error. */
static void test_damage(void) {
        _cleanup_(snapshot_done) Snapshot a = SNAPSHOT_NULL, b = SNAPSHOT_NULL;
        _cleanup_(repository_freep) Repository *r = NULL;
        _cleanup_(freep) char *cache = NULL, *path = NULL, *key = NULL, *stored = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        char hex[ID_HEX_SIZE], repo[ID_HEX_SIZE];
        Ground g;
        Id id;

        ground_init(&g);
        CHECK_OK(asprintf_safe(&cache, "%s/cache", g.folder));
        g.args.cache = cache;
        r = opened(&g);
        put_snapshot(r, 1000, &id);
        CHECK_OK(asprintf_safe(&path, "%s/%s/snapshots/%"
                                      "s",
                               cache, id_to_hex(&repository_config(r)->id, repo),
                               id_to_hex(&id, hex)));
        CHECK_INT(access(path, R_OK), 0);
        CHECK_OK(write_file_atomic(AT_FDCWD, path, "x", 1, 0600));
        CHECK_OK(repository_get_snapshot(r, &id, &a, &f));
        CHECK_INT(unlink(path), 0);
        CHECK_OK(repository_path(r, REPO_FILE_SNAPSHOT, &id, &key));
        CHECK_OK(asprintf_safe(&stored, "%s/store/%s", g.folder, key));
        CHECK_OK(write_file_atomic(AT_FDCWD, stored, "x", 1, 0600));
        CHECK_INT(repository_get_snapshot(r, &id, &b, &f), -EBADMSG);
        CHECK_STR(f.code, "REPOSITORY_DAMAGED");
        CHECK(strstr(f.message, "snapshot "));
        ground_done(&g);
}

static void test_locks(void) {
        _cleanup_(repo_lock_freep) RepoLockHeld *a = NULL, *b = NULL, *alone = NULL;
        RepoLockArgs shared = {}, exclusive = { .exclusive = true, .owner.hostname = "db-1" };
        _cleanup_failure_ Failure busy = FAILURE_NULL, busy_again = FAILURE_NULL, lost = FAILURE_NULL;
        _cleanup_(repository_freep) Repository *r = NULL;
        _cleanup_(freep) char *command = NULL;
        Ground g;

        ground_init(&g);
        r = opened(&g);
        CHECK_OK(repo_lock_take(r, &shared, &a, NULL));
        CHECK_OK(repo_lock_take(r, &shared, &b, NULL));
        CHECK_INT(repo_lock_take(r, &exclusive, &alone, &busy), -EBUSY);
        CHECK_STR(busy.code, "REPOSITORY_LOCKED");
        CHECK_OK(repo_lock_refresh(a, NULL));
        CHECK_OK(repo_lock_check(a, NULL));
        CHECK_OK(repo_lock_release(a, NULL));
        CHECK_OK(repo_lock_release(b, NULL));
        CHECK_OK(repo_lock_take(r, &exclusive, &alone, NULL));
        a = repo_lock_free(a);
        CHECK_INT(repo_lock_take(r, &shared, &a, &busy_again), -EBUSY);
        CHECK(strstr(busy_again.message, "on db-1 since"));
        CHECK_OK(asprintf_safe(&command, "rm -r %s/store/node/locks", g.folder));
        CHECK_INT(system(command), 0);
        CHECK_INT(repo_lock_check(alone, &lost), -ESTALE);
        CHECK_STR(lost.code, "LOCK_LOST");
        alone = repo_lock_free(alone);
        ground_done(&g);
}

/* The lock of work that is known to be over keeps nobody, and goes; any other one counts. */
static void test_locks_of_the_dead(void) {
        _cleanup_(repo_lock_freep) RepoLockHeld *dead = NULL, *nameless = NULL;
        _cleanup_(repo_lock_freep) RepoLockHeld *shared = NULL, *alone = NULL;
        char *over[] = { (char *) "command-6-1", (char *) "command-7-1", NULL };
        RepoLockArgs prune = { .exclusive = true, .owner = { .command = "command-7-1" } };
        RepoLockArgs next = { .owner = { .command = "command-8-1" } };
        _cleanup_failure_ Failure gone = FAILURE_NULL;
        _cleanup_(repository_freep) Repository *r = NULL;
        Ground g;

        ground_init(&g);
        r = opened(&g);
        CHECK_OK(repo_lock_take(r, &prune, &dead, NULL));
        CHECK_INT(repo_lock_take(r, &next, &shared, NULL), -EBUSY);
        over[1] = (char *) "command-7-2"; /* another attempt */
        next.owner.ended = over;
        CHECK_INT(repo_lock_take(r, &next, &shared, NULL), -EBUSY);
        over[1] = (char *) "command-7-1";
        CHECK_OK(repo_lock_take(r, &next, &shared, NULL));
        CHECK_INT(repo_lock_check(dead, &gone), -ESTALE);
        dead = repo_lock_free(dead);
        shared = repo_lock_free(shared);

        prune.owner.command = NULL;
        CHECK_OK(repo_lock_take(r, &prune, &nameless, NULL));
        CHECK_INT(repo_lock_take(r, &next, &shared, NULL), -EBUSY);
        nameless = repo_lock_free(nameless);
        CHECK_OK(repo_lock_take(r, &next, &shared, NULL));
        prune.owner.ended = (char *[]){ (char *) "command-8-1", NULL };
        CHECK_OK(repo_lock_take(r, &prune, &alone, NULL));
        shared = repo_lock_free(shared);
        alone = repo_lock_free(alone);
        ground_done(&g);
}

/* The second blob of test_blobs, which is stored compressed, and stays so where it is large. */
static void check_packed(BlobReader *reader, const Id *id, int expected) {
        _cleanup_(decompressor_freep) Decompressor *d = NULL;
        _cleanup_buffer_ Buffer content = BUFFER_NULL;
        char plain[100];
        bool packed;

        CHECK_INT(blob_reader_get_packed(reader, BLOB_DATA, id, 100, &content, &packed, NULL), expected);
        CHECK(!packed);
        CHECK_INT(blob_reader_get_packed(reader, BLOB_DATA, id, 99, &content, &packed, NULL), expected);
        CHECK(packed);
        if (expected < 0)
                return;
        CHECK(content.size < 100);
        CHECK_OK(decompressor_new(&d));
        CHECK_OK(decompressor_run(d, content.data, content.size, plain, sizeof plain));
        CHECK(plain[0] == 'b' && plain[99] == 'b');
}

/* A pack of two blobs as the writing side makes it, damaged in a first copy. */
static void test_blobs(void) {
        _cleanup_(blob_reader_freep) BlobReader *reader = NULL;
        _cleanup_(repository_freep) Repository *r = NULL;
        _cleanup_(repo_index_freep) RepoIndex *x = NULL;
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_buffer_ Buffer content = BUFFER_NULL;
        _cleanup_(compressor_freep) Compressor *compressor = NULL;
        uint8_t pack[2 * (100 + CIPHER_OVERHEAD)], plain[100], packed[200];
        PackBlob blobs[2];
        size_t size = 0;
        ssize_t n;
        Ground g;
        Id none = {};

        ground_init(&g);
        r = opened(&g);
        CHECK_OK(cipher_new(repository_key(r), &cipher));
        CHECK_OK(repo_index_new(&x));
        CHECK_OK(compressor_new(3, &compressor));
        for (unsigned i = 0; i < 2; i++) {
                memset(plain, 'a' + (int) i, sizeof plain);
                n = compressor_run(compressor, plain, sizeof plain, packed, sizeof packed);
                CHECK(n > 0 && n < 100);
                n = i == 0 ? 100 : n;
                blobs[i] = (PackBlob){ .length = (uint32_t) n + CIPHER_OVERHEAD,
                                       .uncompressed_length = i == 0 ? 0 : 100 };
                blobs[i].offset = (uint32_t) size;
                size += blobs[i].length;
                CHECK_OK(id_of(plain, sizeof plain, &blobs[i].id));
                CHECK_OK(cipher_seal(cipher, i == 0 ? plain : packed, (size_t) n, pack + blobs[i].offset));
        }
        CHECK_OK(blob_reader_new(r, x, &reader));
        for (int copy = 0; copy < 2; copy++) {
                _cleanup_(storage_put_freep) StoragePut *put = NULL;
                _cleanup_(freep) char *key = NULL;
                uint32_t number;
                Id id, digest;

                pack[10] ^= (uint8_t) (1 - copy); /* in the first copy alone */
                pack[size - 1] ^= (uint8_t) (1 - copy);
                CHECK_OK(id_of(pack, size, &id));
                digest = id;
                CHECK_OK(repository_path(r, REPO_FILE_PACK, &id, &key));
                CHECK_OK(storage_put_new(g.storage, key, &put, NULL));
                CHECK_OK(storage_put_write(put, pack, size, NULL));
                CHECK_OK(storage_put_commit(put, digest.bytes, NULL));
                pack[10] ^= (uint8_t) (1 - copy);
                pack[size - 1] ^= (uint8_t) (1 - copy);
                CHECK_OK(repo_index_add_pack(x, &id, &number));
                CHECK_OK(repo_index_add(x, number, blobs));
                CHECK_OK(repo_index_add(x, number, blobs + 1));
                CHECK_INT(blob_reader_get(reader, BLOB_DATA, &blobs[0].id, &content, &f),
                          copy == 0 ? -EBADMSG : 0);
                CHECK_STR(f.code, "REPOSITORY_DAMAGED");
                CHECK_INT(blob_reader_get(reader, BLOB_DATA, &blobs[1].id, &content, NULL),
                          copy == 0 ? -EBADMSG : 0);
                check_packed(reader, &blobs[1].id, copy == 0 ? -EBADMSG : 0);
        }
        CHECK_INT(content.size, 100);
        CHECK_INT(content.data[99], 'b');
        CHECK_INT(blob_reader_get(reader, BLOB_TREE, &blobs[0].id, &content, NULL), -ENOENT);
        CHECK_INT(blob_reader_get(reader, BLOB_DATA, &none, &content, NULL), -ENOENT);
        ground_done(&g);
}

int main(void) {
        RUN(test_derived);
        RUN(test_open);
        RUN(test_snapshots);
        RUN(test_damage);
        RUN(test_locks);
        RUN(test_locks_of_the_dead);
        RUN(test_blobs);
        return EXIT_SUCCESS;
}
