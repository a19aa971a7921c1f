#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a user is logged in to: ~/.config/backupx/session.json, for the user alone. */

#include "base/failure.h"
#include "base/macros.h"

typedef struct Settings {
        char *server;
        char *token;
        char *ca_cert; /* NULL: the system's */
        char *pin;     /* of the server's key; NULL: its certificate is checked */
} Settings;

#define SETTINGS_NULL ((Settings){})
void settings_done(Settings *s);

/* $XDG_CONFIG_HOME/backupx, else $HOME/.config/backupx; -ENXIO without a home. */
int settings_folder(char **ret) _warn_unused_;

/* No file is no error: nothing is set then. */
int settings_load(Settings *ret, Failure *reterr_failure) _warn_unused_;
int settings_save(const Settings *s, Failure *reterr_failure) _warn_unused_;
/* Forgets the token; the server stays. */
int settings_forget(Failure *reterr_failure) _warn_unused_;

/* Takes a token out of a file that holds nothing else. */
int settings_read_token(const char *path, char **ret, Failure *reterr_failure) _warn_unused_;
