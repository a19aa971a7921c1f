#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A TCP connection for a protocol that is not curl's, made by curl: its resolver and its choice among
 * addresses can be interrupted. */

#include <stdint.h>

#include "base/macros.h"

#define TCP_ERROR_MAX 256

typedef struct Tcp Tcp;

/* Asked while it waits: true ends that with -ECANCELED. */
typedef bool (*TcpOverFunc)(void *userdata);

/* -EHOSTUNREACH: no connection; -EINVAL: not a host. Error always says why. */
int tcp_connect(const char *host, uint16_t port, TcpOverFunc is_over, void *userdata, Tcp **ret,
                char error[static TCP_ERROR_MAX]) _warn_unused_;
Tcp *tcp_free(Tcp *t);
/* Non-blocking; belongs to t. */
int tcp_fd(const Tcp *t);

DEFINE_CLEANUP(Tcp *, tcp_free);
