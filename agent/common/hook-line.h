#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The line between a backup job and the keeper of its hooks, backupx-hook: a unix socket of packets, each
 * one JSON object. The keeper runs with all rights of its host, the job with hardly any; so the job only
 * names what the administrator of the host put there.
 *
 * job → keeper   begin {…} (HookWork), later end {state}; cancel at any time between; or leftovers alone
 * keeper → job   refused {code, message}: nothing was run; else line {hook, phase, text} and
 *                ran {hook, phase, error, took_ms} as they happen, pre {go_on, error} after the pre hooks,
 *                done {error} after the post hooks
 *
 * Once it began, the keeper runs the post hooks whatever becomes of the job: the end of the line is an end,
 * too. After pre hooks that failed or were cancelled it does so without being told. */

#include <errno.h>

#include "wire/hooks.h"

#define HOOK_SOCKET_DEFAULT "/run/backupx-agent/hook.sock"
#define HOOK_PACKET_MAX (32U << 10)

/* Between a cancel and the end that the job should say: a job that hangs has this long. */
#define HOOK_CANCEL_PATIENCE_SEC 60U

typedef enum HookMessage {
        HOOK_MESSAGE_BEGIN,
        HOOK_MESSAGE_END,
        HOOK_MESSAGE_CANCEL,
        HOOK_MESSAGE_LEFTOVERS,
        HOOK_MESSAGE_REFUSED,
        HOOK_MESSAGE_LINE,
        HOOK_MESSAGE_RAN,
        HOOK_MESSAGE_PRE,
        HOOK_MESSAGE_DONE,
        _HOOK_MESSAGE_MAX,
        _HOOK_MESSAGE_INVALID = -EINVAL,
} HookMessage;

DECLARE_STRING_TABLE(hook_message, HookMessage);

/* What a keeper is told, and what a hook is told in its environment. */
typedef struct HookWork {
        uint64_t run, attempt, task_id;
        char *task, *node, *type;
        TaskHooks hooks;
} HookWork;

#define HOOK_WORK_NULL ((HookWork){ .hooks = TASK_HOOKS_NULL })
void hook_work_done(HookWork *w);
/* The "begin" message. */
int hook_work_build(const HookWork *w, json_t **ret) _warn_unused_;
int hook_work_parse(const json_t *message, HookWork *ret, Failure *reterr_failure) _warn_unused_;

/* --- The line -------------------------------------------------------------------------------------- */

/* Connects to the socket, or, where program is not NULL, starts that as a child of nobody, with this
 * environment. Blocking. */
int hook_line_open(const char *socket_path, const char *program, char *const *environment, int *ret_fd,
                   Failure *reterr_failure) _warn_unused_;

/* A new message; NULL when out of memory. */
json_t *hook_message_new(HookMessage type);
HookMessage hook_message_type(const json_t *message);
/* -EAGAIN: the other side does not read. */
int hook_message_send(int fd, const json_t *message) _warn_unused_;
/* 1, or 0 at the end of the line. -EBADMSG: no packet of ours. */
int hook_message_receive(int fd, json_t **ret) _warn_unused_;
