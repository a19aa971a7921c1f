/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/check-run.h"
#include "repository/key.h"
#include "repository/repository-internal.h"

/* What a header takes in a pack beside its lines. */
#define HEADER_OVERHEAD (CIPHER_OVERHEAD + PACK_TRAILER_SIZE)
#define LINE_PLAIN 37
#define LINE_COMPRESSED 41

void repository_check_result_done(RepositoryCheckResult *r) {
        assert(r);

        for (size_t i = 0; i < r->n_problems; i++)
                free(r->problems[i]);
        *r = REPOSITORY_CHECK_RESULT_NULL;
}

static void run_done(CheckRun *r) {
        repo_index_free(r->index);
        free(r->packs);
        free(r->used);
        (void) pthread_mutex_destroy(&r->lock);
}

int check_problem(CheckRun *r, const char *format, ...) {
        char *text = NULL;
        va_list ap;
        int k;

        assert(r);

        va_start(ap, format);
        k = vasprintf_safe(&text, format, ap);
        va_end(ap);
        if (k < 0)
                return k;
        (void) pthread_mutex_lock(&r->lock);
        r->result->problems_total++;
        if (r->result->n_problems < CHECK_PROBLEMS_MAX)
                r->result->problems[r->result->n_problems++] = TAKE_PTR(text);
        (void) pthread_mutex_unlock(&r->lock);
        free(text);
        return 0;
}

bool check_is_cancelled(const CheckRun *r) {
        return r->args->cancel && atomic_load_explicit(r->args->cancel, memory_order_relaxed);
}

/* --- Keys -------------------------------------------------------------------------------------------- */

/* We may do without them; restic does not. */
typedef struct KeyCheck {
        CheckRun *run;
        unsigned n;
} KeyCheck;

static int check_key(void *userdata, const Id *id, uint64_t size) {
        KeyCheck *c = ASSERT_PTR(userdata);
        Repository *repository = c->run->args->repository;
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
        _cleanup_(freep) uint8_t *data = NULL;
        _cleanup_(freep) char *path = NULL;
        char hex[ID_HEX_SIZE];
        size_t n = 0;
        Id is;
        int r;

        c->n++;
        r = repository_path(repository, REPO_FILE_KEY, id, &path);
        if (r >= 0)
                r = repository_read_object(repository_storage(repository), path, size, REPO_KEY_FILE_MAX,
                                           &data, &n, NULL);
        if (r >= 0)
                r = id_of(data, n, &is);
        if (r >= 0)
                r = id_equal(&is, id) ? repo_key_file_parse(data, n, &k, NULL) : -EBADMSG;
        if (r >= 0 || r == -ENOMEM || r == -ECANCELED)
                return MIN(r, 0);
        return check_problem(c->run, "The key %.16s %s", id_to_hex(id, hex),
                             r == -EBADMSG || r == -EFBIG ? "is damaged: it is not what was stored" :
                                                            "cannot be read");
}

static int check_keys(CheckRun *r, Failure *f) {
        KeyCheck c = { .run = r };
        int k;

        k = repository_list(r->args->repository, REPO_FILE_KEY, check_key, &c, f);
        if (k < 0 || c.n > 0)
                return k;
        return check_problem(r, "There is no key file: stock restic cannot open the repository");
}

/* --- Packs and index --------------------------------------------------------------------------------- */

static int add_pack(CheckRun *r, const Id *id, CheckPack **ret) {
        if (r->n_packs == r->allocated) {
                size_t n = MAX(2 * r->allocated, (size_t) 64);
                CheckPack *grown = reallocarray(r->packs, n, sizeof(CheckPack));

                if (!grown)
                        return -ENOMEM;
                r->packs = grown;
                r->allocated = n;
        }
        r->packs[r->n_packs] = (CheckPack){ .id = *id };
        *ret = r->packs + r->n_packs++;
        return 0;
}

