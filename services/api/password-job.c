/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "crypto/password.h"

#include "services/api/api.h"
#include "services/api/password-job.h"

PasswordJob *password_job_new(PasswordThen then) {
        PasswordJob *j;

        assert(then);

        j = new0(PasswordJob, 1);
        if (j)
                j->then = then;
        return j;
}

PasswordJob *password_job_free(PasswordJob *j) {
        if (!j)
                return NULL;

        erase_and_free(j->old_password);
        erase_and_free(j->old_hash);
        erase_and_free(j->new_password);
        erase_and_free(j->new_hash);
        user_done(&j->user);
        free(j);
        return NULL;
}

static void run(void *userdata) {
        PasswordJob *j = ASSERT_PTR(userdata);

        if (j->verify)
                j->verified = password_verify(j->old_password, j->old_hash);
        if (j->new_password && (!j->verify || j->verified == 1))
                j->hashed = password_hash(j->new_password, &j->new_hash);
}

static int go_on(PasswordJob *j) {
        int error;

        assert(j);

        if (j->verified < 0)
                return j->verified;
        if (j->hashed < 0)
                return j->hashed;
        /* The caller may have lost the right meanwhile. */
        error = principal_authorize(j->request);
        if (error != 0)
                return error < 0 ? error : 0;
        return j->then(j->request, j);
}

static void done(void *userdata) {
        _cleanup_(password_job_freep) PasswordJob *j = ASSERT_PTR(userdata);
        Request *r = j->request;

        if (r)
                request_end(r, go_on(j));
}

static void drop(void *userdata) {
        password_job_free(userdata);
}

static void on_cancel(Request *r, void *userdata) {
        PasswordJob *j = ASSERT_PTR(userdata);

        j->request = NULL;
}

int password_job_start(Request *r, PasswordJob **j) {
        WorkerJob job = { .run = run, .done = done, .drop = drop, .userdata = *j };
        int error;

        assert(r);
        assert(*j);

        (*j)->request = r;
        error = workers_submit(r->api->workers, &job);
        if (error < 0)
                return error;
        request_suspend(r, on_cancel, TAKE_PTR(*j));
        return 0;
}
