/* SPDX-License-Identifier: Apache-2.0 */

/* Doors and peers in one loop: calls, signals, errors, a sibling that comes late, goes and comes back. */

#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/bus.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "tests/test.h"

#define PATH "/org/backupx/Test1"
#define INTERFACE "org.backupx.Test1"
#define NOBODY 65534
#define PATIENCE_USEC (60 * USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        char *folder;
        char *socket;
        BusDoors *doors;
        BusPeer *peer;
        unsigned connects;
        unsigned signals;
        uint64_t sum;
        char *error;
} Fixture;

static int method_add(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint64_t a, b;
        int r;

        r = sd_bus_message_read(m, "tt", &a, &b);
        if (r < 0)
                return r;
        r = bus_sender_may(m, BUS_CHANGE, error);
        if (r < 0)
                return r;
        if (a == 0)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_FOUND, "There is no 0");
        return sd_bus_reply_method_return(m, "t", a + b);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Add", SD_BUS_ARGS("t", a, "t", b), SD_BUS_RESULT("t", sum), method_add,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Rang", SD_BUS_ARGS("t", node), 0),
        SD_BUS_VTABLE_END,
};

static void on_connect(BusPeer *peer, void *userdata) {
        Fixture *f = userdata;

        f->connects++;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        uint64_t node;

        CHECK_OK(sd_bus_message_read(m, "t", &node));
        CHECK_INT(node, 7);
        f->signals++;
        return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;

        if (sd_bus_message_is_method_error(m, NULL)) {
                CHECK_OK(free_and_strdup(&f->error, sd_bus_message_get_error(m)->name));
                return 0;
        }
        if (sd_bus_message_has_signature(m, "t") > 0)
                CHECK_OK(sd_bus_message_read(m, "t", &f->sum));
        return 0;
}

static void open_doors(Fixture *f) {
        int fd;

        fd = daemon_bind_unix(f->socket, 0600);
        CHECK_OK(fd);
        CHECK_OK(bus_doors_new(f->event, /* system_name= */ NULL, PATH, fd, &f->doors));
        CHECK_OK(bus_doors_add_vtable(f->doors, INTERFACE, vtable, f));
        CHECK_INT(bus_doors_start(f->doors), 0);
}

static void setup(Fixture *f) {
        char template[] = "/tmp/backupx-test-bus-XXXXXX";

        *f = (Fixture){};
        CHECK_OK(sd_event_new(&f->event));
        CHECK(mkdtemp(template));
        CHECK_OK(free_and_strdup(&f->folder, template));
        CHECK_OK(asprintf_safe(&f->socket, "%s/a socket%%", template));
        CHECK_OK(bus_peer_new(&(const BusPeerArgs){ .event = f->event,
                                                    .socket = f->socket,
                                                    .path = PATH,
                                                    .on_connect = on_connect,
                                                    .userdata = f },
                              &f->peer));
        CHECK_OK(bus_peer_match(f->peer, INTERFACE, "Rang", on_signal, f));
}

static void teardown(Fixture *f) {
        bus_peer_free(f->peer);
        bus_doors_free(f->doors);
        CHECK(unlink(f->socket) == 0);
        CHECK(rmdir(f->folder) == 0);
        sd_event_unref(f->event);
        free(f->socket);
        free(f->folder);
        free(f->error);
}

/* Runs the loop until *counter reaches n. */
static void run_until(Fixture *f, const unsigned *counter, unsigned n) {
        usec_t end = now_usec(CLOCK_MONOTONIC) + PATIENCE_USEC;

        while (*counter < n) {
                CHECK(now_usec(CLOCK_MONOTONIC) < end);
                CHECK_OK(sd_event_run(f->event, 100 * USEC_PER_MSEC));
        }
}

static void run_until_set(Fixture *f, char *const *text) {
        usec_t end = now_usec(CLOCK_MONOTONIC) + PATIENCE_USEC;

        while (!*text) {
                CHECK(now_usec(CLOCK_MONOTONIC) < end);
                CHECK_OK(sd_event_run(f->event, 100 * USEC_PER_MSEC));
        }
}

static void test_call_and_signal(void) {
        Fixture f;

        setup(&f);
        open_doors(&f);
        CHECK_OK(bus_peer_start(f.peer));
        CHECK_INT(bus_peer_call_async(f.peer, INTERFACE, "Add", on_reply, &f, "tt", UINT64_C(2),
                                      UINT64_C(3)),
                  -ENOTCONN);
        run_until(&f, &f.connects, 1);
        CHECK(bus_peer_is_connected(f.peer));

        CHECK_OK(bus_peer_call_async(f.peer, INTERFACE, "Add", on_reply, &f, "tt", UINT64_C(2),
                                     UINT64_C(3)));
        CHECK_OK(bus_peer_call_async(f.peer, INTERFACE, "Add", on_reply, &f, "tt", UINT64_C(0),
                                     UINT64_C(3)));
        run_until_set(&f, &f.error);
        CHECK_INT(f.sum, 5);
        CHECK_STR(f.error, BUS_ERROR_NOT_FOUND);

        bus_doors_emit(f.doors, INTERFACE, "Rang", "t", UINT64_C(7));
        run_until(&f, &f.signals, 1);
        teardown(&f);
}

