/* SPDX-License-Identifier: Apache-2.0 */

/* The private door of a daemon, as a sibling uses it: peer-to-peer D-Bus, which busctl does not speak.
 *
 *     bus-door SOCKET call PATH INTERFACE MEMBER [SIGNATURE ARGUMENT…]     arguments of types t, u, s, b
 *     bus-door SOCKET introspect PATH
 *     bus-door SOCKET watch SECONDS            prints signals: "MEMBER ARGUMENT…", after a line "ready" */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"

static int append(sd_bus_message *m, char type, const char *text) {
        switch (type) {
        case 't':
                return sd_bus_message_append(m, "t", strtoull(text, NULL, 10));
        case 'u':
                return sd_bus_message_append(m, "u", (uint32_t) strtoul(text, NULL, 10));
        case 'b':
                return sd_bus_message_append(m, "b", streq(text, "true"));
        case 's':
                return sd_bus_message_append(m, "s", text);
        default:
                return -EINVAL;
        }
}

static int print_value(sd_bus_message *m, char type) {
        const char *s;
        uint64_t t;
        uint32_t u;
        int b, r;

        switch (type) {
        case 't':
                r = sd_bus_message_read(m, "t", &t);
                if (r > 0)
                        printf(" %" PRIu64, t);
                return r;
        case 'u':
                r = sd_bus_message_read(m, "u", &u);
                if (r > 0)
                        printf(" %" PRIu32, u);
                return r;
        case 'b':
                r = sd_bus_message_read(m, "b", &b);
                if (r > 0)
                        printf(" %s", b ? "true" : "false");
                return r;
        case 's':
                r = sd_bus_message_read(m, "s", &s);
                if (r > 0)
                        printf(" %s", s);
                return r;
        default:
                return sd_bus_message_skip(m, NULL);
        }
}

static int print_values(sd_bus_message *m) {
        const char *signature = sd_bus_message_get_signature(m, true);

        for (const char *c = signature; *c && strchr("tubs", *c); c++) {
                int r = print_value(m, *c);

                if (r < 0)
                        return r;
        }
        putchar('\n');
        fflush(stdout);
        return 0;
}

static int open_door(const char *path, sd_bus **ret) {
        _cleanup_(freep) char *address = NULL;
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = asprintf_safe(&address, "unix:path=%s", path);
        if (r >= 0)
                r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int call(sd_bus *bus, int argc, char *argv[]) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NULL, argv[0], argv[1], argv[2]);
        for (int i = 4; r >= 0 && i < argc; i++)
                r = append(m, argv[3][i - 4], argv[i]);
        if (r >= 0)
                r = sd_bus_call(bus, m, 10 * USEC_PER_SEC, &error, &reply);
        if (sd_bus_error_is_set(&error))
                printf("%s: %s\n", error.name, error.message);
        return r < 0 ? r : print_values(reply);
}

static int introspect(sd_bus *bus, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *xml;
        int r;

        r = sd_bus_call_method(bus, NULL, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL,
                               &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &xml);
        if (r >= 0)
                puts(xml);
        return r;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (!sd_bus_message_is_signal(m, NULL, NULL) ||
            !startswith(sd_bus_message_get_interface(m), "org.backupx"))
                return 0;
        printf("%s", sd_bus_message_get_member(m));
        return print_values(m);
}

static int watch(sd_bus *bus, usec_t span) {
        usec_t end = now_usec(CLOCK_MONOTONIC) + span, now;
        int r;

        r = sd_bus_add_filter(bus, NULL, on_signal, NULL);
        if (r < 0)
                return r;
        puts("ready");
        fflush(stdout);
        while ((now = now_usec(CLOCK_MONOTONIC)) < end) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, end - now);
                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char *argv[]) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (argc < 4)
                return 2;
        r = open_door(argv[1], &bus);
        if (r >= 0 && streq(argv[2], "watch"))
                r = watch(bus, strtoull(argv[3], NULL, 10) * USEC_PER_SEC);
        else if (r >= 0 && streq(argv[2], "introspect"))
                r = introspect(bus, argv[3]);
        else if (r >= 0 && argc >= 6)
                r = call(bus, argc - 3, argv + 3);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
        return r < 0 ? 1 : 0;
}
