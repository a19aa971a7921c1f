#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Request bodies from the options of the command line. */

#include "cli/api.h"

/* Sets body.a.b.c, making the objects on the way. Takes value over, even on failure. */
int body_set(json_t *body, const char *field, json_t *value) _warn_unused_;

/* Sets the field of every option that was given. Names of nodes and targets are looked up. Lists and pairs
 * replace what the body held. */
int body_from_options(Cli *c, const Arguments *a, json_t *body) _warn_unused_;

/* Copies these fields (a list of names that ends with NULL) from an object of the API: what may be sent
 * back. */
int body_copy(const json_t *object, const char *const *fields, json_t *body) _warn_unused_;

/* A part of an object (the source of a task, the server in it) is replaced as a whole: what the body does
 * not name in a part gets the value that it has now. A server that is named by its host is no longer one
 * behind a socket, and the other way round. */
int body_merge(const json_t *current, json_t *body) _warn_unused_;

/* Reads a task from YAML into the body: all fields of the API but the password, with nodes and targets by
 * name. What it does not know is an error that names it. FILE "-" is standard input. */
int body_from_yaml(Cli *c, const char *path, json_t *body) _warn_unused_;
