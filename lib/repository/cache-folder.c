/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "repository/cache-folder.h"

int cache_folder_open(int dirfd, const char *name) {
        int fd;

        assert(name);

        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -ENOENT : fd;
}

void cache_folder_each(int folder, CacheFolderFunc func, void *userdata) {
        _cleanup_close_ int fd = -EBADF;
        struct dirent *entry;
        DIR *stream;

        assert(func);

        fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        stream = fd < 0 ? NULL : fdopendir(fd);
        if (!stream)
                return;
        fd = -EBADF; /* the stream's */
        while ((entry = readdir(stream)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        func(userdata, folder, entry->d_name);
        (void) closedir(stream);
}
