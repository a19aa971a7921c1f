#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a new node's host is given to run, as texts. Pure.
 *
 * The installer is one script for all nodes (install-script.h); in front of it stand the values of one node,
 * each in the shell's single quotes. The one-line command carries both, packed: the values as a gzip member
 * that is not compressed, the script as one that was packed when we were built. */

#include "base/buffer.h"

#define INSTALL_MARKER "BACKUPX_AGENT_INSTALL_V1"

typedef enum InstallMode {
        INSTALL_SYSTEMD,
        INSTALL_DOCKER,
        INSTALL_FOREGROUND,
        _INSTALL_MODE_MAX,
        _INSTALL_MODE_INVALID = -22,
} InstallMode;

typedef enum InstallArch {
        INSTALL_AMD64,
        INSTALL_ARM64,
        INSTALL_AUTO, /* either, as the host finds out */
        _INSTALL_ARCH_MAX,
        _INSTALL_ARCH_INVALID = -22,
} InstallArch;

typedef enum InstallSource {
        INSTALL_FROM_MASTER,
        INSTALL_FROM_GITHUB,
        INSTALL_FROM_GHPROXY,
        _INSTALL_SOURCE_MAX,
        _INSTALL_SOURCE_INVALID = -22,
} InstallSource;

DECLARE_STRING_TABLE(install_mode, InstallMode);
DECLARE_STRING_TABLE(install_arch, InstallArch);
DECLARE_STRING_TABLE(install_source, InstallSource);

#define INSTALL_ARCHS INSTALL_AUTO /* how many packages a version has at most */

/* Everything is borrowed; NULL texts are empty. */
typedef struct InstallPlan {
        const char *node;
        const char *master; /* without a slash at its end */
        const char *token;  /* bxe_…, for one enrolment */
        const char *version;
        const char *pin; /* sha256//… of the master's key */
        const char *proxy_url;
        const char *ca_cert;     /* PEM */
        const char *signing_key; /* PEM */
        InstallMode mode;
        InstallArch arch;
        /* NULL: there is no such package */
        const char *urls[INSTALL_ARCHS], *checksums[INSTALL_ARCHS];
} InstallPlan;

/* Lines that set the variables of the script. */
int install_values(const InstallPlan *plan, Buffer *out) _warn_unused_;
/* A whole script. */
int install_add_script(const char *values, Buffer *out) _warn_unused_;
/* The file for docker compose; the image is built of the package, whose checksum docker checks. */
int install_compose(const InstallPlan *plan, Buffer *out) _warn_unused_;

/* One line for any shell that runs the whole script. What is secret in it goes to no program's arguments. */
int install_command(const char *values, char **ret) _warn_unused_;
/* One line that fetches the script from url, and runs it. */
int install_url_command(const char *url, const char *pin, char **ret) _warn_unused_;

/* A script for many nodes, each named by the one argument: begin, add for each, end. */
int install_bundle_begin(Buffer *out) _warn_unused_;
int install_bundle_add(Buffer *out, const char *node, const char *values) _warn_unused_;
int install_bundle_end(Buffer *out) _warn_unused_;

/* Adds text in single quotes, as any POSIX shell reads them. */
int install_quote(Buffer *out, const char *text) _warn_unused_;
/* "backupx-agent-1.0-linux-amd64.tar.gz" below base. */
int install_package_url(const char *base, const char *version, InstallArch arch, char **ret) _warn_unused_;
