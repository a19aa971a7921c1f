/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tests/storage/tool.h"

static void *cancel_main(void *userdata) {
        ToolCancel *c = ASSERT_PTR(userdata);

        (void) usleep((useconds_t) c->after * 1000);
        atomic_store(&c->flag, true);
        return NULL;
}

void tool_cancel_start(ToolCancel *c) {
        pthread_t thread;

        assert(c);

        if (c->after > 0 && pthread_create(&thread, NULL, cancel_main, c) == 0)
                (void) pthread_detach(thread);
}

void tool_die(const char *what, const Failure *f, int r) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, failure_message(f, r));
        exit(2);
}

void tool_log(void *userdata, ArchiveLogLevel level, const char *text) {
        fprintf(stderr, "%s: %s\n", archive_log_level_to_string(level), text);
}

void tool_print(json_t *json) {
        _cleanup_(freep) char *text = NULL;

        if (!json || json_format(json, &text, NULL) < 0)
                exit(2);
        puts(text);
        json_decref(json);
}

int tool_status(ArchiveState state) {
        static const int status[_ARCHIVE_STATE_MAX] = { 0, 3, 4, 5 };

        return status[state];
}
