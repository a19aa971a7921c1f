/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/credentials.h"

int credential_read(const char *name, size_t max, char **ret, size_t *ret_size) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_(erase_and_freep) char *data = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t n;
        int r;

        assert(name);
        assert(ret);

        if (isempty(directory))
                return -ENXIO;
        fd = open(directory, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = read_file(fd, name, max, &data, &n);
        if (r < 0)
                return r;
        while (n > 0 && (data[n - 1] == '\n' || data[n - 1] == '\r'))
                data[--n] = 0;

        *ret = TAKE_PTR(data);
        if (ret_size)
                *ret_size = n;
        return 0;
}
