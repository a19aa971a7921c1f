/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/order.h"

static int read_request(const Run *run, VerifySpec *spec, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        r = json_parse_text(run->request, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        r = verify_shares_read(&reader, &spec->share, &spec->shares);
        if (r < 0)
                return r;
        return json_reader_finish_lenient(&reader);
}

static int find_snapshots(const OrderContext *x, const Run *source, Order *o, VerifySpec *spec,
                          Failure *reterr_failure) {
        _cleanup_(archive_ref_done) ArchiveRef archive = ARCHIVE_REF_NULL;
        int r;

        r = order_backup_of(x, source, o->node_id, o, &archive, &spec->snapshots, reterr_failure);
        if (r != 0)
                return r;
        /* A lock keeps others from removing what is looked at. */
        for (size_t i = 0; i < o->n_caps; i++)
                o->caps[i].verbs |= RELAY_VERB_PUT | RELAY_VERB_LOCK;
        return 0;
}

int order_verify(const OrderContext *x, const Run *run, Order *ret, Failure *reterr_failure) {
        _cleanup_(verify_spec_done) VerifySpec spec = VERIFY_SPEC_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(x);
        assert(run);
        assert(ret);

        order_init(ret);
        ret->node_id = run->node_id;
        ret->kind = COMMAND_VERIFY;
        r = run_get(x->store, run->source_run, &source);
        if (r == STORE_E_NOT_FOUND)
                return order_refuse(reterr_failure, "RUN_NOT_FOUND", "The run to look at is gone");
        if (r == 0 && !streq_ptr(source.format, FORMAT_REPOSITORY))
                return order_refuse(reterr_failure, "RUN_NOT_VERIFIABLE",
                                    "The run wrote archives; they are checked as they are read");
        if (r == 0)
                r = order_get_node(x, run->node_id, &node, reterr_failure);
        if (r != 0)
                return r;
        spec.run = run->id;
        spec.source_run = source.id;
        r = read_request(run, &spec, reterr_failure);
        if (r == -EBADMSG)
                return ORDER_E_REFUSED;
        if (r == 0)
                r = find_snapshots(x, &source, ret, &spec, reterr_failure);
        if (r == 0)
                r = verify_spec_build(&spec, &json);
        if (r == 0)
                r = order_add_ended(x, source.node_id, json);
        if (r == 0)
                r = json_format(json, &ret->spec, NULL);
        return r != 0 ? r : order_seal(ret, &node);
}
