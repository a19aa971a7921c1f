#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Hashing takes 50 ms: it is done by a worker while the request waits. */

#include "store/user.h"

#include "services/api/request.h"

typedef struct PasswordJob PasswordJob;

/* Goes on with a request, in the loop; answers it. A negative errno is answered for it. */
typedef int (*PasswordThen)(Request *r, PasswordJob *j);

struct PasswordJob {
        Request *request; /* NULL: it was cancelled */
        PasswordThen then;

        bool verify; /* compare old_password with old_hash; no hash is no user, and takes as long */
        char *old_password;
        char *old_hash;
        int verified; /* 1, 0 or -errno */

        char *new_password; /* NULL: nothing to hash */
        char *new_hash;
        int hashed;

        User user; /* what then() needs to know: of its own choice */
};

PasswordJob *password_job_new(PasswordThen then);
PasswordJob *password_job_free(PasswordJob *j);
DEFINE_CLEANUP(PasswordJob *, password_job_free);

/* Suspends r and works; takes *j over where this gives 0. -EBUSY: too many wait. */
int password_job_start(Request *r, PasswordJob **j) _warn_unused_;
