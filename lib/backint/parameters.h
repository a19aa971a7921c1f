#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The parameter file of a Backint program, which global.ini of SAP HANA names: lines "#KEY = VALUE", as such
 * files have them. Empty lines, lines that begin with ';' and lines that begin with "# " are comments.
 *
 *     #STORAGE_TYPE = s3                         a type of lib/storage, but relay; required
 *     #STORAGE_CONFIG = /etc/…/storage.json      its settings as JSON: a file, absolute; or
 *     #STORAGE_CONFIG_JSON = {"bucket": "hana"}  the same in place
 *     #STORAGE_SECRETS = /etc/…/secrets.json     its secrets as JSON: a file that only its owner reads
 *     #KEY_PREFIX = hana-backup                  in front of all keys, none by default
 *     #PARALLEL_FACTOR = 8                       pieces at a time, 1 to 32
 *     #COMPRESS = true                           false: as good as not compressed
 *     #COMPRESSION_LEVEL = 3                     of zstd, 1 to 19
 *     #AGE_RECIPIENTS = age1…, age1…             whom pieces are sealed to; nobody by default
 *     #AGE_IDENTITY_FILE = /etc/…/identity       what opens sealed pieces; a file that only its owner reads
 *     #CATALOG_DB = /var/…/catalog.db            the local catalog; none by default
 *     #LOG_FILE = /var/…/backint.log             what failed and how long it took; none by default
 *     #PIPE_TIMEOUT = 10min                      how long to wait for the other end of a pipe
 *     #END_TIMEOUT = 20s                         how long a call that is ended by a signal may still go on
 *
 * An unknown key, a key twice or a bad value is an error with its line. */

#include "base/failure.h"
#include "base/times.h"

#define BACKINT_PARAMETERS_MAX (64U << 10)
/* What a line of ten tapes would want. Memory grows with it: see docs/hana.md. */
#define BACKINT_PARALLEL_MAX 32U
#define BACKINT_PARALLEL_DEFAULT 8U
#define BACKINT_LEVEL_DEFAULT 3
/* HANA opens its pipes at once; one that nobody opens belongs to a process that is gone. */
#define BACKINT_PIPE_TIMEOUT_DEFAULT (10 * USEC_PER_MINUTE)

/* What waits for a storage sees a signal at once; a disk that hangs does not. */
#define BACKINT_END_TIMEOUT_DEFAULT (20 * USEC_PER_SEC)

typedef struct BackintParameters {
        char *storage_type;
        char *storage_config;      /* a path, or NULL */
        char *storage_config_json; /* the text itself, or NULL */
        char *storage_secrets;
        char *key_prefix; /* "" or with a '/' at its end */
        unsigned parallel;
        bool compress;
        int level;
        char **recipients;
        char *identity_file;
        char *catalog;
        char *log_file;
        usec_t pipe_timeout, end_timeout;
} BackintParameters;

#define BACKINT_PARAMETERS_NULL ((BackintParameters){})

void backint_parameters_done(BackintParameters *p);
/* name is for messages. -EINVAL with code BACKINT_PARAMETERS. */
int backint_parameters_parse(const char *name, const char *data, size_t n, BackintParameters *ret,
                             Failure *reterr_failure) _warn_unused_;
