/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "repository/polynomial.h"
#include "services/dispatcher/order.h"
#include "store/stored-repository.h"

#define PASSWORD_BYTES 32
/* Not restic's: a record without this word is one that we do not know how to go on with. */
#define CHUNKER "gear"

/* --- Secrets ----------------------------------------------------------------------------------------- */

/* What was unsealed; the secret points into it. */
typedef struct OpenSecret {
        json_t *json;
        RepositorySecret secret;
} OpenSecret;

static void open_secret_done(OpenSecret *s) {
        json_decref(s->json);
}

static int open_secret(const OrderContext *x, const StoredRepository *stored, OpenSecret *ret,
                       Failure *reterr_failure) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        int r;

        assert(x);
        assert(stored);

        r = unseal(x->identity, stored->sealed, &plain);
        if (r == -ENOMEM)
                return r;
        if (r >= 0)
                r = json_parse_strict(plain.data, plain.size, JSON_DEPTH_DEFAULT, &ret->json, NULL);
        if (r >= 0)
                r = repository_secret_parse(ret->json, &ret->secret);
        if (r >= 0)
                return 0;
        failure_set(reterr_failure, 0, "SECRETS_UNREADABLE",
                    "The password of repository %" PRIu64 " (target %" PRIu64
                    ") cannot be opened with the dispatcher's key; was the key replaced?",
                    stored->id, stored->target_id);
        return ORDER_E_REFUSED;
}

static int seal_secret(const OrderContext *x, const RepositorySecret *secret, char **ret) {
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_json_ json_t *json = NULL;
        size_t n;
        int r;

        r = repository_secret_build(secret, &json);
        if (r >= 0)
                r = json_format(json, &text, &n);
        return r < 0 ? r : seal(x->recipient, text, n, ret);
}

/* --- Making a record --------------------------------------------------------------------------------- */

/* One pass over the sources feeds all repositories of a node: they cut files at the same places. */
static int node_polynomial(const OrderContext *x, uint64_t node_id, uint64_t *ret, Failure *reterr_failure) {
        _cleanup_(stored_repository_done) StoredRepository first = STORED_REPOSITORY_NULL;
        _cleanup_(open_secret_done) OpenSecret open = {};
        int r;

        assert(x);

        r = stored_repository_first(x->store, node_id, &first);
        if (r == STORE_E_NOT_FOUND)
                return polynomial_random(ret);
        if (r == 0)
                r = open_secret(x, &first, &open, reterr_failure);
        if (r == 0)
                *ret = open.secret.polynomial;
        return r;
}

static int make_secret(const OrderContext *x, uint64_t node_id, char **ret, Failure *reterr_failure) {
        uint8_t random[PASSWORD_BYTES];
        char password[2 * PASSWORD_BYTES + 1];
        RepositorySecret secret = {};
        CLEANUP_ERASE(random);
        CLEANUP_ERASE(password);
        int r;

        r = node_polynomial(x, node_id, &secret.polynomial, reterr_failure);
        if (r == 0)
                r = random_bytes(random, sizeof(random));
        if (r != 0)
                return r;
        secret.password = hex_encode(random, sizeof(random), password);
        return seal_secret(x, &secret, ret);
}

/* A name may go to another node one day, an id never. */
static int make_record(const OrderContext *x, const Node *node, uint64_t target_id, usec_t now,
                       Failure *reterr_failure) {
        StoredRepository stored = {
                .node_id = node->id, .target_id = target_id, .chunker = (char *) CHUNKER, .created = now
        };
        _cleanup_(freep) char *prefix = NULL, *sealed = NULL;
        char name[CHOOSE_PART_MAX + 1];
        uint64_t id;
        int r;

        assert(x);

        r = asprintf_safe(&prefix, "%s/repository-%" PRIu64 "/", choose_key_part(strempty(node->name), name),
                          node->id);
        if (r >= 0)
                r = make_secret(x, node->id, &sealed, reterr_failure);
        if (r != 0)
                return r;
        stored.prefix = prefix;
        stored.sealed = sealed;
        r = stored_repository_add(x->store, &stored, &id);
        return r == STORE_E_EXISTS ? 0 : r; /* somebody was faster: theirs counts */
}

