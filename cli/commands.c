/* SPDX-License-Identifier: Apache-2.0 */

/* The table of commands: what help, completion and the man page are made from. */

#include "cli/command.h"
#include "cli/verbs.h"

/* clang-format off */

#define OPTIONS(list) list, ELEMENTSOF(list)
#define NO_OPTIONS NULL, 0

static const Option global_options[] = {
        { 0, "server", OPTION_STRING, "URL", NULL, NULL,
          "address of the master, http://127.0.0.1:8340 by default" },
        { 0, "token-file", OPTION_STRING, "FILE", NULL, NULL,
          "read the session token or API key from a file" },
        { 0, "ca-cert", OPTION_STRING, "FILE", NULL, NULL,
          "certificates to trust instead of the system's" },
        { 0, "pin", OPTION_STRING, "PIN", NULL, NULL,
          "the server's public key, sha256//BASE64; it alone decides then" },
        { 0, "insecure-tls", OPTION_SWITCH, NULL, NULL, NULL,
          "do not check the server's certificate (for tests)" },
        { 'j', "json",          OPTION_SWITCH, NULL,   NULL, NULL, "print JSON, as the API sent it" },
        { 'q', "quiet",         OPTION_SWITCH, NULL,   NULL, NULL, "print only what was asked for" },
        { 'h', "help",          OPTION_SWITCH, NULL,   NULL, NULL, "explain the command" },
};

#define PASSWORD_FILE \
        { 0, "password-file", OPTION_STRING, "FILE", NULL, NULL, \
          "read the password from a file, - for standard input" }
#define USERNAME \
        { 'u', "username", OPTION_STRING, "NAME", NULL, NULL, "the account, admin by default" }
#define LIMIT \
        { 'n', "limit", OPTION_NUMBER, "N", NULL, NULL, "show at most so many, 50 by default" }, \
        { 'a', "all",   OPTION_SWITCH, NULL, NULL, NULL, "show all of them" }
#define YES \
        { 'y', "yes", OPTION_SWITCH, NULL, NULL, NULL, "do not ask" }
#define WAIT \
        { 'w', "wait", OPTION_SWITCH, NULL, NULL, NULL, \
          "wait for the end, with a progress bar on a terminal" }

/* A server of databases, at this field of the body; its password. */
#define SERVER_OPTIONS(at) \
        { 0, "host", OPTION_STRING, "HOST", at ".host", NULL, \
          "where the server of databases is, as the node sees it; or --socket" }, \
        { 0, "port", OPTION_NUMBER, "PORT", at ".port", NULL, "of that server" }, \
        { 0, "socket", OPTION_STRING, "PATH", at ".socket", NULL, \
          "the socket of the server of databases" }, \
        { 0, "db-user", OPTION_STRING, "NAME", at ".user", NULL, "who logs in there" }, \
        { 0, "tls", OPTION_STRING, "RULE", at ".tls", "off|require|verify", \
          "of the way to that server" }, \
        { 0, "tls-ca", OPTION_STRING, "FILE", at ".tls_ca", NULL, \
          "on the node, by which it knows the server" }
#define SERVER_SECRET \
        { 0, "secret", OPTION_SECRETS, "KEY=FILE", "secrets", NULL, \
          "password=FILE: that of the server, read from a file" }
#define NO_SECRETS \
        { 0, "no-secrets", OPTION_EMPTIED, NULL, "secrets", NULL, \
          "do without: those that are stored count no more" }

static const Option login_options[] = { USERNAME, PASSWORD_FILE };
static const Option list_options[] = { LIMIT };
static const Option delete_options[] = { YES };
static const Option wait_options[] = { WAIT };

/* --- nodes --- */

#define NODE_OPTIONS \
        { 0, "description", OPTION_STRING, "TEXT", "description", NULL, "a note for people" }, \
        { 'l', "label", OPTION_LIST, "LABEL", "labels", NULL, \
          "a label that tasks may name; several times: all of them; '' for none" }, \
        { 0, "max-jobs", OPTION_NUMBER, "N", "limits.jobs", NULL, \
          "jobs at a time, 0: as the agent says" }, \
        { 0, "bandwidth", OPTION_NUMBER, "BYTES", "limits.bandwidth", NULL, \
          "of all uploads over the network, a second; 0: no limit" }, \
        { 0, "cpu-weight", OPTION_NUMBER, "N", "limits.cpu_weight", NULL, \
          "of all jobs, as systemd counts (1 to 10000), 0: as the unit says" }, \
        { 0, "io-weight", OPTION_NUMBER, "N", "limits.io_weight", NULL, \
          "the same for the disks" }

