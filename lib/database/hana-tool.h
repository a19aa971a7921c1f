#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* hdbsql, the client of SAP HANA: one call for each question, with its statements and the login on standard
 * input, which is a file without a name. Its own exit status, the errors that it prints, and the mark of the
 * end all have to say that it went well. */

#include <stdatomic.h>

#include "base/backoff.h"
#include "database/hana-sql.h"
#include "database/tool.h"

/* Where SAP's own installers put it, when it is not in the list of directories. */
extern char *const hana_places_default[];

/* Between tries; the delay doubles up to the cap, with jitter. */
#define HANA_RETRY_BASE (5 * USEC_PER_SEC)
#define HANA_RETRY_CAP (5 * USEC_PER_MINUTE)

typedef struct HanaTool {
        char *path;
        const HanaSettings *settings; /* not owned, nor are the next two */
        const char *password;
        const atomic_bool *cancel;
        usec_t retry_base, retry_cap; /* 0: those above */
} HanaTool;

#define HANA_TOOL_NULL ((HanaTool){})
void hana_tool_done(HanaTool *t);
/* TOOL_MISSING. settings, password and cancel are taken over as they are. */
int hana_tool_find(const ToolFinder *finder, const HanaSettings *settings, const char *password,
                   const atomic_bool *cancel, HanaTool *ret, Failure *reterr_failure) _warn_unused_;

/* Runs these statements (as of hana_sql_add(), without the end). -EACCES, with a failure: another try would
 * end the same; -EREMOTEIO: another may do; -ECANCELED. */
int hana_tool_run(const HanaTool *t, const char *statements, HanaAnswer *ret,
                  Failure *reterr_failure) _warn_unused_;

/* The same for what only asks: again, as often as the settings say. */
int hana_tool_ask(const HanaTool *t, const char *statements, HanaAnswer *ret,
                  Failure *reterr_failure) _warn_unused_;

Backoff hana_tool_backoff(const HanaTool *t);
/* Waits for the next try, or -ECANCELED. */
int hana_tool_pause(const HanaTool *t, Backoff *backoff) _warn_unused_;
