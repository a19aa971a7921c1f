#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/store alone: rows of commands, for the two halves of the queue. */

#include "store/db.h"
#include "store/queue.h"

extern const RowType command_type;

/* What a decision about a command's lease needs. */
typedef struct CommandBrief {
        uint64_t id;
        uint64_t run_id;
        uint64_t node_id;
        CommandState state;
        uint32_t attempt;
        Stamp heard;
} CommandBrief;

extern const RowType command_brief_type;

/* dispatched -> pending, or cancelled when that was asked for. STORE_E_STATE: not dispatched with this
 * attempt. */
int queue_return(Store *s, const CommandBrief *b, usec_t wall) _warn_unused_;
