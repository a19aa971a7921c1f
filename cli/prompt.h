#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Asking people. A password never comes from an argument: it would be in the process list. */

#include "cli/api.h"

/* A password: from --password-file FILE ("-" is standard input), else asked for on the terminal without
 * echo, twice when it is a new one. */
int prompt_password(Cli *c, const Arguments *a, const char *question, bool is_new, char **ret) _warn_unused_;
/* A line, with a default. */
int prompt_line(Cli *c, const char *question, const char *fallback, char **ret) _warn_unused_;
/* Whether the user says yes; --yes answers for them, and without a terminal the answer is needed there. */
int prompt_sure(Cli *c, const Arguments *a, const char *question) _warn_unused_;
