#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What an answer of the master means for whoever asked. Pure. */

#include "agent/daemon/http-multi.h"
#include "wire/json.h"

typedef enum ReplyVerdict {
        REPLY_OK,           /* data is set */
        REPLY_EMPTY,        /* 204 */
        REPLY_RETRY,        /* no answer, or one that will be another later */
        REPLY_UNAUTHORIZED, /* the token is not (any more, or not yet) a node's: ask again, slowly */
        REPLY_DUPLICATE,    /* another agent answers for this node */
        REPLY_STALE,        /* this attempt is not ours any more: drop it */
        REPLY_REFUSED,      /* repeating the same will not help */
        _REPLY_VERDICT_MAX,
        _REPLY_VERDICT_INVALID = -22, /* -EINVAL */
} ReplyVerdict;

DECLARE_STRING_TABLE(reply_verdict, ReplyVerdict);

/* An administrator disabled the node: its work is not wanted, and it asks slowly until it is enabled. */
#define CODE_NODE_DISABLED "NODE_DISABLED"

typedef struct Reply {
        ReplyVerdict verdict;
        unsigned status;    /* 0: there was no answer */
        json_t *data;       /* an object, where the verdict is REPLY_OK */
        char *code;         /* of an error the master names */
        char *message;      /* for people, where the verdict is neither REPLY_OK nor REPLY_EMPTY */
        usec_t retry_after; /* 0: not said */
} Reply;

#define REPLY_NULL ((Reply){ .verdict = REPLY_RETRY })

/* A master that names hours has made a mistake, or is not ours. */
#define REPLY_RETRY_AFTER_MAX (10 * USEC_PER_MINUTE)

void reply_done(Reply *r);
/* Never fails: what cannot be understood is a REPLY_RETRY that says so. */
void reply_read(const HttpReply *http, Reply *ret);
