/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/place.h"
#include "base/text.h"

int place_beside_program(const char *relative, char **ret) {
        _cleanup_(freep) char *path = NULL;
        char program[PATH_MAX];
        ssize_t n;
        char *slash;
        int r;

        assert(relative);
        assert(ret);

        n = readlink("/proc/self/exe", program, sizeof(program) - 1);
        if (n < 0)
                return -errno;
        program[n] = 0;
        slash = strrchr(program, '/');
        if (!slash)
                return -ENOENT;
        slash[1] = 0;
        r = asprintf_safe(&path, "%s%s", program, relative);
        if (r < 0)
                return r;
        if (access(path, X_OK) < 0)
                return -ENOENT;
        *ret = TAKE_PTR(path);
        return 0;
}

const char *place_first_readable(const char *const *candidates) {
        assert(candidates);

        for (; *candidates; candidates++)
                if (access(*candidates, R_OK) == 0)
                        return *candidates;
        return NULL;
}

const char *place_ca_bundle(const char *compiled_in) {
        static const char *const bundles[] = {
                "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Arch */
                "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
                "/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL, the old name */
                "/var/lib/ca-certificates/ca-bundle.pem",            /* SUSE */
                "/etc/ssl/ca-bundle.pem",                            /* SUSE, the old name */
                "/etc/ssl/cert.pem",
                NULL,
        };

        if (compiled_in && access(compiled_in, R_OK) == 0)
                return NULL;
        return place_first_readable(bundles);
}
