/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/order.h"
#include "wire/path.h"
#include "wire/rclone-options.h"

/* The source of a task may be as large as the body of a request. */
#define PROBE_REQUEST_MAX (2U << 20)
#define SEALED_MAX (64U << 10)

void probe_request_done(ProbeRequest *p) {
        assert(p);

        free(p->path);
        free(p->cursor);
        free(p->backend);
        discovery_spec_done(&p->discovery);
        task_test_spec_done(&p->test);
        free(p->sealed);
        *p = PROBE_REQUEST_NULL;
}

static int lookup_kind(const char *s) {
        CommandKind kind = command_kind_from_string(s);

        return kind == COMMAND_LIST_DIR || kind == COMMAND_BROWSE || kind == COMMAND_TEST_STORAGE ||
                                        kind == COMMAND_SELF_CHECK || kind == COMMAND_DISCOVER_DATABASES ||
                                        kind == COMMAND_RCLONE_BACKENDS || kind == COMMAND_READ_FILE ||
                                        kind == COMMAND_TEST_TASK ?
                        (int) kind :
                        -EINVAL;
}

/* An empty path is the roots of an archive, and the root of a node. */
static void read_path(JsonReader *spec, ProbeRequest *p) {
        const json_t *path = NULL;

        json_reader_value(spec, "path", JSON_OPTIONAL, &path);
        if (!path || (json_is_string(path) && json_string_length(path) == 0))
                return;
        if (json_to_path(path, &p->path) < 0)
                (void) json_reader_fail(spec, "path", "is not a path");
}

static void read_spec(JsonReader *reader, ProbeRequest *p) {
        JsonReader spec;

        if (json_reader_object(reader, "spec", JSON_OPTIONAL, &spec) <= 0)
                return;
        if (p->kind == COMMAND_DISCOVER_DATABASES && discovery_spec_read(&spec, &p->discovery) < 0)
                return;
        if (p->kind == COMMAND_TEST_TASK)
                (void) task_test_spec_read(&spec, &p->test);
        json_reader_strdup(&spec, "backend", JSON_OPTIONAL, RCLONE_NAME_MAX, &p->backend);
        read_path(&spec, p);
        json_reader_u32(&spec, "limit", JSON_OPTIONAL,
                        p->kind == COMMAND_READ_FILE ? READ_LENGTH_MAX : LISTING_LIMIT_MAX, &p->limit);
        json_reader_u64(&spec, "offset", JSON_OPTIONAL, INT64_MAX, &p->offset);
        json_reader_strdup(&spec, "cursor", JSON_OPTIONAL, LISTING_CURSOR_MAX, &p->cursor);
        if (json_reader_finish_lenient(&spec) < 0)
                return; /* it sticks to the parent */
}

static void read_targets(JsonReader *reader, ProbeRequest *p) {
        const json_t *ids = NULL, *id;
        size_t i;

        if (json_reader_array(reader, "target_ids", JSON_OPTIONAL, SPEC_TARGETS_MAX, &ids) <= 0)
                return;
        json_array_foreach((json_t *) ids, i, id) {
                if (!json_is_integer(id) || json_integer_value(id) <= 0) {
                        (void) json_reader_fail(reader, "target_ids",
                                                "holds something that is not the id of a target");
                        return;
                }
                p->target_ids[p->n_targets++] = (uint64_t) json_integer_value(id);
        }
        if (p->n_targets > 1 && p->kind != COMMAND_TEST_TASK)
                (void) json_reader_fail(reader, "target_ids", "has to name one target");
}

int probe_request_parse(const char *text, ProbeRequest *ret, Failure *reterr_failure) {
        _cleanup_(probe_request_done) ProbeRequest p = PROBE_REQUEST_NULL;
        _cleanup_json_ json_t *json = NULL;
        int kind = COMMAND_LIST_DIR, r;
        JsonReader reader;

        assert(text);
        assert(ret);

        if (strlen(text) > PROBE_REQUEST_MAX)
                return failure_set(reterr_failure, -EBADMSG, "REQUEST_TOO_LARGE",
                                   "The request is too large");
        r = json_parse_text(text, &json, reterr_failure);
        if (r < 0)
                return r;
        p.limit = LISTING_LIMIT_DEFAULT;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_enum(&reader, "kind", JSON_REQUIRED, lookup_kind, &kind);
        p.kind = (CommandKind) kind;
        json_reader_u64(&reader, "node_id", JSON_OPTIONAL, INT64_MAX, &p.node_id);
        json_reader_u64(&reader, "source_run", JSON_OPTIONAL, INT64_MAX, &p.source_run);
        json_reader_u64(&reader, "task_id", JSON_OPTIONAL, INT64_MAX, &p.task_id);
        json_reader_strdup(&reader, "secrets", JSON_OPTIONAL, SEALED_MAX, &p.sealed);
        read_targets(&reader, &p);
        read_spec(&reader, &p);
        r = json_reader_finish_lenient(&reader);
        if (r < 0)
                return r;
        if (!p.path)
                p.path = strdup(p.kind == COMMAND_LIST_DIR ? "/" : "");
        if (!p.cursor)
                p.cursor = strdup("");
        if (!p.path || !p.cursor)
                return -ENOMEM;
        p.limit = MAX(p.limit, 1U);
        *ret = p;
        p = PROBE_REQUEST_NULL;
        return 0;
}