static const Option node_create_options[] = {
        NODE_OPTIONS,
};
static const Option node_edit_options[] = {
        { 0, "name",        OPTION_STRING, "NAME", "name",        NULL, "rename it" },
        NODE_OPTIONS,
};
static const Option databases_options[] = {
        { 0, "sqlite", OPTION_LIST, "GLOB", "sqlite", NULL,
          "where databases of SQLite may be, in the place of the usual places" },
        { 0, "type", OPTION_STRING, "TYPE", "server.type", "mysql|postgresql",
          "ask one server for the databases in it: which kind it is" },
        SERVER_OPTIONS("server"),
        SERVER_SECRET,
        { 0, "server-of", OPTION_NUMBER, "TASK", "task_id", NULL,
          "ask the server of the task of this number, with its password" },
};
static const Option rclone_options[] = {
        { 0, "advanced", OPTION_SWITCH, NULL, NULL, NULL, "the options that are seldom needed, too" },
};
static const Option revoke_options[] = {
        { 0, "revoke", OPTION_SWITCH, NULL, "revoke", NULL,
          "end all tokens that it has at once, as after a theft" },
};
static const Option enroll_options[] = {
        { 0, "ttl", OPTION_STRING, "TIME", NULL, NULL,
          "how long the token can be used: 15min by default, at most 24h" },
};

static const Option install_options[] = {
        { 0, "mode", OPTION_STRING, "MODE", "mode", "systemd|docker|foreground",
          "how the agent runs there: systemd by default" },
        { 0, "arch", OPTION_STRING, "ARCH", "architecture", "auto|amd64|arm64",
          "of the hosts; auto by default, as each finds out" },
        { 0, "agent-version", OPTION_STRING, "VERSION", "version", NULL,
          "of the agent, by default the master's" },
        { 0, "ttl", OPTION_STRING, "TIME", NULL, NULL,
          "how long the command can be used: 15min by default, at most 24h" },
        { 0, "source", OPTION_STRING, "SOURCE", "source", "master|github|ghproxy",
          "where hosts fetch the package: master by default" },
        { 0, "proxy-url", OPTION_STRING, "URL", "proxy_url", NULL,
          "the proxy on the hosts' way to the master" },
        { 0, "node-ca-cert", OPTION_STRING, "FILE", NULL, NULL,
          "certificates by which the hosts know the master" },
        { 'f', "file", OPTION_STRING, "FILE", NULL, NULL, "names, one a line; - is standard input" },
        { 0, "script", OPTION_STRING, "FILE", NULL, NULL,
          "write one script for all nodes, which is given a node's name" },
        { 0, "url", OPTION_SWITCH, NULL, NULL, NULL,
          "print the short command that fetches the installer from the master" },
        { 0, "again", OPTION_SWITCH, NULL, NULL, NULL,
          "for a node that is there: upgrade its host, or set it up anew" },
};

/* --- targets --- */

#define TARGET_OPTIONS \
        { 'p', "path", OPTION_PATH, "DIR", "config.path", NULL, \
          "directory on the node, or on the server" }, \
        { 0, "directory", OPTION_PATH, "DIR", "config.directory", NULL, \
          "directory on the master, for relay" }, \
        { 0, "config", OPTION_PAIRS, "KEY=VALUE", "config", NULL, \
          "another setting of the type" }, \
        { 0, "secret", OPTION_SECRETS, "KEY=FILE", "secrets", NULL, \
          "a secret, read from a file" }

static const Option target_create_options[] = {
        { 't', "type", OPTION_STRING, "TYPE", "type", NULL,
          "local (--path), relay (--directory), azure, ftp, s3, sftp, webdav, rclone:BACKEND" },
        TARGET_OPTIONS,
};
static const Option target_edit_options[] = {
        { 0, "name", OPTION_STRING, "NAME", "name", NULL, "rename it" },
        NO_SECRETS,
        TARGET_OPTIONS,
};
static const Option target_test_options[] = {
        { 0, "node", OPTION_NODE, "NODE", "node_id", NULL, "the node that tries it, local by default" },
};

/* --- tasks --- */

