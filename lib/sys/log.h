#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The log of a program: to the journal with fields where standard error is the journal, else as plain lines
 * on standard error. The maximum level and the target are the only variables of the suite that live outside
 * of an object. Programs log; lib/ does not, debug excepted. */

#include <errno.h>
#include <inttypes.h>
#include <syslog.h>

#include "base/macros.h"

/* One journal field beside the message: a number, or a text where text is not NULL. */
typedef struct LogField {
        const char *name;
        uint64_t number;
        const char *text;
} LogField;

/* So that "journalctl BACKUPX_RUN=42" tells one run's story. */
#define LOG_RUN(id) \
        { .name = "BACKUPX_RUN", .number = (id) }
#define LOG_TASK(id) \
        { .name = "BACKUPX_TASK", .number = (id) }
#define LOG_NODE(id) \
        { .name = "BACKUPX_NODE", .number = (id) }
#define LOG_TARGET(id) \
        { .name = "BACKUPX_TARGET", .number = (id) }
#define LOG_COMMAND(id) \
        { .name = "BACKUPX_COMMAND", .number = (id) }
#define LOG_ATTEMPT(n) \
        { .name = "BACKUPX_ATTEMPT", .number = (n) }
#define LOG_ACCOUNT(who) \
        { .name = "BACKUPX_USER", .text = (who) }
#define LOG_STATE(state) \
        { .name = "BACKUPX_STATE", .text = (state) }
#define LOG_FIELDS(...) ((const LogField[]){ __VA_ARGS__, {} })

/* Chooses the target and sets the name that lines carry; identifier is kept, not copied. The level comes
 * from BACKUPX_LOG_LEVEL where that is set. */
void log_open(const char *identifier);

/* LOG_ERR … LOG_DEBUG; messages above it are not written. */
void log_set_max_level(int level);
int log_max_level(void) _pure_;

/* "emerg" … "debug", also as numbers; -EINVAL. */
int log_level_from_string(const char *s) _warn_unused_;
const char *log_level_to_string(int level);
/* "journal" or "console". */
const char *log_target_to_string(void);
int log_set_target(const char *name) _warn_unused_;
const char *log_identifier(void);

/* Writes one message. error (its sign does not matter, 0: none) is what %m prints and becomes ERRNO=.
 * message_id may be NULL, fields may be NULL, else they end with a field without a name.
 * Gives -|error|. errno is kept. */
int log_internal(int level, int error, const char *message_id, const LogField *fields, const char *format,
                 ...) _printf_(5, 6);

#define log_full(level, error, message_id, fields, ...) \
        ({ \
                int _level = (level), _error = (error); \
                _level <= log_max_level() ? \
                                log_internal(_level, _error, message_id, fields, __VA_ARGS__) : \
                                (_error > 0 ? -_error : _error); \
        })

#define log_error(...) ((void) log_full(LOG_ERR, 0, NULL, NULL, __VA_ARGS__))
#define log_warning(...) ((void) log_full(LOG_WARNING, 0, NULL, NULL, __VA_ARGS__))
#define log_notice(...) ((void) log_full(LOG_NOTICE, 0, NULL, NULL, __VA_ARGS__))
#define log_info(...) ((void) log_full(LOG_INFO, 0, NULL, NULL, __VA_ARGS__))
#define log_debug(...) ((void) log_full(LOG_DEBUG, 0, NULL, NULL, __VA_ARGS__))

/* Give the error, negative, so that one statement logs and returns. */
#define log_error_errno(error, ...) log_full(LOG_ERR, error, NULL, NULL, __VA_ARGS__)
#define log_warning_errno(error, ...) log_full(LOG_WARNING, error, NULL, NULL, __VA_ARGS__)
#define log_notice_errno(error, ...) log_full(LOG_NOTICE, error, NULL, NULL, __VA_ARGS__)
#define log_info_errno(error, ...) log_full(LOG_INFO, error, NULL, NULL, __VA_ARGS__)
#define log_debug_errno(error, ...) log_full(LOG_DEBUG, error, NULL, NULL, __VA_ARGS__)

/* An event with a catalog entry (MESSAGE_… of wire/names.h, or NULL) and fields:
 * log_struct(LOG_NOTICE, MESSAGE_RUN_FINISHED, LOG_FIELDS(LOG_RUN(run), LOG_NODE(node)), "Run …", …) */
#define log_struct(level, message_id, fields, ...) \
        ((void) log_full(level, 0, message_id, fields, __VA_ARGS__))
#define log_struct_errno(level, error, message_id, fields, ...) \
        log_full(level, error, message_id, fields, __VA_ARGS__)

/* Writes a failure of base/failure.h that has not been logged: prefix, then its sentence. */
#define log_failure(error, failure, prefix) \
        log_error_errno(error, "%s: %s", prefix, failure_message(failure, error))