static int read_index(CheckRun *r, Failure *f) {
        CheckPack *p;
        int k;

        k = repo_index_new(&r->index);
        if (k >= 0)
                k = repository_load_index(r->args->repository, r->index, f);
        for (uint32_t i = 0; k >= 0 && i < repo_index_n_packs(r->index); i++) {
                k = add_pack(r, repo_index_pack(r->index, i), &p);
                if (k >= 0)
                        p->indexed = true;
        }
        if (k < 0)
                return k;
        for (size_t i = 0; i < repo_index_n_blobs(r->index); i++) {
                IndexEntry e;

                repo_index_get(r->index, i, &e);
                p = r->packs + e.pack;
                p->blob_end = MAX(p->blob_end, e.blob.offset + (uint64_t) e.blob.length);
                p->n_compressed += e.blob.uncompressed_length > 0;
                p->n_plain += e.blob.uncompressed_length == 0;
        }
        r->used = new0(uint8_t, repo_index_n_blobs(r->index) / 8 + 1);
        r->result->blobs = repo_index_n_blobs(r->index);
        return r->used ? 0 : -ENOMEM;
}

static int list_pack(void *userdata, const Id *id, uint64_t size) {
        CheckRun *r = ASSERT_PTR(userdata);
        uint32_t number;
        CheckPack *p;
        int k = 0;

        if (repo_index_find_pack(r->index, id, &number) >= 0)
                p = r->packs + number;
        else
                k = add_pack(r, id, &p);
        if (k < 0)
                return k;
        p->listed = true;
        p->size = size;
        r->result->packs++;
        return 0;
}

/* An index that lists less of a pack than is in it is right as far as it goes: the header tells. */
static int compare_packs(CheckRun *r) {
        char hex[ID_HEX_SIZE];
        int k = 0;

        for (size_t i = 0; i < r->n_packs && k >= 0; i++) {
                const CheckPack *p = r->packs + i;
                uint64_t least = p->blob_end + HEADER_OVERHEAD + p->n_plain * LINE_PLAIN +
                                p->n_compressed * LINE_COMPRESSED;

                if (!p->indexed)
                        r->result->packs_unknown++;
                else if (!p->listed)
                        k = check_problem(r, "The pack %.16s, which the index names, is missing",
                                          id_to_hex(&p->id, hex));
                else if (p->size < least)
                        k = check_problem(r,
                                          "The pack %.16s has %" PRIu64 " bytes, and its blobs need %" PRIu64
                                          ": it was cut off",
                                          id_to_hex(&p->id, hex), p->size, least);
        }
        return k;
}

static void count_unused(CheckRun *r) {
        for (size_t i = 0; i < repo_index_n_blobs(r->index); i++)
                r->result->blobs_unused += !(r->used[i / 8] & 1U << i % 8);
}

int repository_check(const RepositoryCheckArgs *args, RepositoryCheckResult *ret, Failure *reterr_failure) {
        _cleanup_(repository_check_result_done) RepositoryCheckResult result = REPOSITORY_CHECK_RESULT_NULL;
        _cleanup_(run_done) CheckRun run = { .args = args, .result = &result };
        int r;

        assert(args && args->repository);
        assert(args->share <= args->shares);
        assert(ret);

        (void) pthread_mutex_init(&run.lock, NULL);
        r = check_keys(&run, reterr_failure);
        if (r >= 0)
                r = read_index(&run, reterr_failure);
        if (r == -EBADMSG) {
                r = check_problem(&run, "%s", failure_message(reterr_failure, r));
                if (reterr_failure)
                        failure_done(reterr_failure);
        } else {
                if (r >= 0)
                        r = repository_list(args->repository, REPO_FILE_PACK, list_pack, &run,
                                            reterr_failure);
                if (r >= 0)
                        r = compare_packs(&run);
                if (r >= 0)
                        r = check_snapshots(&run, reterr_failure);
                if (r >= 0)
                        count_unused(&run);
                if (r >= 0 && args->share > 0)
                        r = check_data(&run);
        }
        if (r < 0)
                return r;
        *ret = result;
        result = REPOSITORY_CHECK_RESULT_NULL;
        return 0;
}
