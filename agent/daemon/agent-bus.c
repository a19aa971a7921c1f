/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "agent/daemon/agent-bus.h"
#include "agent/daemon/check-bus.h"
#include "agent/daemon/local-check.h"
#include "agent/daemon/work.h"
#include "base/alloc.h"
#include "base/text.h"
#include "sys/bus.h"
#include "wire/check.h"
#include "wire/names.h"

struct AgentBus {
        Agent *agent; /* weak */
        char *name;   /* of several agents on one host, each has its own */
        BusDoors *doors;
};

/* Somebody who waits for a check. */
typedef struct Question {
        const AgentBus *bus; /* weak */
        sd_bus_message *message;
} Question;

/* --- Properties --------------------------------------------------------------------------------------- */

static int get_master(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "s", agent_options(b->agent)->master);
}

static int get_node(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "s", strempty(agent_node_name(b->agent)));
}

static int get_connected(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "b", (int) master_is_connected(agent_master(b->agent)));
}

static int get_last_contact(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "t", master_last_contact(agent_master(b->agent)));
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", BACKUPX_VERSION);
}

/* --- Methods ------------------------------------------------------------------------------------------ */

static unsigned count(const Agent *a, WorkStateFilter which) {
        _cleanup_json_ json_t *list = agent_list_work(a, which);

        return (unsigned) json_array_size(list);
}

static int append_pair(sd_bus_message *reply, const char *key, const char *value) {
        return sd_bus_message_append(reply, "{sv}", key, "s", strempty(value));
}

static int append_status(sd_bus_message *reply, void *userdata) {
        const AgentBus *b = ASSERT_PTR(userdata);
        const Agent *a = b->agent;
        const Master *m = agent_master(a);
        int r;

        r = append_pair(reply, "State",
                        !master_token(m)                       ? "not-enrolled" :
                                        master_is_connected(m) ? "connected" :
                                                                 "disconnected");
        if (r >= 0)
                r = append_pair(reply, "Master", agent_options(a)->master);
        if (r >= 0)
                r = append_pair(reply, "Node", agent_node_name(a));
        if (r >= 0)
                r = append_pair(reply, "Trouble", master_trouble(m));
        if (r >= 0)
                r = append_pair(reply, "PublicKey", agent_public_key(a));
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "LastContactUSec", "t", master_last_contact(m));
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "Jobs", "u", count(a, work_state_is_running));
        return r;
}

static int method_status(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return bus_reply_array(m, "{sv}", append_status, userdata, error);
}

static int append_jobs(sd_bus_message *reply, void *userdata) {
        const AgentBus *b = ASSERT_PTR(userdata);
        int r = 0;

        for (const Work *w = *agent_works(b->agent); r >= 0 && w; w = w->next)
                r = sd_bus_message_append(reply, "(tuss)", w->name.command, (uint32_t) w->name.attempt,
                                          strempty(command_kind_to_string(w->kind)),
                                          work_state_to_string(w->state));
        return r;
}

static int method_list_jobs(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return bus_reply_array(m, "(tuss)", append_jobs, userdata, error);
}

static const char *member(const json_t *item, const char *name) {
        return strempty(json_string_value(json_object_get(item, name)));
}

static int reply_check(sd_bus_message *m, const json_t *items) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const json_t *item;
        size_t i;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", check_state_to_string(check_worst(items, NULL)));
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssss)");
        json_array_foreach((json_t *) items, i, item) {
                if (r >= 0)
                        r = sd_bus_message_append(reply, "(ssss)", member(item, "name"),
                                                  member(item, "state"), member(item, "text"),
                                                  member(item, "hint"));
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* The master is to know, too, whatever made somebody ask here. */
static void tell_master(const AgentBus *b, const json_t *report) {
        json_t *copy = json_incref((json_t *) report);

        agent_tell_check(b->agent, copy);
}

static void on_checked(const json_t *report, void *userdata) {
        _cleanup_(freep) Question *q = ASSERT_PTR(userdata);
        _cleanup_bus_message_ sd_bus_message *m = q->message;
        int r;

        r = report ? reply_check(m, json_object_get(report, "items")) : -ENOMEM;
        if (r < 0)
                (void) sd_bus_reply_method_errnof(m, r, "The report of the check cannot be given");
        if (report)
                tell_master(q->bus, report);
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);
        _cleanup_(freep) Question *q = NULL;
        int r;

        r = bus_sender_may(m, BUS_READ, error);
        if (r < 0)
                return r;
        q = new0(Question, 1);
        if (!q)
                return -ENOMEM;
        *q = (Question){ b, sd_bus_message_ref(m) };
        r = local_check_ask(agent_local_check(b->agent), on_checked, q);
        if (r == -EBUSY) {
                sd_bus_message_unref(m);
                return sd_bus_error_set(error, BUS_ERROR_LIMIT_EXCEEDED, "A check is under way already");
        }
        if (r < 0) {
                sd_bus_message_unref(m);
                return r;
        }
        TAKE_PTR(q);
        return 1;
}

static const sd_bus_vtable agent_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Master", "s", get_master, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Node", "s", get_node, 0, 0),
        SD_BUS_PROPERTY("Connected", "b", get_connected, 0, 0),
        SD_BUS_PROPERTY("LastContactUSec", "t", get_last_contact, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("Status", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", status), method_status,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListJobs", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(tuss)", jobs), method_list_jobs,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", state, "a(ssss)", items),
                                method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int agent_bus_new(Agent *a, AgentBus **ret) {
        AgentBus *b;
        int r;

        assert(a);
        assert(ret);

        b = new0(AgentBus, 1);
        if (!b)
                return -ENOMEM;
        b->agent = a;
        r = agent_bus_name(agent_options(a)->instance, &b->name);
        if (r >= 0)
                r = bus_doors_new(agent_event(a), b->name, BUS_AGENT_PATH, -EBADF, &b->doors);
        if (r >= 0)
                r = bus_doors_add_vtable(b->doors, BUS_AGENT_INTERFACE, agent_vtable, b);
        if (r < 0) {
                agent_bus_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

AgentBus *agent_bus_free(AgentBus *b) {
        if (!b)
                return NULL;
        bus_doors_free(b->doors);
        free(b->name);
        return mfree(b);
}

int agent_bus_start(AgentBus *b) {
        assert(b);
        return bus_doors_start(b->doors);
}