#define TASK_OPTIONS \
        { 0, "type", OPTION_STRING, "TYPE", "type", "file|sqlite|mysql|postgresql|saphana", \
          "what is backed up: files by default, or databases" }, \
        { 'n', "node", OPTION_NODE, "NODE", "node_id", NULL, \
          "where the files are, local by default" }, \
        { 0, "node-label", OPTION_STRING, "LABEL", "node_label", NULL, \
          "any one node with this label, the one that has the least to do" }, \
        { 'p', "path", OPTION_PATHS, "PATH", "source.paths", NULL, \
          "what to back up; several times" }, \
        SERVER_OPTIONS("source.server"), \
        { 0, "database", OPTION_LIST, "NAME", "source.databases", NULL, \
          "a database or a pattern; all by default; several times" }, \
        { 0, "exclude-database", OPTION_LIST, "NAME", "source.exclude", NULL, \
          "one that is left out, or a pattern; several times" }, \
        { 0, "hana-key", OPTION_STRING, "KEY", "source.server.key", NULL, \
          "of SAP HANA: the key of the user store; with --hana-home" }, \
        { 0, "hana-home", OPTION_STRING, "DIR", "source.server.home", NULL, \
          "on the node, whose .hdb has that key" }, \
        { 0, "instance", OPTION_NUMBER, "N", "source.server.instance", NULL, \
          "of SAP HANA, in place of --port" }, \
        { 0, "login-database", OPTION_STRING, "NAME", "source.server.database", NULL, \
          "of SAP HANA: where to log in, SYSTEMDB by default" }, \
        { 0, "backup", OPTION_STRING, "KIND", "source.backup", "data|log", \
          "of SAP HANA: data by default" }, \
        { 0, "data-level", OPTION_STRING, "LEVEL", "source.level", "full|incremental|differential", \
          "of its data: full by default" }, \
        { 0, "via", OPTION_STRING, "WAY", "source.via", "file|backint", \
          "of its data: through --directory, or through its own Backint" }, \
        { 0, "directory", OPTION_STRING, "DIR", "source.directory", NULL, \
          "on the node, which the database writes into and the node empties" }, \
        { 0, "channels", OPTION_NUMBER, "N", "source.channels", NULL, \
          "of its Backint, 1 to 32" }, \
        { 0, "retries", OPTION_NUMBER, "N", "source.retries", NULL, \
          "of a backup of SAP HANA that failed, 3 by default" }, \
        { 0, "one-snapshot", OPTION_SWITCH, NULL, "source.one_snapshot", NULL, \
          "of MySQL: all databases are of the same moment" }, \
        SERVER_SECRET, \
        { 'x', "exclude", OPTION_LIST, "PATTERN", "source.excludes", NULL, \
          "what to leave out, as in .gitignore; several times" }, \
        { 0, "one-file-system", OPTION_SWITCH, NULL, "source.one_file_system", NULL, \
          "do not enter other file systems" }, \
        { 0, "follow-symlinks", OPTION_SWITCH, NULL, "source.follow_symlinks", NULL, \
          "back up what symbolic links point to" }, \
        { 't', "target", OPTION_TARGETS, "TARGET", "target_ids", NULL, \
          "where to; several times" }, \
        { 0, "level", OPTION_NUMBER, "N", "compression.level", NULL, \
          "of zstd, 1 to 19; 3 by default" }, \
        { 'e', "encryption", OPTION_STRING, "KIND", "encryption", "none|sealed", \
          "sealed: only this node's backups, through the master, can be opened" }, \
        { 0, "format", OPTION_STRING, "FORMAT", "format", "archive|repository", \
          "repository by default: deduplicated, encrypted, as restic has it" }, \
        { 's', "schedule", OPTION_STRING, "TEXT", "schedule.expression", NULL, \
          "cron or systemd calendar: \"30 2 * * 1-5\", \"Mon..Fri 02:30\"" }, \
        { 0, "timezone", OPTION_STRING, "ZONE", "schedule.timezone", NULL, \
          "of the schedule: Europe/Berlin" }, \
        { 0, "verify", OPTION_STRING, "TEXT", "verify.schedule.expression", NULL, \
          "check the repositories of its backups then, as --schedule" }, \
        { 0, "verify-timezone", OPTION_STRING, "ZONE", "verify.schedule.timezone", NULL, \
          "of the schedule of --verify" }, \
        { 0, "verify-shares", OPTION_NUMBER, "N", "verify.shares", NULL, \
          "read one of N shares of the data at each check, in turn; none by default" }, \
        { 0, "no-verify-catch-up", OPTION_NEGATED, NULL, "verify.schedule.catch_up", NULL, \
          "do not make up for checks that were missed" }, \
        { 0, "keep-last", OPTION_NUMBER, "N", "retention.last", NULL, \
          "keep the newest N snapshots, and remove what no rule keeps" }, \
        { 0, "keep-hourly", OPTION_NUMBER, "N", "retention.hourly", NULL, \
          "keep one of each of the last N hours that have one" }, \
        { 0, "keep-daily", OPTION_NUMBER, "N", "retention.daily", NULL, "the same for days" }, \
        { 0, "keep-weekly", OPTION_NUMBER, "N", "retention.weekly", NULL, "the same for weeks" }, \
        { 0, "keep-monthly", OPTION_NUMBER, "N", "retention.monthly", NULL, "the same for months" }, \
        { 0, "keep-yearly", OPTION_NUMBER, "N", "retention.yearly", NULL, "the same for years" }, \
        { 0, "keep-within", OPTION_STRING, "SPAN", "retention.within", NULL, \
          "keep all of the last SPAN: 30d, 2y5m7d3h" }, \
        { 0, "pre-hook", OPTION_LIST, "NAME", "hooks.pre", NULL, \
          "run this one of the node's hooks.d before the backup; several times; '' for none" }, \
        { 0, "post-hook", OPTION_LIST, "NAME", "hooks.post", NULL, \
          "the same after the backup, however that ended" }, \
        { 0, "hook-timeout", OPTION_NUMBER, "SECONDS", "hooks.timeout_s", NULL, \
          "how long each of them may take, 60 by default" }, \
        { 0, "hook-failure", OPTION_STRING, "KIND", "hooks.on_failure", "fail|warn", \
          "what a hook that fails does to the run: fail by default" }, \
        { 0, "no-catch-up", OPTION_NEGATED, NULL, "schedule.catch_up", NULL, \
          "do not make up for runs that were missed" }, \
        { 0, "disabled", OPTION_NEGATED, NULL, "enabled", NULL, \
          "do not run it by its schedule" }

