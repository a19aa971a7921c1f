#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The frame of a daemon: main(), the service manager, sockets that were handed over, places. */

#include <sys/types.h>

#include "base/failure.h"

/* run() gives a negative errno (it has logged why) or the exit status. */
#define DEFINE_MAIN(run) \
        int main(int argc, char *argv[]) { \
                int r = run(argc, argv); \
\
                return r < 0 ? 1 : r; \
        } \
        struct _swallow_semicolon_

/* --- Arguments ----------------------------------------------------------------------------------------- */

/* The options of a daemon that has no others: --config=FILE, --help, --version. Positive: go on; 0: it
 * printed what it was asked for; negative: it told on the standard error what is wrong. */
int daemon_parse_argv(const char *name, const char *purpose, int argc, char *argv[], const char **ret_config)
                _warn_unused_;

/* --- The service manager ------------------------------------------------------------------------------- */

/* Tells the service manager that the daemon serves. Gives true, for
 * _cleanup_(notify_stopping) bool ready = false; … ready = notify_ready(); */
bool notify_ready(void);
void notify_stopping(bool *ready);
/* The STATUS= line of systemctl status. */
void notify_status(const char *format, ...) _printf_(1, 2);

/* --- Sockets ------------------------------------------------------------------------------------------- */

/* The socket that the service manager handed over under this name (FileDescriptorName=), close-on-exec;
 * -ENOENT when there is none. The caller owns it. Several of one name: index counts them from 0. */
int daemon_listen_fd(const char *name, unsigned index) _warn_unused_;

/* A listening, non-blocking stream socket. An old socket file of a dead server is replaced; -EADDRINUSE when
 * one lives there. */
int daemon_bind_unix(const char *path, mode_t mode) _warn_unused_;
/* The same for "127.0.0.1:8340", "[::1]:8340" or "*:8340" (every address); numeric. -EINVAL: not of the
 * form. Port 0 lets the system choose. */
int daemon_bind_tcp(const char *address) _warn_unused_;

/* The private socket, at which the siblings call: handed over under this name, else (without a service
 * manager) <runtime directory>/<name>.sock. The caller owns it. */
int daemon_listen_private(const char *name, Failure *reterr_failure) _warn_unused_;

/* --- Places -------------------------------------------------------------------------------------------- */

/* BACKUPX_STATE_DIR, else STATE_DIRECTORY, else /var/lib/backupx; and BACKUPX_RUNTIME_DIR, else
 * /run/backupx. Never NULL; from the environment, not to be freed. */
const char *daemon_state_directory(void);
const char *daemon_runtime_directory(void);

/* This boot as the kernel writes it, 8-4-4-4-12 hexadecimal digits, and a NUL. */
#define BOOT_ID_TEXT_MAX 37
int daemon_boot_id(char ret[static BOOT_ID_TEXT_MAX]) _warn_unused_;