static int find_or_make(const OrderContext *x, const Node *node, uint64_t target_id, usec_t now,
                        StoredRepository *ret, Failure *reterr_failure) {
        int r;

        assert(x);
        assert(node);

        r = stored_repository_find(x->store, node->id, target_id, ret);
        if (r != STORE_E_NOT_FOUND)
                return r;
        r = make_record(x, node, target_id, now, reterr_failure);
        if (r == 0)
                r = stored_repository_find(x->store, node->id, target_id, ret);
        if (r != STORE_E_NOT_FOUND)
                return r;
        failure_set(reterr_failure, 0, "REPOSITORY_EXISTS",
                    "The place of the repository on target %" PRIu64 " belongs to another node", target_id);
        return ORDER_E_REFUSED;
}

/* --- Locks ------------------------------------------------------------------------------------------- */

int order_add_ended(const OrderContext *x, uint64_t node_id, json_t *spec) {
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        assert(x);
        assert(spec);

        r = stored_repository_list_ended(x->store, node_id, SPEC_ENDED_MAX, &names);
        return r < 0 ? r : spec_add_ended(spec, names);
}

/* --- Orders ------------------------------------------------------------------------------------------ */

int order_repository(const OrderContext *x, const Node *node, const Target *target, usec_t now, Order *o,
                     SpecTarget *ret, Failure *reterr_failure) {
        _cleanup_(stored_repository_done) StoredRepository stored = STORED_REPOSITORY_NULL;
        _cleanup_(open_secret_done) OpenSecret open = {};
        int r;

        assert(x);
        assert(node);
        assert(target);
        assert(o);
        assert(ret);

        r = find_or_make(x, node, target->id, now, &stored, reterr_failure);
        if (r == 0)
                r = open_secret(x, &stored, &open, reterr_failure);
        if (r == 0)
                r = order_spec_target(target, stored.prefix, ret);
        if (r != 0)
                return r;
        ret->make = !stored.has_snapshots;
        r = command_secrets_add_repository(&o->plain, target->id, &open.secret);
        if (r < 0)
                return r;
        return order_add_target(x, o, target, stored.prefix,
                                RELAY_VERB_PUT | RELAY_VERB_GET | RELAY_VERB_LOCK, reterr_failure);
}

int order_snapshot(const OrderContext *x, uint64_t writer, const Target *target, const RunTarget *written,
                   Order *o, SnapshotCopy *ret, Failure *reterr_failure) {
        _cleanup_(stored_repository_done) StoredRepository stored = STORED_REPOSITORY_NULL;
        _cleanup_(open_secret_done) OpenSecret open = {};
        int r;

        assert(x);
        assert(target);
        assert(written && written->snapshot && written->key);
        assert(o);
        assert(ret);

        r = stored_repository_find(x->store, writer, target->id, &stored);
        if (r == STORE_E_NOT_FOUND) {
                failure_set(reterr_failure, 0, "REPOSITORY_UNKNOWN",
                            "There is no record of the repository on target '%s'", strempty(target->name));
                return ORDER_E_REFUSED;
        }
        if (r == 0)
                r = open_secret(x, &stored, &open, reterr_failure);
        if (r == 0)
                r = order_spec_target(target, written->key, &ret->target);
        if (r != 0)
                return r;
        r = free_and_strdup(&ret->id, written->snapshot);
        if (r >= 0)
                r = command_secrets_add_repository(&o->plain, target->id, &open.secret);
        if (r < 0)
                return r;
        return order_add_target(x, o, target, written->key, RELAY_VERB_GET, reterr_failure);
}
