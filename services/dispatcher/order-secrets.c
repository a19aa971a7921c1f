/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "services/dispatcher/order.h"

#define TYPE_RELAY "relay"

static int unreadable(Failure *reterr_failure, const char *what, const char *name) {
        failure_set(reterr_failure, 0, "SECRETS_UNREADABLE",
                    "%s '%s' cannot be opened with the dispatcher's key; was the key replaced? Enter"
                    " them again",
                    what, name);
        return ORDER_E_REFUSED;
}

static int set_target_secrets(CommandSecrets *secrets, uint64_t id, json_t *value) {
        char key[24];

        assert(secrets);

        if (!secrets->targets)
                secrets->targets = json_object();
        if (!secrets->targets) {
                json_decref(value);
                return -ENOMEM;
        }
        (void) snprintf(key, sizeof key, "%" PRIu64, id);
        return json_set(secrets->targets, key, value);
}

/* A capability of its own for this job: a stolen one opens nothing else, and it dies with the command. */
static int add_cap(Order *o, uint64_t target_id, const char *prefix,
                   uint32_t verbs) {
        _cleanup_(erase_and_freep) char *token = NULL;
        json_t *object;
        OrderCap *cap;
        int r;

        assert(o);

        if (o->n_caps >= ELEMENTSOF(o->caps))
                return -E2BIG;
        cap = o->caps + o->n_caps;
        r = token_new_hashed(TOKEN_RELAY, &token, cap->hash);
        if (r < 0)
                return r;
        cap->target_id = target_id;
        cap->verbs = verbs;
        cap->prefix = strdup(prefix);
        if (!cap->prefix)
                return -ENOMEM;
        o->n_caps++;
        object = json_object();
        if (!object)
                return -ENOMEM;
        r = json_set(object, "relay_token", json_string(token));
        if (r < 0) {
                json_decref(object);
                return r;
        }
        return set_target_secrets(&o->plain, target_id, object);
}

bool order_target_is_relay(const Target *target) {
        assert(target);

        return streq(strempty(target->type), TYPE_RELAY);
}

/* What the API sealed; ORDER_E_REFUSED where it cannot be opened. */
static int open_secrets(const OrderContext *x, const char *sealed, const char *what, const char *name,
                        json_t **ret, Failure *reterr_failure) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        int r;

        assert(x);
        assert(ret);

        r = unseal(x->identity, sealed, &plain);
        if (r == -ENOMEM)
                return r;
        if (r >= 0)
                r = json_parse_strict(plain.data, plain.size, JSON_DEPTH_DEFAULT, ret, NULL);
        return r < 0 ? unreadable(reterr_failure, what, name) : 0;
}

int order_add_target(const OrderContext *x, Order *o, const Target *target,
                     const char *prefix, uint32_t verbs, Failure *reterr_failure) {
        _cleanup_(freep) char *sealed = NULL;
        json_t *value = NULL;
        int r;

        assert(o);
        assert(x);
        assert(target);

        if (order_target_is_relay(target))
                return add_cap(o, target->id, prefix, verbs);
        r = target_get_secrets(x->store, target->id, &sealed);
        if (r < 0)
                return r;
        if (r > 0 || isempty(sealed))
                return 0;
        r = open_secrets(x, sealed, "The secrets of target", strempty(target->name), &value, reterr_failure);
        if (r != 0)
                return r;
        return set_target_secrets(&o->plain, target->id, value);
}

int order_open_database(const OrderContext *x, const char *sealed, const char *what, const char *name,
                        Order *o, Failure *reterr_failure) {
        _cleanup_json_ json_t *value = NULL;
        const char *password;
        int r;

        assert(o);
        assert(x);
        assert(sealed);

        r = open_secrets(x, sealed, what, name, &value, reterr_failure);
        if (r != 0)
                return r;
        password = json_string_value(json_object_get(value, "password"));
        o->plain.database = password ? strdup(password) : NULL;
        return password && !o->plain.database ? -ENOMEM : 0;
}

int order_add_database(const OrderContext *x, uint64_t task_id, const char *task_name, Order *o,
                       Failure *reterr_failure) {
        _cleanup_(freep) char *sealed = NULL;
        int r;

        assert(o);
        assert(x);

        r = task_get_secrets(x->store, task_id, &sealed);
        if (r < 0)
                return r;
        if (r > 0 || isempty(sealed))
                return 0;
        return order_open_database(x, sealed, "The password of task", strempty(task_name), o,
                                   reterr_failure);
}

