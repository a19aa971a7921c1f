#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Help from the table of commands. */

#include "cli/command.h"
#include "wire/json.h"

void help_command(const Command *c);
/* All commands, or those of one noun. */
void help_overview(const char *noun);
bool help_is_noun(const char *noun);
/* Commands, options and exit statuses; new reference, NULL when out of memory. */
json_t *help_json(void);