static void test_late_and_lost(void) {
        Fixture f;

        setup(&f);
        /* Nobody there yet. */
        CHECK_OK(bus_peer_start(f.peer));
        CHECK_OK(sd_event_run(f.event, 0));
        CHECK(!bus_peer_is_connected(f.peer));
        open_doors(&f);
        run_until(&f, &f.connects, 1);

        /* Lost in the middle of a call: that is an answer, too. */
        CHECK_OK(bus_peer_call_async(f.peer, INTERFACE, "Add", on_reply, &f, "tt", UINT64_C(2),
                                     UINT64_C(3)));
        f.doors = bus_doors_free(f.doors);
        run_until_set(&f, &f.error);
        CHECK(!bus_peer_is_connected(f.peer)); /* who hears of it asks again */
        open_doors(&f);
        run_until(&f, &f.connects, 2);
        bus_doors_emit(f.doors, INTERFACE, "Rang", "t", UINT64_C(7));
        run_until(&f, &f.signals, 1);
        teardown(&f);
}

static void test_many_peers(void) {
        BusPeer *peers[80] = {};
        Fixture f;

        setup(&f);
        open_doors(&f);
        for (size_t i = 0; i < ELEMENTSOF(peers); i++) {
                CHECK_OK(bus_peer_new(&(const BusPeerArgs){ .event = f.event,
                                                            .socket = f.socket,
                                                            .path = PATH,
                                                            .on_connect = on_connect,
                                                            .userdata = &f },
                                      &peers[i]));
                CHECK_OK(bus_peer_start(peers[i]));
        }
        /* The doors are 64; the others keep knocking, and the loop keeps turning. */
        run_until(&f, &f.connects, 64);
        for (size_t i = 0; i < ELEMENTSOF(peers); i++)
                bus_peer_free(peers[i]);
        f.connects = 0;
        CHECK_OK(bus_peer_start(f.peer));
        run_until(&f, &f.connects, 1);
        teardown(&f);
}

static void test_log_control(void) {
        int before = log_max_level();
        Fixture f;

        setup(&f);
        open_doors(&f);
        CHECK_OK(bus_peer_start(f.peer));
        run_until(&f, &f.connects, 1);
        /* The peer's object path is fixed, so this one asks by itself. */
        bus_peer_free(f.peer);
        CHECK_OK(bus_peer_new(&(const BusPeerArgs){ .event = f.event,
                                                    .socket = f.socket,
                                                    .path = "/org/freedesktop/LogControl1",
                                                    .on_connect = on_connect,
                                                    .userdata = &f },
                              &f.peer));
        CHECK_OK(bus_peer_start(f.peer));
        run_until(&f, &f.connects, 2);
        CHECK_OK(bus_peer_call_async(f.peer, "org.freedesktop.DBus.Properties", "Set", on_reply, &f, "ssv",
                                     "org.freedesktop.LogControl1", "LogLevel", "s", "debug"));
        CHECK_OK(bus_peer_call_async(f.peer, "org.freedesktop.DBus.Properties", "Set", on_reply, &f, "ssv",
                                     "org.freedesktop.LogControl1", "LogLevel", "s", "loud"));
        run_until_set(&f, &f.error);
        CHECK_INT(log_max_level(), LOG_DEBUG);
        CHECK_STR(f.error, "org.freedesktop.DBus.Error.InvalidArgs");
        log_set_max_level(before);
        teardown(&f);
}

/* In a process of another user: whether its call is refused. */
static bool is_refused(const char *socket) {
        Fixture f = {};

        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                return false;
        CHECK_OK(sd_event_new(&f.event));
        CHECK_OK(bus_peer_new(&(const BusPeerArgs){ .event = f.event,
                                                    .socket = socket,
                                                    .path = PATH,
                                                    .on_connect = on_connect,
                                                    .userdata = &f },
                              &f.peer));
        CHECK_OK(bus_peer_start(f.peer));
        run_until(&f, &f.connects, 1);
        CHECK_OK(bus_peer_call_async(f.peer, INTERFACE, "Add", on_reply, &f, "tt", UINT64_C(2),
                                     UINT64_C(3)));
        run_until_set(&f, &f.error);
        return streq(f.error, BUS_ERROR_DENIED);
}

/* A socket that somebody opened to all does not open the daemon. */
static void test_stranger(void) {
        int status = 0;
        Fixture f;
        pid_t pid;

        if (geteuid() != 0) {
                fprintf(stderr, "left out: needs root\n");
                return;
        }
        setup(&f);
        open_doors(&f);
        CHECK(chmod(f.folder, 0755) == 0 && chmod(f.socket, 0666) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                _exit(is_refused(f.socket) ? EXIT_SUCCESS : EXIT_FAILURE);
        while (waitpid(pid, &status, WNOHANG) == 0)
                CHECK_OK(sd_event_run(f.event, 20 * USEC_PER_MSEC));
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), EXIT_SUCCESS);
        teardown(&f);
}

int main(void) {
        RUN(test_call_and_signal);
        RUN(test_late_and_lost);
        RUN(test_many_peers);
        RUN(test_log_control);
        RUN(test_stranger);
        return EXIT_SUCCESS;
}