int order_server_of(const Task *task, DatabaseServer *ret, Failure *reterr_failure) {
        _cleanup_(database_source_done) DatabaseSource source = DATABASE_SOURCE_NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        assert(task);
        assert(ret);

        r = json_parse_text(task->source, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        r = database_source_read(&reader, source_type_from_string(task->type), &source);
        if (r < 0)
                return r == -EBADMSG ? (int) ORDER_E_REFUSED : r;
        *ret = source.server;
        source.server = DATABASE_SERVER_NULL;
        return 0;
}

int order_seal(Order *o, const Node *node) {
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_json_ json_t *json = NULL;
        AgeRecipient recipient;
        size_t n;
        int r;

        assert(o);
        assert(node);

        if (!node->public_key || age_recipient_parse(node->public_key, &recipient) < 0)
                return ORDER_E_NO_KEY;
        r = command_secrets_build(&o->plain, &json);
        if (r >= 0)
                r = json_format(json, &text, &n);
        if (r >= 0)
                r = seal(&recipient, text, n, &o->secrets);
        command_secrets_done(&o->plain);
        return r;
}

/* --- Archive identities --- */

static int make_identity(const OrderContext *x, uint64_t node_id) {
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        char text[AGE_IDENTITY_TEXT_SIZE], recipient_text[AGE_RECIPIENT_TEXT_SIZE];
        CLEANUP_ERASE(text);
        _cleanup_(freep) char *sealed = NULL;
        AgeRecipient recipient;
        int r;

        assert(x);

        r = age_identity_generate(&identity);
        if (r >= 0)
                r = age_identity_recipient(&identity, &recipient);
        if (r < 0)
                return r;
        age_identity_format(&identity, text);
        r = seal(x->recipient, text, strlen(text), &sealed);
        if (r < 0)
                return r;
        return node_identity_set(x->store, node_id, age_recipient_format(&recipient, recipient_text),
                                 sealed);
}

int order_archive_recipient(const OrderContext *x, uint64_t node_id, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *recipient = NULL, *sealed = NULL;
        int r;

        assert(x);
        assert(ret);

        r = node_identity_get(x->store, node_id, &recipient, &sealed);
        if (r == STORE_E_NOT_FOUND) {
                r = make_identity(x, node_id);
                /* Somebody was faster: theirs counts. */
                if (r < 0 || (r > 0 && r != STORE_E_EXISTS))
                        return r;
                r = node_identity_get(x->store, node_id, &recipient, &sealed);
        }
        if (r < 0)
                return r;
        if (r > 0 || isempty(recipient)) {
                failure_set(reterr_failure, 0, "NODE_NOT_FOUND", "The node has no archive identity");
                return ORDER_E_REFUSED;
        }
        *ret = TAKE_PTR(recipient);
        return 0;
}

static int open_identity(const OrderContext *x, const Run *source, AgeIdentity *ret,
                         Failure *reterr_failure) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        _cleanup_(freep) char *recipient = NULL, *sealed = NULL;
        int r;

        assert(x);
        assert(source);

        r = node_identity_get(x->store, source->node_id, &recipient, &sealed);
        if (r < 0)
                return r;
        if (r > 0 || isempty(sealed)) {
                failure_set(reterr_failure, 0, "IDENTITY_MISSING",
                            "There is no archive identity for node '%s', which wrote run %" PRIu64,
                            strempty(source->node_name), source->id);
                return ORDER_E_REFUSED;
        }
        r = unseal(x->identity, sealed, &plain);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || age_identity_parse(plain.data, ret) < 0)
                return unreadable(reterr_failure, "The archive identity of node",
                                  strempty(source->node_name));
        return 0;
}

static int unwrap_key(const json_t *object, const AgeIdentity *identity, uint8_t *ret_key) {
        const char *text = json_string_value(json_object_get(object, "age_header"));
        _cleanup_(freep) void *header = NULL;
        const AgeKeys keys = { .identities = identity, .n_identities = 1 };
        size_t n;
        int r;

        r = base64_decode(BASE64_STANDARD, text, strlen(text), &header, &n);
        return r < 0 ? r : age_header_unwrap(header, n, &keys, ret_key);
}

/* data.tar.zst.age, entries.zst.age, manifest.json.zst.age: told by the first part of the name. Of volumes
 * the first one has the header. */
static int unwrap_objects(const json_t *objects, const AgeIdentity *identity, CommandSecrets *secrets,
                          unsigned *ret_found) {
        assert(secrets);

        struct {
                const char *prefix;
                uint8_t *key;
                bool found;
        } kinds[] = {
                { "data.", secrets->key_data, false },
                { "entries.", secrets->key_entries, false },
                { "manifest.", secrets->key_manifest, false },
        };
        const json_t *object;
        size_t i;

        json_array_foreach((json_t *) objects, i, object) {
                const char *name = json_string_value(json_object_get(object, "name"));

                if (!name || !json_is_string(json_object_get(object, "age_header")))
                        continue;
                for (size_t k = 0; k < ELEMENTSOF(kinds); k++) {
                        int r;

                        if (kinds[k].found || !startswith(name, kinds[k].prefix))
                                continue;
                        r = unwrap_key(object, identity, kinds[k].key);
                        if (r < 0)
                                return r;
                        kinds[k].found = true;
                        (*ret_found)++;
                }
        }
        return 0;
}

static bool any_header(const json_t *objects) {
        const json_t *object;
        size_t i;

        json_array_foreach((json_t *) objects, i,
                           object) if (json_is_string(json_object_get(object, "age_header"))) return true;
        return false;
}

int order_file_keys(const OrderContext *x, const Run *source, Order *o, bool *ret_encrypted,
                    Failure *reterr_failure) {
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        _cleanup_json_ json_t *objects = NULL;
        unsigned found = 0;
        int r;

        assert(o);
        assert(x);
        assert(source);
        assert(ret_encrypted);

        if (isempty(source->objects))
                return 0;
        r = json_parse_text(source->objects, &objects, NULL);
        if (r < 0)
                return r;
        if (!any_header(objects)) {
                *ret_encrypted = false;
                return 0;
        }
        r = open_identity(x, source, &identity, reterr_failure);
        if (r != 0)
                return r;
        r = unwrap_objects(objects, &identity, &o->plain, &found);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || found < 3) {
                failure_set(reterr_failure, 0, "KEYS_UNREADABLE",
                            "The keys of run %" PRIu64
                            " cannot be opened with the archive identity of node '%s'",
                            source->id, strempty(source->node_name));
                return ORDER_E_REFUSED;
        }
        o->plain.has_file_keys = true;
        *ret_encrypted = true;
        return 0;
}
