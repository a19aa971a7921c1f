#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The agent packages that this master has: one folder, names of one pattern, written by an administrator or
 * a package and read here. */

#include "crypto/digest.h"
#include "wire/json.h"

#include "services/api/install-text.h"

#define AGENT_PACKAGE_VERSION_MAX 64

/* "1.0", "2.1~rc1-3": digits, letters and .+~- with a digit or letter first. */
bool agent_package_version_is_valid(const char *version);
/* backupx-agent-VERSION-linux-ARCH.tar.gz, the same with .sha256 or .sig behind it, or signing-key.pem. */
bool agent_package_name_is_valid(const char *name);

/* The checksum that stands beside a package, whether that is here or not. -ENOENT: none; -EBADMSG: the file
 * is not in the form of sha256sum. */
int agent_package_checksum(const char *folder, const char *version, InstallArch arch,
                           char ret[static SHA256_HEX_SIZE]) _warn_unused_;
/* Whether there is FOLDER/backupx-agent-VERSION-linux-ARCH.tar.gz with this suffix behind it. */
bool agent_package_exists(const char *folder, const char *version, InstallArch arch, const char *suffix);
/* The public key of the packages' signatures; -ENOENT: none. */
int agent_package_signing_key(const char *folder, char **ret) _warn_unused_;
/* [{"file","version","arch","sha256","size","signed"}] in the order of the names; [] without a folder. */
int agent_packages_list(const char *folder, json_t **ret) _warn_unused_;
/* -ENOENT: no such file. */
int agent_package_open(const char *folder, const char *name, int *ret, uint64_t *ret_size) _warn_unused_;
