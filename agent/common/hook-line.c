/* SPDX-License-Identifier: Apache-2.0 */

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/common/hook-line.h"
#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/text.h"

/* Where the keeper has its line, as every service that is started by a socket. */
#define LINE_FD 3
#define NAME_MAX_BYTES 255U
#define TYPE_MAX_BYTES 32U
#define SEND_PATIENCE_MSEC 1000

static const char *const hook_message_table[_HOOK_MESSAGE_MAX] = {
        [HOOK_MESSAGE_BEGIN] = "begin",
        [HOOK_MESSAGE_END] = "end",
        [HOOK_MESSAGE_CANCEL] = "cancel",
        [HOOK_MESSAGE_LEFTOVERS] = "leftovers",
        [HOOK_MESSAGE_REFUSED] = "refused",
        [HOOK_MESSAGE_LINE] = "line",
        [HOOK_MESSAGE_RAN] = "ran",
        [HOOK_MESSAGE_PRE] = "pre",
        [HOOK_MESSAGE_DONE] = "done",
};

DEFINE_STRING_TABLE(hook_message, HookMessage);

/* --- Work --------------------------------------------------------------------------------------------- */

void hook_work_done(HookWork *w) {
        assert(w);

        free(w->task);
        free(w->node);
        free(w->type);
        task_hooks_done(&w->hooks);
        *w = HOOK_WORK_NULL;
}

int hook_work_build(const HookWork *w, json_t **ret) {
        _cleanup_json_ json_t *message = hook_message_new(HOOK_MESSAGE_BEGIN);
        json_t *hooks = NULL;
        int r;

        assert(w);
        assert(ret);

        r = json_set(message, "run", json_from_u64(w->run));
        if (r >= 0)
                r = json_set(message, "attempt", json_from_u64(w->attempt));
        if (r >= 0)
                r = json_set(message, "task_id", json_from_u64(w->task_id));
        if (r >= 0)
                r = json_set(message, "task", json_from_string(w->task));
        if (r >= 0)
                r = json_set(message, "node", json_from_string(w->node));
        if (r >= 0)
                r = json_set(message, "source", json_from_string(w->type));
        if (r >= 0)
                r = task_hooks_build(&w->hooks, &hooks);
        if (r >= 0)
                r = json_set(message, "hooks", hooks);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(message);
        return 0;
}

/* They become lines of an environment. */
static void read_name(JsonReader *r, const char *key, size_t max, char **ret) {
        (void) json_reader_strdup(r, key, JSON_REQUIRED, max, ret);
        for (const char *p = r->error >= 0 ? *ret : NULL; p && *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f) {
                        (void) json_reader_fail(r, key, "holds a control character");
                        return;
                }
}

int hook_work_parse(const json_t *message, HookWork *ret, Failure *reterr_failure) {
        _cleanup_(hook_work_done) HookWork w = HOOK_WORK_NULL;
        JsonReader r, hooks;
        int k;

        assert(ret);

        (void) json_reader_init(&r, message, reterr_failure);
        (void) json_reader_u64(&r, "run", JSON_REQUIRED, INT64_MAX, &w.run);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, INT64_MAX, &w.attempt);
        (void) json_reader_u64(&r, "task_id", JSON_REQUIRED, INT64_MAX, &w.task_id);
        read_name(&r, "task", NAME_MAX_BYTES, &w.task);
        read_name(&r, "node", NAME_MAX_BYTES, &w.node);
        read_name(&r, "source", TYPE_MAX_BYTES, &w.type);
        if (json_reader_object(&r, "hooks", JSON_REQUIRED, &hooks) > 0)
                (void) task_hooks_read(&hooks, &w.hooks);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = w;
        w = HOOK_WORK_NULL;
        return 0;
}

/* --- The line ----------------------------------------------------------------------------------------- */

static int spawn(const char *program, char *const *environment, int *ret_fd) {
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        char *const argv[] = { (char *) "backupx-hook", NULL };
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        /* It may outlive the job. */
        r = exec_start(&(ExecArgs){ .path = program,
                                    .argv = argv,
                                    .environment = environment,
                                    .fds = { -1, -1, STDERR_FILENO, theirs },
                                    .flags = EXEC_DETACHED },
                       /* ret_pid= */ NULL);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(ours);
        return 0;
}

int hook_line_open(const char *socket_path, const char *program, char *const *environment, int *ret_fd,
                   Failure *reterr_failure) {
        int r;

        assert(socket_path);
        assert(ret_fd);

        if (program) {
                r = spawn(program, environment, ret_fd);
                return r < 0 ? failure_set(reterr_failure, r, "HOOKS_UNUSABLE",
                                           "The program for hooks, %s, cannot be started: %m", program) :
                               0;
        }
        r = fd_connect_unix(socket_path, SOCK_SEQPACKET, ret_fd);
        if (r >= 0)
                return 0;
        if (r == -ENOENT || r == -ECONNREFUSED)
                return failure_set(reterr_failure, r, "HOOKS_OFF",
                                   "This host does not run hooks. As root on that host run: "
                                   "systemctl enable --now backupx-hook.socket");
        return failure_set(reterr_failure, r, "HOOKS_UNUSABLE", "The socket of hooks %s cannot be used: %m",
                           socket_path);
}

json_t *hook_message_new(HookMessage type) {
        _cleanup_json_ json_t *message = json_object();

        if (json_set(message, "type", json_string(hook_message_to_string(type))) < 0)
                return NULL;
        return TAKE_PTR(message);
}

HookMessage hook_message_type(const json_t *message) {
        const char *type = json_string_value(json_object_get(message, "type"));

        return type ? hook_message_from_string(type) : _HOOK_MESSAGE_INVALID;
}

int hook_message_send(int fd, const json_t *message) {
        _cleanup_(freep) char *text = NULL;
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        size_t n;
        int r;

        assert(fd >= 0);

        r = json_format(message, &text, &n);
        if (r < 0)
                return r;
        if (n > HOOK_PACKET_MAX)
                return -EFBIG;
        for (bool again = false; send(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0; again = true) {
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (again || poll(&p, 1, SEND_PATIENCE_MSEC) <= 0)
                        return -EAGAIN;
        }
        return 0;
}

int hook_message_receive(int fd, json_t **ret) {
        _cleanup_(freep) char *packet = NULL;
        ssize_t n;
        int r;

        assert(fd >= 0);
        assert(ret);

        packet = malloc(HOOK_PACKET_MAX + 1);
        if (!packet)
                return -ENOMEM;
        do
                n = recv(fd, packet, HOOK_PACKET_MAX + 1, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? 0 : -errno;
        if (n == 0)
                return 0;
        if ((size_t) n > HOOK_PACKET_MAX)
                return -EBADMSG;
        r = json_parse_strict(packet, (size_t) n, JSON_DEPTH_BODY, ret, /* reterr_failure= */ NULL);
        return r < 0 ? r : 1;
}
