#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Which database servers are on this host, as far as it can be seen without asking them: listening sockets,
 * clusters as Debian keeps them, data directories, instances of SAP HANA. Nothing is connected to, nothing
 * is written. */

#include "agent/common/policy.h"
#include "wire/json.h"

/* More than that is no host of databases. */
#define DISCOVER_SERVERS_MAX 64

/* *ret: [{"type":"postgresql|mysql|mariadb|saphana","name","version","port","socket":P,"data_directory":P,
 * "running":bool},…], null for what is not known. root stands before every path, "" for this host.
 * Directories that policy denies the listing of are not looked into. *ret_incomplete: something could not be
 * read. */
int discover_servers(const char *root, const Policy *policy, json_t **ret,
                     bool *ret_incomplete) _warn_unused_;

/* --- Pure ------------------------------------------------------------------------------------------- */

/* The port of a line of /proc/net/tcp or tcp6, where it is one that listens; 0 otherwise. */
uint16_t discover_tcp_line(const char *line);
/* The path in a line of /proc/net/unix, where it is a listening stream; NULL otherwise. */
const char *discover_unix_line(const char *line);
/* The value of a setting of postgresql.conf, without its quotes; NULL where it is not set. The last one
 * counts, as it does there. Allocates. */
int discover_setting(const char *text, const char *name, char **ret) _warn_unused_;
/* The version in the manifest of SAP HANA; *ret stays where there is none. Allocates. */
int discover_manifest_version(const char *text, char **ret) _warn_unused_;
/* 0 to 99 of the name of an instance's directory ("HDB00"); -EINVAL: it is none. */
int discover_hana_instance(const char *name);