static const Option task_create_options[] = {
        { 'f', "file", OPTION_STRING, "FILE", NULL, NULL,
          "the task in YAML, - for standard input; other options go over it" },
        TASK_OPTIONS,
};
static const Option task_test_options[] = {
        { 'f', "file", OPTION_STRING, "FILE", NULL, NULL,
          "the task in YAML, - for standard input; other options go over it" },
        { 0, "on-node", OPTION_STRING, "NODE", NULL, NULL,
          "of a task with a label, which of the nodes that have it tries" },
        NO_SECRETS,
        TASK_OPTIONS,
};
static const Option task_edit_options[] = {
        { 0, "name",               OPTION_STRING,  "NAME", "name",                   NULL, "rename it" },
        { 0, "enabled", OPTION_SWITCH, NULL, "enabled", NULL,
          "run it by its schedule" },
        { 0, "catch-up", OPTION_SWITCH, NULL, "schedule.catch_up", NULL,
          "make up for runs that were missed" },
        { 0, "keep-all", OPTION_CLEARED, NULL, "retention", NULL, "remove no snapshots any more" },
        { 0, "no-verify", OPTION_CLEARED, NULL, "verify", NULL, "check nothing by a schedule any more" },
        { 0, "verify-catch-up", OPTION_SWITCH, NULL, "verify.schedule.catch_up", NULL,
          "make up for checks that were missed" },
        { 0, "no-hooks", OPTION_CLEARED, NULL, "hooks", NULL, "run no hooks any more" },
        { 0, "all-file-systems", OPTION_NEGATED, NULL, "source.one_file_system", NULL,
          "enter other file systems" },
        { 0, "no-one-snapshot", OPTION_NEGATED, NULL, "source.one_snapshot", NULL,
          "each database is of a moment of its own" },
        { 0, "no-follow-symlinks", OPTION_NEGATED, NULL, "source.follow_symlinks", NULL,
          "back up symbolic links as such" },
        NO_SECRETS,
        TASK_OPTIONS,
};

/* --- runs and restores --- */

