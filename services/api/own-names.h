#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The names and addresses that a certificate of our own is made for. */

#include "services/api/api.h"

/* By which others know us, whatever we listen on: the host of the external URL, the host's name with what
 * /etc/hosts says beside it, localhost, and the addresses that the agent of this machine has told. The API
 * has no network of its own to look at. */
int own_names(const Api *api, char ***names) _warn_unused_;
/* What a socket is bound to, and the IPv4 addresses of the network that it is in. */
int own_names_of_socket(int fd, char ***names) _warn_unused_;

/* --- Pure ------------------------------------------------------------------------------------------- */

/* Names beside host in the text of /etc/hosts; at most so many, those of the loopback are left out. */
#define OWN_NAMES_BESIDE_MAX 8U
int own_names_of_hosts(const char *text, const char *host, char ***names) _warn_unused_;
/* Addresses of a node (a JSON array of texts) that others may reach: not of the loopback or one link. */
int own_names_of_addresses(const char *json, char ***names) _warn_unused_;
