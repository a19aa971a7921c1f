#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What each type of target takes: the fields of its configuration and its secrets, as tables. A request is
 * read through them, so that what is wrong is said of the field that it is in; storage_open() of lib/storage
 * reads the result. */

#include "wire/json.h"

/* What "volume_size" may be, in MiB: a manifest always fits into one object, and no service takes objects of
 * more than 5 TiB. */
#define TARGET_VOLUME_MIN 8
#define TARGET_VOLUME_MAX (5 << 20)

typedef enum TargetFieldKind {
        TARGET_TEXT,      /* of 1 … max bytes, and as complaint says */
        TARGET_NUMBER,    /* min … max; a text of digits is one, too, as command lines have it */
        TARGET_SWITCH,    /* true or false, or such a text */
        TARGET_DIRECTORY, /* of a host of ours: absolute, without '.' and '..', and not "/" */
} TargetFieldKind;

/* Whether a field says where secrets are sent to, or who is believed to be there: secrets are given for one
 * place, and whoever names another has to have them. A bucket, a container, a directory, a user are none:
 * they say what is done at that place. */
typedef enum TargetAddress {
        TARGET_NO_ADDRESS,
        TARGET_ADDRESS,
        TARGET_ADDRESS_LATE, /* the same, but before it is set nothing is sent: to set it moves nothing */
} TargetAddress;

typedef struct TargetField {
        const char *name;
        TargetFieldKind kind;
        JsonPresence presence;
        TargetAddress address;
        uint64_t min, max;
        const char *const *choices; /* the only texts, ends with NULL; or NULL */
        /* What is wrong with a text, for "config.host …": "has a space in it"; or NULL. May be NULL. */
        const char *(*complaint)(const char *text);
} TargetField;

/* The secrets that a type knows. */
typedef struct TargetSecret {
        const char *name;
        JsonPresence presence;
} TargetSecret;

typedef struct TargetType {
        const char *name;            /* as far as the ':' in it, where one follows */
        const TargetField *fields;   /* ends with a NULL name */
        const TargetSecret *secrets; /* the same; NULL: any name may be given, and none is used */
        /* What no field says alone: sets the failure with json_reader_fail(). secrets is NULL where a
         * request leaves those that are there. May be NULL. */
        int (*check)(JsonReader *target, const json_t *config, const json_t *secrets);
        /* What the node alone knows: further members of the configuration (texts, numbers and switches, all
         * kept as texts), and what is wrong with one of them by its form, as complaint. Each is taken for an
         * address, as nobody here knows better. NULL: there are none. */
        const char *(*further)(const char *name, const char *value);
        /* What is wrong with the name of a secret, where secrets is NULL; may be NULL. */
        const char *(*secret_name)(const char *name);
} TargetType;

/* NULL: there is no such type. "rclone:BACKEND" is one for each backend that rclone may have. */
const TargetType *target_type_find(const char *name);
/* Reads all fields of a configuration into a new object that has what was given and nothing else. Errors as
 * of the reader. */
int target_config_read(const TargetType *type, JsonReader *config, json_t **ret) _warn_unused_;
/* The field by which the second configuration has another address than the first; NULL: they have the same.
 * Borrowed from the type or a configuration. Pure. */
const char *target_config_moved(const TargetType *type, const json_t *before, const json_t *after);
/* Whether a target of the type has use for secrets. Pure. */
bool target_type_uses_secrets(const TargetType *type);
/* Checks the names and values of secrets; is_new: what is required has to be there. */
int target_secrets_check(const TargetType *type, JsonReader *target, const json_t *secrets, bool is_new);

/* Complaints. */
const char *target_text_complaint(const char *text); /* control characters */
const char *target_url_complaint(const char *text);  /* http or https, a host, no user, query or fragment */
const char *target_host_complaint(const char *text); /* a name, or an address of IPv4 or IPv6 */
const char *target_path_complaint(const char *text); /* on a server; relative or absolute, no '.' and '..' */
