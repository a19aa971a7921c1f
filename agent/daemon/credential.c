/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/daemon/credential.h"
#include "agent/daemon/state-dir.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/credentials.h"
#include "wire/names.h"

#define FILE_MAX 4096

/* The unit passes this word where no file of a token is there: a credential cannot be empty. */
#define CREDENTIAL_NONE "none"

static int clean(char *text, const char *where, char **ret, Failure *reterr_failure) {
        int r;

        r = token_clean(text);
        if (r < 0) {
                erase_and_free(text);
                return failure_set(reterr_failure, r, "TOKEN_INVALID", "%s holds no token", where);
        }
        *ret = text;
        return 0;
}

static int from_file(const char *path, char **ret, Failure *reterr_failure) {
        char *text;
        int r;

        r = read_file(AT_FDCWD, path, FILE_MAX, &text, NULL);
        if (r == -ENOENT) {
                *ret = NULL;
                return 0;
        }
        if (r < 0)
                return failure_set(reterr_failure, r, "TOKEN_UNREADABLE",
                                   "The token in %s cannot be read: %m", path);
        return clean(text, path, ret, reterr_failure);
}

static int from_credential(char **ret, Failure *reterr_failure) {
        char *text;
        int r;

        r = credential_read(CREDENTIAL_AGENT_TOKEN, FILE_MAX, &text, NULL);
        if (r == -ENXIO || r == -ENOENT) {
                *ret = NULL;
                return 0;
        }
        if (r < 0)
                return failure_set(reterr_failure, r, "TOKEN_UNREADABLE",
                                   "The credential %s cannot be read: %m", CREDENTIAL_AGENT_TOKEN);
        if (text[0] == 0 || streq(text, CREDENTIAL_NONE)) {
                erase_and_free(text);
                *ret = NULL;
                return 0;
        }
        return clean(text, "The credential " CREDENTIAL_AGENT_TOKEN, ret, reterr_failure);
}

int credential_given(const AgentOptions *options, char **ret, Failure *reterr_failure) {
        char *text;

        assert(options);
        assert(ret);

        if (!isempty(options->token)) {
                text = strdup(options->token);
                if (!text)
                        return -ENOMEM;
                return clean(text, "--token", ret, reterr_failure);
        }
        if (!isempty(options->token_file))
                return from_file(options->token_file, ret, reterr_failure);
        return from_credential(ret, reterr_failure);
}