static int build_listing(const ProbeRequest *p, ListingSpec *spec, Order *o) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        spec->path = strdup(p->path);
        spec->cursor = strdup(p->cursor);
        spec->limit = p->limit;
        if (!spec->path || !spec->cursor)
                return -ENOMEM;
        r = listing_spec_build(spec, p->kind, &json);
        return r < 0 ? r : json_format(json, &o->spec, NULL);
}

static int order_browse(const OrderContext *x, const ProbeRequest *p, const Run *source, Order *o,
                        Failure *reterr_failure) {
        _cleanup_(listing_spec_done) ListingSpec spec = LISTING_SPEC_NULL;
        int r;

        r = order_backup_of(x, source, o->node_id, o, &spec.archive, &spec.snapshots, reterr_failure);
        return r != 0 ? r : build_listing(p, &spec, o);
}

static int order_read(const OrderContext *x, const ProbeRequest *p, const Run *source, Order *o,
                      Failure *reterr_failure) {
        _cleanup_(read_spec_done) ReadSpec spec = { .offset = p->offset, .length = p->limit };
        _cleanup_json_ json_t *json = NULL;
        int r;

        spec.path = strdup(p->path);
        if (!spec.path)
                return -ENOMEM;
        r = order_backup_of(x, source, o->node_id, o, &spec.archive, &spec.snapshots, reterr_failure);
        if (r != 0)
                return r;
        r = read_spec_build(&spec, &json);
        return r < 0 ? r : json_format(json, &o->spec, NULL);
}

static int order_test(const OrderContext *x, const ProbeRequest *p, Order *o,
                      Failure *reterr_failure) {
        _cleanup_(spec_target_done) SpecTarget spec = SPEC_TARGET_NULL;
        _cleanup_(target_done) Target target = TARGET_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        r = target_get(x->store, p->target_ids[0], &target);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND) {
                failure_set(reterr_failure, 0, "TARGET_NOT_FOUND", "There is no target %" PRIu64,
                            p->target_ids[0]);
                return ORDER_E_REFUSED;
        }
        r = order_spec_target(&target, NULL, &spec);
        if (r < 0)
                return r;
        r = order_add_target(x, o, &target, ORDER_TEST_PREFIX,
                             RELAY_VERB_PUT | RELAY_VERB_GET | RELAY_VERB_DELETE, reterr_failure);
        if (r != 0)
                return r;
        r = test_storage_spec_build(&spec, &json);
        return r < 0 ? r : json_format(json, &o->spec, NULL);
}

/* Nobody waits for a node that is not there. */
static int get_online_node(const OrderContext *x, uint64_t id, Node *ret, Failure *reterr_failure) {
        int r;

        r = node_get(x->store, id, ret);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND)
                failure_set(reterr_failure, 0, "NODE_NOT_FOUND", "There is no node %" PRIu64, id);
        else if (ret->state != NODE_ONLINE)
                failure_set(reterr_failure, 0, "NODE_OFFLINE", "The node '%s' is not online",
                            strempty(ret->name));
        else
                return ret->public_key ? 0 : ORDER_E_NO_KEY;
        return ORDER_E_REFUSED;
}

static int choose_node(const OrderContext *x, const ProbeRequest *p, Run *source, uint64_t *ret,
                       Failure *reterr_failure) {
        int r;

        *ret = p->node_id == 0 ? NODE_LOCAL : p->node_id;
        if (p->kind != COMMAND_BROWSE && p->kind != COMMAND_READ_FILE)
                return 0;
        r = run_get(x->store, p->source_run, source);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND) {
                failure_set(reterr_failure, 0, "RUN_NOT_FOUND", "There is no run %" PRIu64, p->source_run);
                return ORDER_E_REFUSED;
        }
        /* Whoever can: the node that wrote it may be away, and somebody wants to look. */
        return order_archive_reader(x, source, ret, reterr_failure);
}

static int order_backends(const ProbeRequest *p, Order *o) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(p);

        r = !json ? -ENOMEM : p->backend ? json_set(json, "backend", json_string(p->backend)) :
                                           0;
        return r < 0 ? r : json_format(json, &o->spec, NULL);
}

int order_probe(const OrderContext *x, const ProbeRequest *p, Order *ret, Failure *reterr_failure) {
        _cleanup_(listing_spec_done) ListingSpec spec = LISTING_SPEC_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(run_done) Run source = RUN_NULL;
        int r;

        assert(x);
        assert(p);
        assert(ret);

        order_init(ret);
        ret->kind = p->kind;
        r = choose_node(x, p, &source, &ret->node_id, reterr_failure);
        if (r == 0)
                r = get_online_node(x, ret->node_id, &node, reterr_failure);
        if (r != 0)
                return r;
        if (p->kind == COMMAND_BROWSE)
                r = order_browse(x, p, &source, ret, reterr_failure);
        else if (p->kind == COMMAND_READ_FILE)
                r = order_read(x, p, &source, ret, reterr_failure);
        else if (p->kind == COMMAND_TEST_STORAGE)
                r = order_test(x, p, ret, reterr_failure);
        else if (p->kind == COMMAND_DISCOVER_DATABASES)
                r = order_discovery(x, p, &node, ret, reterr_failure);
        else if (p->kind == COMMAND_TEST_TASK)
                r = order_task_test(x, p, &node, ret, reterr_failure);
        else if (p->kind == COMMAND_RCLONE_BACKENDS)
                r = order_backends(p, ret);
        else if (p->kind == COMMAND_SELF_CHECK)
                r = (ret->spec = strdup("{}")) ? 0 : -ENOMEM;
        else
                r = build_listing(p, &spec, ret);
        return r != 0 ? r : order_seal(ret, &node);
}
