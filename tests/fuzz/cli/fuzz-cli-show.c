/* SPDX-License-Identifier: Apache-2.0 */

/* What a server sends is shown on a terminal: whatever it is, nothing of it may drive the terminal. */

#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/entities.h"
#include "cli/follow.h"
#include "cli/table.h"
#include "tests/test.h"

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_safe(const char *text) {
        _cleanup_(freep) char *safe = NULL;

        CHECK_OK(text_safe(text, &safe));
        for (const char *p = safe; *p; p++)
                CHECK((unsigned char) *p >= 0x20 && *p != 0x7F);
        CHECK(utf8_is_valid(safe, strlen(safe)));
        CHECK(text_width(safe) <= strlen(safe));
}

static void show_columns(const json_t *json) {
        static const char *const nouns[] = { "nodes", "tasks", "targets", "runs",
                                             "restores", "keys", "users", "logs" };

        for (size_t i = 0; i < ELEMENTSOF(nouns); i++) {
                const Entity *e = entity_find(nouns[i]);

                for (size_t j = 0; j < e->n_columns; j++) {
                        _cleanup_(freep) char *text = NULL;

                        if (show_value(json, e->columns + j, &text) >= 0 && text)
                                check_safe(text);
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size), *bar = NULL;
        _cleanup_json_ json_t *json = NULL;

        CHECK(text);
        check_safe(text);
        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, NULL) < 0 || !json_is_object(json))
                return 0;
        show_columns(json);
        if (follow_bar(json, 80, &bar) >= 0)
                CHECK(strlen(bar) < 80);
        return 0;
}
