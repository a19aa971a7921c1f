#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Configuration: a YAML file, its drop-ins (those in FILE.d that end in .yaml, in the order of their names)
 * and the environment, read into a struct by a constant table. The later one wins. An unknown key or a bad
 * value is an error that names file and line. A document is a mapping of sections, a section a mapping of
 * keys, a value a scalar or a list of scalars. Section "a.b" of the table is a mapping as the value of key b
 * in section a, which may be a key with a plain value as well. */

#include "base/failure.h"
#include "base/macros.h"

typedef struct ConfigValue {
        const char *const *items; /* NULL-terminated; one item for a scalar */
        size_t n;
        bool is_list;
        bool from_environment; /* one item; parsers of lists split it at colons */
} ConfigValue;

/* Stores value into field. A negative errno and a sentence without a place in *reterr (the loader puts file
 * and line before it). Replaces what an earlier file gave. */
typedef int (*ConfigParser)(const ConfigValue *value, void *field, Failure *reterr);

typedef struct ConfigItem {
        const char *section; /* NULL: the key stands at the top of the document */
        const char *key;
        ConfigParser parse;
        size_t offset; /* of the field in the struct */
} ConfigItem;

#define CONFIG_ITEMS_MAX 64
#define CONFIG_FILE_MAX (1U << 20)

typedef struct ConfigArgs {
        const ConfigItem *items;
        size_t n_items;          /* at most CONFIG_ITEMS_MAX */
        const char *environment; /* prefix of variables, "BACKUPX": BACKUPX_SECTION_KEY. NULL: none */
        const char *path;        /* NULL: the environment alone */
        bool required;           /* a missing file is an error */
        bool shared;             /* other programs read the file, too: what is not in the table is theirs */
        void *target;
} ConfigArgs;

int config_load(const ConfigArgs *args, Failure *reterr_failure) _warn_unused_;

/* Where the master's daemons are configured. */
#define CONFIG_MASTER_PATH "/etc/backupx/config.yaml"

/* For a daemon of the master that has nothing else to configure: sets the log level as log.level in the
 * master's file, its drop-ins or BACKUPX_LOG_LEVEL say. path NULL: the usual file, which may be missing. */
int config_apply_log_level(const char *path, Failure *reterr_failure) _warn_unused_;

/* One document from memory; name is what messages call it. */
int config_parse(const ConfigArgs *args, const char *name, const char *data, size_t n,
                 Failure *reterr_failure) _warn_unused_;

/* Parsers: char *, char ** (in a variable a list is split at colons), bool, uint32_t, uint64_t in bytes,
 * usec_t, int (a log level), char * that is an absolute path, char ** of absolute paths. */
int config_parse_string(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_strv(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_boolean(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_u32(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_size(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_span(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_log_level(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_path(const ConfigValue *value, void *field, Failure *reterr_failure);
int config_parse_paths(const ConfigValue *value, void *field, Failure *reterr_failure);
