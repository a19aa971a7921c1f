#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Holes in a sandbox, made by root on the machine itself: drop-ins with one ReadWritePaths= line. */

#include "base/failure.h"
#include "base/macros.h"

/* An existing directory of the machine, resolved: what is allowed is what it is, not what a link may become.
 * Refused are those whose writing would undo the sandbox: /, /etc, /usr, … */
int dropin_check_directory(const char *directory, char **ret, Failure *reterr_failure) _warn_unused_;

/* Whether we are root; a sentence otherwise. */
int dropin_need_root(const char *what, Failure *reterr_failure) _warn_unused_;

/* Writes UNIT.d/allow-<escaped directory>.conf below /etc/systemd/system. */
int dropin_allow(const char *unit, const char *directory, Failure *reterr_failure) _warn_unused_;

/* Adds directory to the list at section.key of a YAML file of ours that holds nothing else; makes it when it
 * is missing. 0: it was there already, 1: added. */
int dropin_list_add(const char *path, const char *section, const char *key, const char *directory,
                    Failure *reterr_failure) _warn_unused_;

/* Runs a program of the machine ("systemctl", …) and waits; its standard input is empty. The exit status. */
int dropin_run(const char *const *argv) _warn_unused_;

/* Whether the machine was booted with systemd. */
bool dropin_have_systemd(void);

/* A path as systemd-escape --path makes it: "/srv/backup" → "srv-backup". */
int dropin_escape(const char *path, char **ret) _warn_unused_;
