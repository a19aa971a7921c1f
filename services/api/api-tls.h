#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Which certificate the master shows: the administrator's, read anew when asked to (SIGHUP), or its own,
 * made of the key that backupx-keys made and renewed in time. */

#include "services/api/api.h"

/* Keeps SIGHUP until api_tls_watch() takes it. To be called before threads are made. */
int api_tls_block_signal(void) _warn_unused_;
/* Loads the certificate for these listening sockets into *ret, and tells it in api->tls. Logs. */
int api_tls_load(Api *api, const int *sockets, size_t n_sockets, TlsIdentity **ret) _warn_unused_;
/* The agent of this machine has told its addresses: looks once whether our own certificate has them. */
void api_tls_look(Api *api);
/* Looks after it from now on; the server is there. Logs. */
int api_tls_watch(Api *api) _warn_unused_;

/* Whether the administrator's certificate, if there is one, can be read as it is on the disk now. */
int api_tls_check(const ApiConfig *config, Failure *reterr_failure) _warn_unused_;
