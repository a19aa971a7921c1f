/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/health.h"
#include "wire/json.h"

/* As json_format() writes it. */
#define CODE_FORMAT "\"code\":\"%s\""
#define CODE_MAX 64

static bool names(const char *text, NodeReason reason) {
        char part[CODE_MAX];

        (void) snprintf(part, sizeof part, CODE_FORMAT, node_reason_to_string(reason));
        return text && strstr(text, part);
}

bool health_reasons_match(const char *text, unsigned reasons) {
        if (!text || reasons == 0)
                return !text && reasons == 0;
        for (int i = 0; i < _NODE_REASON_MAX; i++)
                if (names(text, (NodeReason) i) != !!(reasons & 1U << i))
                        return false;
        return true;
}

/* The time of a reason in a list; NULL: it is not there. A new reference. */
static json_t *find_since(const json_t *list, const char *code) {
        const json_t *item;
        size_t i;

        json_array_foreach((json_t *) list, i, item) {
                if (streq_ptr(json_string_value(json_object_get(item, "code")), code))
                        return json_incref(json_object_get(item, "since"));
        }
        return NULL;
}

static json_t *format_one(NodeReason reason, const json_t *before, usec_t now) {
        const char *code = node_reason_to_string(reason);
        _cleanup_json_ json_t *json = json_object();
        json_t *since = find_since(before, code);

        if (!since)
                since = json_from_time(now);
        if (json_set(json, "code", json_from_string(code)) < 0) {
                json_decref(since);
                return NULL;
        }
        if (json_set(json, "message", json_from_string(node_reason_text(reason))) < 0) {
                json_decref(since);
                return NULL;
        }
        return json_set(json, "since", since) < 0 ? NULL : TAKE_PTR(json);
}

int health_reasons_format(unsigned reasons, const char *before, usec_t now, char **ret) {
        _cleanup_json_ json_t *list = NULL, *array = json_array();

        assert(ret);

        if (reasons == 0) {
                *ret = NULL;
                return 0;
        }
        /* What does not parse has no times to keep. */
        (void) !json_parse_text(before, &list, NULL);
        for (int i = 0; i < _NODE_REASON_MAX; i++)
                if (reasons & 1U << i && json_append(array, format_one((NodeReason) i, list, now)) < 0)
                        return -ENOMEM;
        return json_format(array, ret, NULL);
}
