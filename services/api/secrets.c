/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "crypto/seal.h"
#include "sys/daemon.h"
#include "wire/names.h"

#include "services/api/api.h"
#include "services/api/secrets.h"

int secrets_seal(Request *r, const json_t *secrets, char **ret_sealed) {
        _cleanup_(erase_and_freep) char *text = NULL;
        AgeRecipient dispatcher;
        size_t n;
        int error;

        assert(r);
        assert(ret_sealed);

        if (json_object_size(secrets) == 0)
                return (*ret_sealed = strdup("")) ? 0 : -ENOMEM;
        error = api_dispatcher_key(r->api, &dispatcher);
        if (error < 0)
                return request_refused(
                                request_fail(r, ERROR_UNAVAILABLE,
                                             "The dispatcher's public key (%s/" FILE_DISPATCHER_KEY
                                             ") cannot be read yet: without it no secret can be kept.",
                                             daemon_state_directory()));
        error = json_format(secrets, &text, &n);
        return error < 0 ? error : seal(&dispatcher, text, n, ret_sealed);
}

/* jansson frees strings as they are. */
void secrets_wipe(Request *r) {
        assert(r);

        if (r->body.data)
                explicit_bzero(r->body.data, r->body.size);
}
