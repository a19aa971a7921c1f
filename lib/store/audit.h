#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Who changed what. Append only; every daemon appends, in the transaction of the change itself. */

#include "store/store.h"

typedef struct AuditEntry {
        uint64_t id;
        usec_t at;
        uint64_t user_id; /* 0: the suite itself */
        char *username;
        char *address;
        char *action;      /* "task.update" */
        char *object_type; /* "task" */
        uint64_t object_id;
        char *object_name;
        char *detail; /* JSON, never a secret */
} AuditEntry;

#define AUDIT_ENTRY_NULL ((AuditEntry){})

void audit_entry_done(AuditEntry *e);

typedef struct AuditList {
        AuditEntry *items;
        size_t n;
} AuditList;

#define AUDIT_LIST_NULL ((AuditList){})

void audit_list_done(AuditList *l);

typedef struct AuditFilter {
        uint64_t user_id;
        const char *object_type;
        uint64_t object_id;
        const char *action;
} AuditFilter;

int audit_add(Store *s, const AuditEntry *e) _warn_unused_;
/* Newest first; before_id 0 starts at the newest. filter may be NULL. */
int audit_list(Store *s, const AuditFilter *filter, uint64_t before_id, size_t limit, AuditList *ret)
                _warn_unused_;
