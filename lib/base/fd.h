#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* File descriptors: owning them, and reading and writing all of something. */

#include <errno.h>
#include <sys/types.h>

#include "base/macros.h"

/* Closes fd when it is not negative, keeps errno, gives -EBADF. */
int safe_close(int fd);

static inline void closep(int *fd) {
        *fd = safe_close(*fd);
}

#define _cleanup_close_ _cleanup_(closep)

/* Reads until n bytes are there or the end is reached; gives the count or negative errno. Blocking
 * descriptors. */
ssize_t read_full(int fd, void *buf, size_t n) _warn_unused_;

/* The same at an offset, without moving the file position. */
ssize_t pread_full(int fd, void *buf, size_t n, off_t offset) _warn_unused_;

/* Writes all n bytes; 0 or negative errno. Blocking descriptors. */
int write_full(int fd, const void *buf, size_t n) _warn_unused_;

int fd_set_nonblock(int fd, bool nonblock) _warn_unused_;
int fd_set_cloexec(int fd, bool cloexec) _warn_unused_;

/* Connects to a socket of a path. type: SOCK_STREAM and so on, with SOCK_NONBLOCK where it is wanted; it is
 * closed on exec always. -ENOENT: there is none. -ECONNREFUSED: nobody listens. */
int fd_connect_unix(const char *path, int type, int *ret_fd) _warn_unused_;
