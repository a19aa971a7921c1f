#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What handlers that ask a node share: a question for the dispatcher, an answer for clients. */

#include "store/queue.h"

#include "services/api/sibling.h"

typedef struct ProbeListing {
        const char *path; /* borrowed */
        const char *cursor;
        uint32_t limit;
} ProbeListing;

/* Whether the node of the path is there; answers with 404 and gives -EBADMSG otherwise. */
int probe_check_node(Request *r) _warn_unused_;
/* The query of a listing: path, limit (at most max), cursor. Answers with 400 and gives -EBADMSG where one
 * of them is wrong. An empty path stays empty. */
int probe_listing_query(Request *r, uint32_t limit, uint32_t max, ProbeListing *ret) _warn_unused_;
/* {"path","limit","cursor"}; NULL: no memory. */
json_t *probe_listing_spec(const ProbeListing *l);

/* Asks: {"node_id","kind","spec"} and who does. more (taken over, may be NULL) has further members. */
int probe_ask(Request *r, uint64_t node_id, const char *kind, json_t *spec, json_t *more,
              SiblingReply reply) _warn_unused_;

/* Answers with a page of entries. */
void probe_listing_done(Request *r, int error, uint64_t command_id, const Failure *failure);

/* Reads the command that ended. One that did not succeed is answered for with the node's words: -EBADMSG. */
int probe_result(Request *r, uint64_t command_id, Command *ret_command, json_t **ret_result) _warn_unused_;
