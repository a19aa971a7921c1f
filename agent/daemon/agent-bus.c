/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/common/policy.h"
#include "agent/daemon/agent-bus.h"
#include "agent/daemon/launch.h"
#include "agent/daemon/work.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "sys/bus.h"
#include "wire/names.h"

struct AgentBus {
        Agent *agent; /* weak */
        BusDoors *doors;
};

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

static int append_status(const Agent *a, sd_bus_message *reply) {
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
        const AgentBus *b = ASSERT_PTR(userdata);
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = bus_sender_may(m, BUS_READ, error);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_status(b->agent, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_jobs(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = bus_sender_may(m, BUS_READ, error);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(tuss)");
        for (const Work *w = *agent_works(b->agent); r >= 0 && w; w = w->next)
                r = sd_bus_message_append(reply, "(tuss)", w->name.command, (uint32_t) w->name.attempt,
                                          strempty(command_kind_to_string(w->kind)),
                                          work_state_to_string(w->state));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* One line of a report: what was looked at, whether it is well, and what is wrong or how it is. */
static int add_check(Buffer *report, const char *what, bool well, const char *text) {
        return buffer_printf(report, "%s %s: %s\n", well ? "ok  " : "FAIL", what, text);
}

static int check_contact(const Agent *a, Buffer *report) {
        const Master *m = agent_master(a);

        return add_check(report, "contact", master_is_connected(m),
                         master_is_connected(m)                      ? "the master answers" :
                                         !isempty(master_trouble(m)) ? master_trouble(m) :
                                                                       "the master was not reached yet");
}

static int check_policy(const Agent *a, Buffer *report) {
        _cleanup_(policy_done) Policy policy = POLICY_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        r = policy_load(agent_options(a)->policy, &policy, &failure);
        return add_check(report, "policy", r >= 0, r < 0 ? failure_message(&failure, r) : "understood");
}

static int check_results(const Agent *a, Buffer *report) {
        bool well = faccessat(agent_results_fd(a), ".", W_OK, AT_EACCESS) >= 0;

        return add_check(report, "results", well, well ? "the folder can be written" : strerror(errno));
}

static int check_jobs(const Agent *a, Buffer *report) {
        const AgentOptions *o = agent_options(a);
        _cleanup_(freep) char *socket = NULL;
        int r;

        r = asprintf_safe(&socket, "%s/backup.sock", o->runtime_dir);
        if (r < 0)
                return r;
        if (access(socket, W_OK) >= 0)
                return add_check(report, "jobs", true, "systemd starts them");
        if (errno == ENOENT && access(o->job, X_OK) >= 0)
                return add_check(report, "jobs", true, "the agent starts them itself");
        return add_check(report, "jobs", false, strerror(errno));
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const AgentBus *b = ASSERT_PTR(userdata);
        const Agent *a = b->agent;
        _cleanup_buffer_ Buffer report = BUFFER_NULL;
        bool enrolled;
        int r;

        r = bus_sender_may(m, BUS_READ, error);
        if (r < 0)
                return r;
        enrolled = master_token(agent_master(a)) != NULL;
        r = add_check(&report, "token", enrolled, enrolled ? "there is one" : "not enrolled");
        if (r >= 0)
                r = check_contact(a, &report);
        if (r >= 0)
                r = check_policy(a, &report);
        if (r >= 0)
                r = check_results(a, &report);
        if (r >= 0)
                r = check_jobs(a, &report);
        return r < 0 ? r : sd_bus_reply_method_return(m, "s", report.data);
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
        SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", report), method_check,
                                SD_BUS_VTABLE_UNPRIVILEGED),
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
        r = bus_doors_new(agent_event(a), BUS_AGENT_NAME, BUS_AGENT_PATH, -EBADF, &b->doors);
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
        return mfree(b);
}

int agent_bus_start(AgentBus *b) {
        assert(b);
        return bus_doors_start(b->doors);
}