static const Option run_list_options[] = {
        LIMIT,
        { 's', "state", OPTION_STRING, "STATE", NULL,
          "queued|dispatched|running|succeeded|partial|failed|cancelled|missed|interrupted",
          "only those in this state" },
        { 0,   "task",    OPTION_STRING, "TASK",  NULL, NULL, "only those of this task" },
        { 0,   "on-node", OPTION_STRING, "NODE",  NULL, NULL, "only those on this node" },
};
static const Option snapshot_options[] = {
        LIMIT,
        { 0, "task", OPTION_STRING, "TASK", NULL, NULL, "only those of this task" },
        { 0, "on-node", OPTION_STRING, "NODE", NULL, NULL, "only those of this node" },
        { 0, "on-target", OPTION_STRING, "TARGET", NULL, NULL, "only those on this target" },
};
static const Option queue_options[] = {
        { 'n', "node", OPTION_NODE, "NODE", NULL, NULL, "only what is for this node" },
};
static const Option logs_options[] = {
        { 'f', "follow", OPTION_SWITCH, NULL, NULL, NULL, "go on until the run's end" },
};
static const Option verify_options[] = {
        { 0, "read-data", OPTION_SWITCH, NULL, NULL, NULL, "read all data, not only structure and sizes" },
        { 0, "share", OPTION_STRING, "N/M", NULL, NULL, "read a share of the data, as 1/7" },
        WAIT,
};
static const Option restore_options[] = {
        { 't', "to", OPTION_PATH, "DIR", "destination.path", NULL,
          "the directory to restore into" },
        { 'n', "node", OPTION_NODE, "NODE", "destination.node_id", NULL,
          "the node to restore on, local by default" },
        { 0, "in-place", OPTION_SWITCH, NULL, NULL, NULL,
          "restore to where the files came from, on their node" },
        { 0, "dump", OPTION_STRING, "PATH", "destination.database.path", NULL,
          "restore this dump into a server: /mysql/shop.sql" },
        { 0, "database", OPTION_STRING, "NAME", "destination.database.name", NULL,
          "what the database of --dump is called then" },
        { 0, "drop", OPTION_SWITCH, NULL, "destination.database.drop", NULL,
          "drop the database that has that name now" },
        { 0, "server-of", OPTION_NUMBER, "TASK", "destination.database.task_id", NULL,
          "into the server of the task of this number, the run's own by default" },
        { 0, "schema", OPTION_LIST, "NAME", "destination.database.schemas", NULL,
          "of PostgreSQL, only this one; several times" },
        { 0, "table", OPTION_LIST, "NAME", "destination.database.tables", NULL,
          "of PostgreSQL, only this one; several times" },
        { 0, "no-owners", OPTION_SWITCH, NULL, "destination.database.no_owners", NULL,
          "of PostgreSQL, leave owners and rights out" },
        { 'c', "conflict", OPTION_STRING, "RULE", "conflict", "fail|overwrite|skip|resume",
          "what to do about files that exist, fail by default; resume goes on after an early end" },
        { 0, "force", OPTION_SWITCH, NULL, "force", NULL,
          "replace databases of SQLite that a program has open, too" },
        WAIT,
};

/* --- access --- */

static const Option key_create_options[] = {
        { 'r', "role",    OPTION_STRING, "ROLE", "role",       "admin|operator|viewer", "what it may do" },
        { 0, "expires", OPTION_STRING, "TIME", "expires_at", NULL,
          "when it ends, as 2030-01-31T00:00:00Z" },
};
static const Option user_create_options[] = {
        { 'r', "role", OPTION_STRING, "ROLE", "role", "admin|operator|viewer", "what they may do" },
        PASSWORD_FILE,
};
static const Option user_edit_options[] = {
        { 'r', "role", OPTION_STRING, "ROLE", "role", "admin|operator|viewer",
          "what they may do" },
        { 0,   "name",         OPTION_STRING,  "NAME", "username", NULL, "rename the account" },
        { 0, "disabled", OPTION_NEGATED, NULL, "enabled", NULL,
          "end all sessions and allow no new one" },
        { 0,   "enabled",      OPTION_SWITCH,  NULL,   "enabled",  NULL, "allow logins again" },
        { 0,   "new-password", OPTION_SWITCH,  NULL,   NULL,       NULL, "ask for a new password" },
        PASSWORD_FILE,
};
static const Option audit_options[] = {
        LIMIT,
        { 0, "user",   OPTION_STRING, "USER",   NULL, NULL, "only what this user did" },
        { 0, "action", OPTION_STRING, "ACTION", NULL, NULL, "only this action" },
};
static const Option reset_options[] = { PASSWORD_FILE };

/* --- the master itself --- */

#define PASSPHRASE \
        { 0, "passphrase", OPTION_SWITCH, NULL, NULL, NULL, \
          "sealed with a passphrase, which is asked for" }, \
        { 0, "password-file", OPTION_STRING, "FILE", NULL, NULL, \
          "read the passphrase from a file, - for standard input" }, \
        { 0, "plain", OPTION_STRING, "DIR", NULL, NULL, \
          "the master's keys are plain files in DIR, as backupx-keys --plain makes them" }
