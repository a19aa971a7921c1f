/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <systemd/sd-daemon.h>

#include "agent/daemon/adopt.h"
#include "agent/daemon/launch.h"
#include "agent/daemon/works.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/log.h"

/* The lines to jobs that the service manager kept for us, by their names. */
static void adopt_lines(Agent *a) {
        char **names = NULL;
        int n;

        n = sd_listen_fds_with_names(/* unset_environment= */ true, &names);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i, r;
                WorkName name;

                if (work_name_parse(names[i], "", &name) < 0 || works_find(*agent_works(a), name)) {
                        fd_store_remove(names[i]);
                        safe_close(fd);
                        continue;
                }
                r = work_adopt(a, name, fd);
                if (r < 0)
                        log_error_errno(r, "Cannot take up %s again: %m", names[i]);
        }
        strv_free(names);
}

static int adopt_file(Agent *a, const char *file) {
        WorkName name;

        if (work_name_parse(file, ".job", &name) < 0 && work_name_parse(file, ".json", &name) < 0)
                return 0;
        if (works_find(*agent_works(a), name))
                return 0;
        return work_adopt(a, name, -EBADF);
}

static int adopt_files(Agent *a) {
        int fd, r = 0;
        DIR *d;

        fd = fcntl(agent_results_fd(a), F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return log_error_errno(errno, "The folder of results cannot be read: %m");
        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return log_error_errno(errno, "The folder of results cannot be read: %m");
        }
        rewinddir(d);
        for (const struct dirent *e = readdir(d); e && r >= 0; e = readdir(d))
                r = adopt_file(a, e->d_name);
        (void) closedir(d);
        return r < 0 ? log_error_errno(r, "What an agent before left cannot be taken up: %m") : 0;
}

int adopt_all(Agent *a) {
        assert(a);

        adopt_lines(a);
        return adopt_files(a);
}
