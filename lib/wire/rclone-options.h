#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The backends of rclone and their options, as rclone itself describes them (`rclone config providers`), and
 * what of them may be in the configuration of a target.
 *
 * A target has the type "rclone:BACKEND". A master need not have rclone, so requests are checked by form
 * alone; the node that reaches the target checks them by the description of the rclone that it has. */

#include "wire/json.h"

#define RCLONE_TYPE_PREFIX "rclone:"
/* Debian's 1.60 describes itself in 0.6 MB: 46 backends, 80 options at most. */
#define RCLONE_DESCRIPTION_MAX (4U << 20)
#define RCLONE_BACKENDS_MAX 256U
#define RCLONE_OPTIONS_MAX 512U
#define RCLONE_CHOICES_MAX 512U
#define RCLONE_NAME_MAX 64U
#define RCLONE_VALUE_MAX 4096U
#define RCLONE_HELP_MAX 8192U
/* Options in one configuration. */
#define RCLONE_GIVEN_MAX 32U

typedef enum RcloneKind {
        RCLONE_TEXT,
        RCLONE_NUMBER,
        RCLONE_SWITCH,
} RcloneKind;

typedef struct RcloneOption {
        char *name, *help;
        char *standard; /* what it is when it is not given; may be "" */
        char *provider; /* only for these values of the option "provider"; "" for all */
        char **choices; /* suggested, or the only ones; may be NULL */
        RcloneKind kind;
        bool is_exclusive; /* the choices are the only ones */
        bool is_required, is_advanced;
        bool is_password; /* rclone wants it obscured */
        bool is_secret;   /* also where is_password is not set */
} RcloneOption;

typedef struct RcloneBackend {
        char *name;            /* "gcs": the BACKEND of a type */
        char *title;           /* "google cloud storage", as rclone's type has it */
        char *about;           /* one sentence */
        RcloneOption *options; /* one name may be there more than once, for several providers */
        size_t n_options;
} RcloneBackend;

typedef struct RcloneDescription {
        RcloneBackend *backends;
        size_t n;
} RcloneDescription;

/* Reads the description: JSON, at most RCLONE_DESCRIPTION_MAX bytes. -EBADMSG: not one. */
int rclone_description_parse(const void *data, size_t n, RcloneDescription *ret, Failure *reterr_failure)
                _warn_unused_;
void rclone_description_done(RcloneDescription *d);
/* NULL: this rclone has no such backend. */
const RcloneBackend *rclone_backend_find(const RcloneDescription *d, const char *name);
/* The first of that name, or NULL. */
const RcloneOption *rclone_option_find(const RcloneBackend *b, const char *name);

bool rclone_backend_name_is_valid(const char *name);
/* The backend in the name of a type, or NULL where that is none: "drive" of "rclone:drive". */
const char *rclone_type_backend(const char *type);
/* What is wrong with the name of an option, or with a value in the configuration, whatever the backend;
 * NULL: nothing. Texts for "config.x …". */
const char *rclone_name_complaint(const char *name);
const char *rclone_value_complaint(const char *name, const char *value);
/* Whether rclone wants the value of an option obscured, for where no description is at hand. */
bool rclone_name_is_password(const char *name);
/* Of the path on the remote. */
const char *rclone_path_complaint(const char *path);
/* The directory of the node that a target is in, for whoever lets nodes be written: where the backend is
 * "local", or stands before a directory ("crypt" with its option "remote"). NULL: it is elsewhere. */
const char *rclone_directory(const char *type, const json_t *config);
/* One of a backend, for forms: its name, title and one sentence; with is_whole its options. */
int rclone_backend_build(const RcloneBackend *b, bool is_whole, json_t **ret) _warn_unused_;

/* Checks all that a target gives for a backend; config and secrets as in StorageConfig. -EINVAL, and the
 * failure names the field. */
int rclone_options_check(const RcloneBackend *b, const json_t *config, const json_t *secrets,
                         Failure *reterr_failure);