#define SEALING \
        { 0, "recipient", OPTION_LIST, "KEY", NULL, NULL, \
          "seal it to a public key of age, age1…; several times" }, \
        { 0, "recipients-file", OPTION_STRING, "FILE", NULL, NULL, \
          "seal it to the public keys of age in FILE, one a line" }, \
        { 0, "force", OPTION_SWITCH, NULL, NULL, NULL, "replace a file that is there" }
static const Option kit_options[] = {
        { 0, "check", OPTION_SWITCH, NULL, NULL, NULL,
          "write nothing; say whether the last kit has all that it has to" },
        SEALING,
        PASSPHRASE,
};
static const Option self_backup_options[] = {
        SEALING,
        PASSPHRASE,
};
static const Option self_restore_options[] = {
        { 'i', "identity", OPTION_STRING, "FILE", NULL, NULL,
          "the identities of age (AGE-SECRET-KEY-1…) that it is sealed to" },
        { 0, "force", OPTION_SWITCH, NULL, NULL, NULL,
          "replace a master that has content; its files are kept as *.before-restore" },
        PASSPHRASE,
};

static const Command commands[] = {
        { "setup", NULL, NULL, NULL, OPTIONS(login_options), verb_setup,
          "make the first administrator of a new master", NULL },
        { "login", NULL, NULL, NULL, OPTIONS(login_options), verb_login,
          "start a session, kept in ~/.config/backupx", NULL },
        { "logout", NULL, NULL, NULL, NO_OPTIONS, verb_logout, "end the session", NULL },
        { "passwd", NULL, NULL, NULL, OPTIONS(reset_options), verb_password,
          "change the own password", NULL },
        { "status", NULL, NULL, NULL, NO_OPTIONS, verb_status,
          "show the nodes and the latest runs, and say when a recovery kit is due", NULL },

        { "nodes", "list",   NULL,   NULL,    OPTIONS(list_options), verb_list, "list the nodes", NULL },
        { "nodes", "show",   "NODE", "nodes", NO_OPTIONS, verb_show, "show a node", NULL },
        { "nodes", "create", "NAME", NULL, OPTIONS(node_create_options), verb_create,
          "make a node; its token is shown this once", NULL },
        { "nodes", "edit",   "NODE", "nodes", OPTIONS(node_edit_options), verb_edit, "change a node", NULL },
        { "nodes", "delete", "NODE", "nodes", OPTIONS(delete_options), verb_delete, "delete a node",
          "Refused while tasks use it: they are listed, with --json for programs." },
        { "nodes", "enroll", "NODE", "nodes", OPTIONS(enroll_options), verb_nodes_enroll,
          "make a one-time token for an agent's enrolment", NULL },
        { "nodes", "install", "[NAME…]", NULL, OPTIONS(install_options), verb_nodes_install,
          "make nodes, and print the commands that install their agents",
          "Each command is one line, to be pasted on the node's host; it asks for root privileges there, "
          "and works once. At most 50 nodes at a time: all are made, or none." },
        { "nodes", "rotate-token", "NODE", "nodes", OPTIONS(revoke_options), verb_nodes_rotate,
          "make a new token; the old one works for another 24 h", NULL },
        { "nodes", "ls", "NODE [PATH]", "nodes", NO_OPTIONS, verb_nodes_ls,
          "list one directory of a node, / by default", NULL },
        { "nodes", "discover-databases", "NODE", "nodes", OPTIONS(databases_options),
          verb_nodes_discover_databases, "list the databases of a node, or those in one of its servers",
          "Without a login: servers, files of SQLite, and the tools that back them up. A wildcard stays "
          "within one name: --sqlite '/srv/*/data/*.db'. Without --sqlite the usual places below /opt, /srv "
          "and /var/lib are looked at. With --type and where it is, or with --server-of, one server is "
          "asked: its databases, and what a dump of them would need. An error makes the exit status 1." },
        { "nodes", "rclone", "NODE [BACKEND]", "nodes", OPTIONS(rclone_options), verb_nodes_rclone,
          "list the backends of the rclone of a node, or the options of one of them",
          "Each backend is a type of targets, rclone:BACKEND. Its options are given with --config, those "
          "that are secret with --secret; what is for some providers alone says so. --json has all that "
          "rclone says of them, with the values that it suggests." },
        { "nodes", "check", "NODE", "nodes", NO_OPTIONS, verb_nodes_check,
          "let a node look at itself: contact, clock, policy, disk, jobs, tools",
          "Each line is ok, warning or error, with what to do about it. An error makes the exit status 1." },
        { "nodes", "disable", "NODE", "nodes", NO_OPTIONS, verb_nodes_enable,
          "refuse its agent and end what it runs", NULL },
        { "nodes", "enable",  "NODE", "nodes", NO_OPTIONS, verb_nodes_enable, "let it work again", NULL },
        { "nodes", "drain", "NODE", "nodes", NO_OPTIONS, verb_nodes_drain,
          "give it nothing new; what it runs goes on", NULL },
        { "nodes", "undrain", "NODE", "nodes", NO_OPTIONS, verb_nodes_drain,
          "give it work again", NULL },
        { "nodes", "reset-identity", "NODE", "nodes", OPTIONS(revoke_options), verb_nodes_reset,
          "let its agent bring another key, once", NULL },

        { "targets", "list", NULL, NULL, OPTIONS(list_options), verb_list,
          "list the targets", NULL },
        { "targets", "show",   "TARGET", "targets", NO_OPTIONS, verb_show, "show a target", NULL },
        { "targets", "create", "NAME", NULL, OPTIONS(target_create_options), verb_create,
          "make a target", NULL },
        { "targets", "edit", "TARGET", "targets", OPTIONS(target_edit_options), verb_edit,
          "change a target", NULL },
        { "targets", "delete", "TARGET", "targets", OPTIONS(delete_options), verb_delete,
          "delete a target; what is stored there stays", NULL },
        { "targets", "test", "TARGET", "targets", OPTIONS(target_test_options), verb_targets_test,
          "write, read and remove a small object there", NULL },

        { "tasks", "list",   NULL,     NULL,    OPTIONS(list_options), verb_list, "list the tasks", NULL },
        { "tasks", "show",   "TASK",   "tasks", NO_OPTIONS, verb_show, "show a task", NULL },
        { "tasks", "create", "[NAME]", NULL, OPTIONS(task_create_options), verb_tasks_create,
          "make a task, from options or from YAML",
          "The keys of a file are the fields that the API has of a task, each where the API has it, with "
          "nodes and targets by name (node, targets); one that is not known is refused. Passwords are not "
          "in it: --secret gives them." },
        { "tasks", "edit", "TASK", "tasks", OPTIONS(task_edit_options), verb_edit,
          "change a task", NULL },
        { "tasks", "delete", "TASK", "tasks", OPTIONS(delete_options), verb_delete,
          "delete a task; its backups stay", NULL },
        { "tasks", "test", "[TASK]", "tasks", OPTIONS(task_test_options), verb_tasks_test,
          "try whether a run of a task would find what it needs",
          "The source, the rights of the user of a server, the tools of the node, hooks and targets: of a "
          "task that is there, with changes as of tasks edit, or without a name of one that is being "
          "written, as of tasks create. Nothing is stored. Each line is ok, warning or error; an error "
          "makes the exit status 1." },
        { "tasks", "run", "TASK", "tasks", OPTIONS(wait_options), verb_tasks_run,
          "run a task now", NULL },

        { "runs", "list", NULL, NULL, OPTIONS(run_list_options), verb_list,
          "list the runs, the newest first", NULL },
        { "runs", "show",   "RUN",        NULL, NO_OPTIONS, verb_show, "show a run", NULL },
        { "runs", "cancel", "RUN", NULL, OPTIONS(wait_options), verb_runs_cancel,
          "cancel a run", NULL },
        { "runs", "wait",   "RUN",        NULL, NO_OPTIONS, verb_runs_wait, "wait for a run's end", NULL },
        { "runs", "logs", "RUN", NULL, OPTIONS(logs_options), verb_runs_logs,
          "print the log of a run", NULL },
        { "runs", "verify", "RUN", NULL, OPTIONS(verify_options), verb_runs_verify,
          "look whether the repositories that hold a backup are whole", NULL },
        { "runs", "forget", "RUN", NULL, OPTIONS(wait_options), verb_runs_prune,
          "remove what its task does not keep from the repositories that hold a backup", NULL },
        { "runs", "prune", "RUN", NULL, OPTIONS(wait_options), verb_runs_prune,
          "forget, and give back the space of what nothing refers to", NULL },
        { "runs", "files", "RUN [PATH]", NULL, NO_OPTIONS, verb_runs_files,
          "list one directory of a backup", NULL },

        { "queue", NULL, NULL, NULL, OPTIONS(queue_options), verb_queue,
          "show what waits, what is out, and for what", NULL },

        { "snapshots", NULL, NULL, NULL, OPTIONS(snapshot_options), verb_list,
          "list what is in the repositories, the newest first", NULL },

        { "dump", NULL, "RUN PATH", NULL, NO_OPTIONS, verb_dump,
          "write one file of a backup to standard output", NULL },

        { "restores", "list", NULL, NULL, OPTIONS(run_list_options), verb_list,
          "list the restores, the newest first", NULL },
        { "restores", "show",   "RESTORE",     NULL, NO_OPTIONS, verb_show, "show a restore", NULL },
        { "restores", "create", "RUN [PATH…]", NULL, OPTIONS(restore_options), verb_restores_create,
          "restore what a run backed up, all of it or some paths", NULL },
        { "restores", "cancel", "RESTORE", NULL, OPTIONS(wait_options), verb_runs_cancel,
          "cancel a restore", NULL },

        { "keys", "list",   NULL,   NULL,   OPTIONS(list_options), verb_list, "list the API keys", NULL },
        { "keys", "create", "NAME", NULL, OPTIONS(key_create_options), verb_create,
          "make an API key; it is shown this once", NULL },
        { "keys", "delete", "KEY", "keys", OPTIONS(delete_options), verb_delete,
          "delete an API key", NULL },

        { "users", "list",   NULL,   NULL,    OPTIONS(list_options), verb_list, "list the users", NULL },
        { "users", "show",   "USER", "users", NO_OPTIONS, verb_show, "show a user", NULL },
        { "users", "create", "NAME", NULL, OPTIONS(user_create_options), verb_users_create,
          "make a user", NULL },
        { "users", "edit", "USER", "users", OPTIONS(user_edit_options), verb_users_edit,
          "change a user", NULL },
        { "users", "delete", "USER", "users", OPTIONS(delete_options), verb_delete, "delete a user", NULL },

        { "logs", "show", "RUN", NULL, OPTIONS(logs_options), verb_runs_logs,
          "print the log of a run, as runs logs does", NULL },
        { "logs", "audit", NULL,  NULL, OPTIONS(audit_options), verb_list, "list who changed what", NULL },

        { "relay", "allow", "DIR", "directory", NO_OPTIONS, verb_relay_allow,
          "let the relay of this master write to a directory (root)",
          "Adds the directory to the sandbox of backupx-api.service and to the configuration, and restarts "
          "the service." },
        { "reset-password", NULL, "[NAME]", NULL, OPTIONS(reset_options), verb_reset_password,
          "set a password on the master itself (root)",
          "Works without a login, on the database: for an administrator who forgot the password. All "
          "sessions of the account end." },
        { "recovery-kit", NULL, "[FILE]", NULL, OPTIONS(kit_options), verb_recovery_kit,
          "write down all that restoring without BackupX needs (root)",
          "One text with the keys, the place and the password of every repository, the logins of all "
          "targets, and the commands of stock tools that restore. It opens every backup: the file is "
          "readable by root alone, and belongs off the machine. - is the standard output. With --check "
          "nothing is written, and the status is 1 where a new kit is due." },
        { "self-backup", NULL, "FILE", NULL, OPTIONS(self_backup_options), verb_self_backup,
          "copy the master itself: database, keys, configuration (root)",
          "One file (.tar.zst, sealed .tar.zst.age) that stock tools open and self-restore puts back. The "
          "daemons go on meanwhile. - is the standard output." },
        { "self-restore", NULL, "FILE", NULL, OPTIONS(self_restore_options), verb_self_restore,
          "make this machine the master that self-backup copied (root)",
          "The daemons must not run. All of the copy is checked before anything is changed, and a failure "
          "leaves everything as it was. - is the standard input." },
        { "offline-keys", "set", "KEY…", NULL, NO_OPTIONS, verb_offline_keys_set,
          "seal what is backed up for public keys of age that are kept elsewhere (root)",
          "Sealed archives can be opened by their private keys, too, and each repository gets its password "
          "as an age file for them: stock tools then open every backup without the master and without a "
          "recovery kit. For what is backed up from then on; the keys replace those that were set." },
        { "offline-keys", "show", NULL, NULL, NO_OPTIONS, verb_offline_keys_show,
          "print these keys (root)", NULL },
        { "offline-keys", "clear", NULL, NULL, NO_OPTIONS, verb_offline_keys_clear,
          "seal for nobody but the master any more (root)", NULL },
        { "help", NULL, "[COMMAND…]", NULL, NO_OPTIONS, verb_help,
          "explain a command; --json: all of them, for programs", NULL },
};

/* clang-format on */

const Command *command_table(size_t *ret_n) {
        assert(ret_n);

        *ret_n = ELEMENTSOF(commands);
        return commands;
}

const Option *command_global_options(size_t *ret_n) {
        assert(ret_n);

        *ret_n = ELEMENTSOF(global_options);
        return global_options;
}
