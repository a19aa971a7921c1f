#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What SAP HANA asks for: the input file of a call of Backint.
 *
 *     #SOFTWAREID "backint 1.04" "HANA HDB server 2.00.059"     every function
 *     #TOOLOPTION "text"                                        every function; has no meaning here
 *     #PIPE NAME [SIZE]   #FILE NAME [SIZE]                     backup
 *     #EBID ID NAME [DESTINATION]   #NULL NAME [DESTINATION]    restore; #NULL: the newest
 *     #EBID ID [NAME]   #NULL [NAME]                            inquire; #NULL: all
 *     #EBID ID NAME                                             delete
 *
 * A line that begins with none of these is a comment. */

#include "base/failure.h"
#include "base/macros.h"

/* One call has a line a piece: thousands, when old log backups are deleted. */
#define BACKINT_INPUT_MAX (16U << 20)
#define BACKINT_REQUESTS_MAX 65536U

/* Versions of the interface, as numbers. */
#define BACKINT_VERSION_OLDEST 104U
#define BACKINT_VERSION 150U

typedef enum BackintFunction {
        BACKINT_BACKUP,
        BACKINT_RESTORE,
        BACKINT_INQUIRE,
        BACKINT_DELETE,
        _BACKINT_FUNCTION_MAX,
        _BACKINT_FUNCTION_INVALID = -22, /* -EINVAL */
} BackintFunction;

/* "backup", "restore", "inquire", "delete". */
DECLARE_STRING_TABLE(backint_function, BackintFunction);

typedef enum BackintKeyword {
        BACKINT_PIPE,
        BACKINT_FILE,
        BACKINT_EBID,
        BACKINT_NULL,
        _BACKINT_KEYWORD_MAX,
        _BACKINT_KEYWORD_INVALID = -22, /* -EINVAL */
} BackintKeyword;

/* "#PIPE" and so on. */
DECLARE_STRING_TABLE(backint_keyword, BackintKeyword);

typedef struct BackintRequest {
        BackintKeyword keyword;
        char *ebid;        /* of #EBID */
        char *name;        /* NULL: not given */
        char *destination; /* restore: where it goes; NULL: to its name */
} BackintRequest;

typedef struct BackintInput {
        unsigned version; /* of the interface: what both sides know */
        BackintRequest *requests;
        size_t n_requests;
} BackintInput;

#define BACKINT_INPUT_NULL ((BackintInput){ .version = BACKINT_VERSION_OLDEST })

void backint_input_done(BackintInput *input);
/* -EBADMSG with code BACKINT_INPUT and the number of the line. */
int backint_input_parse(BackintFunction function, const char *data, size_t n, BackintInput *ret,
                        Failure *reterr_failure) _warn_unused_;
