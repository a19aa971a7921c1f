#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a task backs up of SAP HANA, and how: the settings of its source.
 *
 *         {"server":{"key":"BACKUP","home":"/var/lib/backupx-agent/hana"},
 *          "databases":["HXE"],"backup":"data","level":"incremental","via":"file",
 *          "directory":"/hana/backup/backupx","retries":3}
 *         {"server":{"host":"db1","instance":0,"user":"BACKUPX"},"via":"backint","channels":8} */

#include "wire/database.h"

typedef enum HanaBackup {
        HANA_DATA,
        HANA_LOG,
        _HANA_BACKUP_MAX,
        _HANA_BACKUP_INVALID = -EINVAL,
} HanaBackup;

/* "data", "log". */
DECLARE_STRING_TABLE(hana_backup, HanaBackup);

typedef enum HanaLevel {
        HANA_FULL,
        HANA_INCREMENTAL,  /* since the last backup of data */
        HANA_DIFFERENTIAL, /* since the last full one */
        _HANA_LEVEL_MAX,
        _HANA_LEVEL_INVALID = -EINVAL,
} HanaLevel;

/* "full", "incremental", "differential". */
DECLARE_STRING_TABLE(hana_level, HanaLevel);

/* Where the database writes to. */
typedef enum HanaVia {
        HANA_VIA_FILE,    /* a directory, from where the job takes it */
        HANA_VIA_BACKINT, /* the program that the database itself is set up with */
        _HANA_VIA_MAX,
        _HANA_VIA_INVALID = -EINVAL,
} HanaVia;

/* "file", "backint". */
DECLARE_STRING_TABLE(hana_via, HanaVia);

#define HANA_CHANNELS_MAX 32U
#define HANA_RETRIES_MAX 10U
#define HANA_RETRIES_DEFAULT 3U
#define HANA_INSTANCE_MAX 99U
#define HANA_WORD_MAX 127U
/* So that a statement with it fits into a line of hdbsql. */
#define HANA_DIRECTORY_MAX 255U

/* Either a key of the user store, or host and user; then the password is a secret, and elsewhere. */
typedef struct HanaServer {
        char *key;
        char *home; /* absolute; the directory that has .hdb with that key */
        char *host;
        bool has_instance;
        uint32_t instance;
        uint32_t port; /* in place of the instance; 0: none */
        char *user;
        char *database; /* that is logged in to; NULL: the system database, or that of the key */
        DatabaseTls tls;
        char *tls_ca; /* absolute; NULL: what the client trusts by itself */
} HanaServer;

typedef struct HanaSettings {
        HanaServer server;
        HanaBackup backup;
        HanaLevel level; /* of data */
        HanaVia via;
        char *directory;   /* absolute; only via file, and of data */
        uint32_t channels; /* 1 to 32; 0: as the database has it */
        uint32_t retries;
} HanaSettings;

HanaSettings *hana_settings_free(HanaSettings *s);
/* Allocates. What is wrong sticks to the reader. */
int hana_settings_read(JsonReader *r, HanaSettings **ret);
/* Sets its fields in json. */
int hana_settings_build(const HanaSettings *s, json_t *json) _warn_unused_;

/* Whether it can be a word of hdbsql's own commands, for which nobody tells how to quote: printable, without
 * spaces, quotes, semicolons and backslashes. Pure. */
bool hana_is_word(const char *s);
/* Whether a database may have this name: A-Z, a-z, 0-9, '_' and '-'. Pure. */
bool hana_is_database(const char *s);

DEFINE_CLEANUP(HanaSettings *, hana_settings_free);
