#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The report of a node's check: what was looked at, how it is, and what to do about it.
 *
 *         {"items":[{"name","state":"ok|warning|error","text","hint":null or what to do,
 *                    "code":of a failure, or absent}],
 *          "tools":{"pg_dump":"15.6",…}}
 *
 * Made on the node, read by the master, which treats it as hostile. */

#include "base/failure.h"
#include "wire/json.h"

typedef enum CheckState {
        CHECK_STATE_OK,
        CHECK_STATE_WARNING, /* works, but somebody should look */
        CHECK_STATE_ERROR,   /* something will not work */
        _CHECK_STATE_MAX,
        _CHECK_STATE_INVALID = -22, /* -EINVAL */
} CheckState;

DECLARE_STRING_TABLE(check_state, CheckState);

#define CHECK_ITEMS_MAX 32
#define CHECK_NAME_MAX 64 /* bytes */
#define CHECK_TEXT_MAX 500
#define CHECK_TOOLS_MAX 32

/* Appends an item to an array; hint may be NULL. Text that is no UTF-8, or longer than may be, is brought
 * into form. */
int check_add(json_t *items, const char *name, CheckState state, const char *hint, const char *format, ...)
                _printf_(5, 6) _warn_unused_;

/* An error: the failure's sentence, and its code for programs. error stands in where it has none. */
int check_add_failure(json_t *items, const char *name, const Failure *failure, int error) _warn_unused_;

/* The worst of a list, and how many are so. */
CheckState check_worst(const json_t *items, unsigned *ret_n);
/* "2 errors: storage: …", of the first of the worst; NULL where all is ok. Allocates. */
int check_summary(const json_t *items, char **ret) _warn_unused_;

/* {"items","tools"} of another process, in its normal form: unknown members are left out. */
int check_report_parse(const json_t *json, json_t **ret, Failure *reterr_failure) _warn_unused_;
