/* SPDX-License-Identifier: Apache-2.0 */

/* From a target's configuration to the environment of a child. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/rclone.h"

#define MEMORY_AIM "GOMEMLIMIT=64MiB"
#define DESCRIBE_STALL (5 * USEC_PER_SEC)
#define SECRET_HIDE_MIN 3 /* shorter ones are in every message */

static const char *const programs[] = { "/usr/local/bin/rclone", "/usr/bin/rclone" };

/* Nothing of ours: no proxy, no authority, no configuration that the host has for others. */
static const char *const environment[] = {
        "PATH=/usr/bin:/bin",
        "LC_ALL=C",
        "HOME=/nonexistent",
        "RCLONE_CONFIG=/dev/null",
        "GOMAXPROCS=2", /* threads count in the limits of a job */
        MEMORY_AIM,     /* from here on it looks for garbage all the time */
};

const char *rclone_program(void) {
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                if (access(programs[i], X_OK) >= 0)
                        return programs[i];
        return NULL;
}

int rclone_config_new(Rclone **ret) {
        Rclone *rc;

        assert(ret);

        rc = new0(Rclone, 1);
        if (!rc)
                return -ENOMEM;
        (void) pthread_mutex_init(&rc->lock, NULL);
        *ret = rc;
        return 0;
}

static char **erase_list(char **l) {
        STRV_FOREACH(s, l)
                explicit_bzero(*s, strlen(*s));
        return strv_free(l);
}

void rclone_config_free(Rclone *rc) {
        assert(rc);

        (void) pthread_mutex_destroy(&rc->lock);
        rc->environment = erase_list(rc->environment);
        rc->secrets = erase_list(rc->secrets);
        free(rc->directory);
        free(rc->program);
        free(rc->stall);
        free(rc);
}

static int describe(RcloneSession *x, RcloneDescription *ret, Failure *reterr_failure) {
        _cleanup_buffer_ Buffer answer = BUFFER_LIMITED(RCLONE_DESCRIPTION_MAX);
        int r;

        assert(x);

        r = rclone_child_run(x, (const char *const[]){ "config", "providers", NULL }, &answer);
        if (r < 0)
                return failure_set(reterr_failure, r, "STORAGE_FAILED",
                                   "%s does not describe its backends: %s.", x->rclone->program,
                                   x->head.error[0] ? x->head.error : strerror(-r));
        return rclone_description_parse(answer.data, answer.size, ret, reterr_failure);
}

/* "RCLONE_CONFIG_X_ACCESS_KEY_ID=…" */
static int variable_add(Rclone *rc, const char *option, const char *value) {
        _cleanup_(erase_and_freep) char *text = NULL;
        int r;

        r = asprintf_safe(&text, RCLONE_OPTION_PREFIX "%s=%s", option, value);
        if (r < 0)
                return r;
        for (char *p = text + STRLEN(RCLONE_OPTION_PREFIX); *p != '='; p++)
                if (*p >= 'a' && *p <= 'z')
                        *p = (char) (*p - 'a' + 'A');
        return strv_extend(&rc->environment, text);
}

static int secret_add(Rclone *rc, const RcloneOption *o, const char *value) {
        _cleanup_(erase_and_freep) char *obscured = NULL;
        int r = 0;

        assert(o);

        if (strlen(value) >= SECRET_HIDE_MIN)
                r = strv_extend(&rc->secrets, value);
        if (r < 0 || !o->is_password)
                return r < 0 ? r : variable_add(rc, o->name, value);
        r = rclone_obscure(value, &obscured);
        if (r >= 0)
                r = strv_extend(&rc->secrets, obscured);
        return r < 0 ? r : variable_add(rc, o->name, obscured);
}

static int environment_make(Rclone *rc, const RcloneBackend *b, const StorageConfig *config) {
        const char *name;
        json_t *value;
        int r;

        assert(b);

        r = variable_add(rc, "type", b->title);
        json_object_foreach((json_t *) config->config, name, value) {
                if (r >= 0 && rclone_option_find(b, name))
                        r = variable_add(rc, name, strempty(json_string_value(value)));
        }
        json_object_foreach((json_t *) config->secrets, name, value) {
                if (r >= 0)
                        r = secret_add(rc, rclone_option_find(b, name), strempty(json_string_value(value)));
        }
        return r;
}

/* Asks the program, and checks by what it says. */
static int options_check(Storage *s, Rclone *rc, const StorageConfig *config, Failure *f) {
        const char *name = rclone_type_backend(config->type);
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        RcloneSession x = { .head.storage = s, .rclone = rc };
        const RcloneBackend *b;
        int r;

        r = describe(&x, &d, f);
        if (r < 0)
                return r;
        b = rclone_backend_find(&d, name);
        if (!b)
                return failure_set_field(f, -EINVAL, "STORAGE_TYPE_UNKNOWN", "type",
                                         "%s of this node has no backend '%s' (%s).", rc->program, name,
                                         s->name);
        r = rclone_options_check(b, config->config, config->secrets, f);
        return r < 0 ? r : environment_make(rc, b, config);
}

/* What every child needs, with a remote or without. */
static int program_find(const Storage *s, Rclone *rc, Failure *f) {
        const char *program = rclone_program();
        int r;

        assert(rc);

        if (!program)
                return failure_set(f, -EINVAL, "STORAGE_TYPE_UNKNOWN",
                                   "This node has no rclone (%s). Install the package rclone there.",
                                   s->name);
        /* Its own limit comes behind ours, which says what it is. */
        r = asprintf_safe(&rc->stall, "%" PRIu64 "ms", 2 * s->stall / USEC_PER_MSEC);
        if (r >= 0)
                r = free_and_strdup(&rc->program, program);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(environment); i++)
                r = strv_extend(&rc->environment, environment[i]);
        return r;
}

int rclone_config_read(Storage *s, Rclone *rc, const StorageConfig *config, Failure *reterr_failure) {
        int r;

        assert(s);

        r = program_find(s, rc, reterr_failure);
        return r < 0 ? r : options_check(s, rc, config, reterr_failure);
}

int rclone_describe_host(const atomic_bool *cancel, RcloneDescription *ret, Failure *reterr_failure) {
        Storage s = { .name = (char *) "its description", .cancel = cancel, .stall = DESCRIBE_STALL };
        RcloneSession x = { .head.storage = &s };
        Rclone *rc = NULL;
        int r;

        assert(ret);

        r = rclone_config_new(&rc);
        if (r < 0)
                return r;
        x.rclone = rc;
        r = program_find(&s, rc, reterr_failure);
        if (r >= 0)
                r = describe(&x, ret, reterr_failure);
        rclone_config_free(rc);
        return r;
}
