/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "agent/daemon/check-bus.h"
#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "sys/bus.h"
#include "sys/log.h"
#include "wire/names.h"

/* Above the time that the agent gives its job. */
#define CHECK_TIMEOUT (30 * USEC_PER_SEC)
#define DEFAULT_INSTANCE "default"

int agent_bus_name(const char *instance, char **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(ret);

        if (isempty(instance) || streq(instance, DEFAULT_INSTANCE))
                return asprintf_safe(ret, "%s", BUS_AGENT_NAME);
        r = sd_bus_path_encode("/", instance, &path);
        return r < 0 ? r : asprintf_safe(ret, "%s.i_%s", BUS_AGENT_NAME, strrchr(path, '/') + 1);
}

/* Not to be started for this: an agent that was stopped on purpose stays stopped. */
static int ask(sd_bus *bus, const char *name, sd_bus_error *error, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, name, BUS_AGENT_PATH, BUS_AGENT_INTERFACE, "Check");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, 0);
        return r < 0 ? r : sd_bus_call(bus, m, CHECK_TIMEOUT, error, ret);
}

static int print_items(sd_bus_message *reply, unsigned *ret_errors, unsigned *ret_warnings) {
        const char *name, *state, *text, *hint;
        unsigned errors = 0, warnings = 0;
        int r;

        r = sd_bus_message_skip(reply, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ssss)", &name, &state, &text, &hint)) > 0) {
                errors += streq(state, "error");
                warnings += streq(state, "warning");
                printf("%-8s %-8s %s\n", state, name, text);
                if (!isempty(hint))
                        printf("%-17s %s\n", "", hint);
        }
        if (r < 0)
                return r;
        *ret_errors = errors;
        *ret_warnings = warnings;
        return fflush(stdout) < 0 ? -errno : 0;
}

static int note(const char *name, unsigned errors, unsigned warnings) {
        if (errors > 0) {
                log_struct(LOG_ERR, MESSAGE_CHECK_FAILED, NULL, "The check of %s found %u error%s", name,
                           errors, errors == 1 ? "" : "s");
                return 1;
        }
        log_struct(LOG_INFO, MESSAGE_CHECK_PASSED, NULL, "The check of %s found no error and %u warning%s",
                   name, warnings, warnings == 1 ? "" : "s");
        return 0;
}

static int fail(const char *name, int r, const sd_bus_error *error) {
        bool absent = sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                        sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER);

        assert(error);

        if (absent)
                log_struct(LOG_ERR, MESSAGE_CHECK_FAILED, NULL,
                           "No agent is at %s on the system bus. Look at: systemctl status 'backupx-agent*'",
                           name);
        else
                log_struct(LOG_ERR, MESSAGE_CHECK_FAILED, NULL, "The agent at %s does not answer: %s", name,
                           error->message ? error->message : strerror(-r));
        return 1;
}

int agent_check(const char *instance) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        unsigned errors = 0, warnings = 0;
        _cleanup_(freep) char *name = NULL;
        int r;

        r = agent_bus_name(instance, &name);
        if (r < 0)
                return log_error_errno(r, "'%s' cannot be the name of an instance: %m", instance);
        r = sd_bus_open_system(&bus);
        if (r < 0)
                return log_error_errno(r,
                                       "The system bus cannot be reached: %m. Without one, ask the master: "
                                       "backupx nodes check NODE");
        r = ask(bus, name, &error, &reply);
        if (r < 0)
                return fail(name, r, &error);
        r = print_items(reply, &errors, &warnings);
        return r < 0 ? log_error_errno(r, "The answer of %s cannot be read: %m", name) :
                       note(name, errors, warnings);
}
