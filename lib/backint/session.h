#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One call of Backint: the requests of its input, answered by a few threads. Requests are begun in their
 * order, as the interface wants it, and answered as they end. Every request gets an answer, also when the
 * call is ended in the middle.
 *
 * What is in the storage counts: a piece is #SAVED once its object is committed there, and never before. */

#include <stdatomic.h>

#include "backint/answer.h"
#include "backint/catalog.h"
#include "backint/parameters.h"
#include "backint/request.h"
#include "storage/storage.h"

/* What one answer to #NULL may list. */
#define BACKINT_FOUND_MAX 250000U

typedef struct BackintSession {
        const BackintParameters *parameters;
        BackintFunction function;
        const char *user;  /* of -u: "HDB", "TENANT@HDB" */
        const char *level; /* of -l; may be NULL */
        Storage *storage;
        BackintCatalog *catalog; /* may be NULL */
        BackintAnswers *answers;
        bool *answered;                 /* of each request; changed by backint_answers_add() alone */
        const AgeRecipient *recipients; /* none: pieces are not sealed */
        size_t n_recipients;
        const AgeIdentity *identities; /* none: sealed pieces cannot be opened */
        size_t n_identities;
        const atomic_bool *cancel; /* the storage has the same */
        int stop_fd;               /* readable once cancel is set */
        pid_t parent;              /* who writes to the pipes: what came from one that is gone may be cut */
        /* What happened, for a log; may be NULL. From any thread, one at a time. */
        void *userdata;
        void (*on_event)(void *userdata, const char *text);
} BackintSession;

/* How much of its memory a call gives to one stream of the storage: a part, as "part_size" or "block_size"
 * of a target count them, in MiB. The more streams, the smaller. */
unsigned backint_part_mib(unsigned parallel, size_t n_requests);

/* Answers all requests. Negative errno only where no thread could be started; what failed is in the
 * answers. */
int backint_session_run(const BackintSession *s, const BackintInput *input) _warn_unused_;
/* While that runs, and does not end: answers what has no answer yet with an error, and what comes later is
 * no answer any more. From another thread, which then ends the process. */
void backint_session_give_up(const BackintSession *s, const BackintInput *input);
