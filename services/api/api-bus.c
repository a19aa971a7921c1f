/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/bus.h"
#include "sys/daemon.h"
#include "wire/names.h"

#include "services/api/api-bus.h"
#include "services/api/api.h"
#include "services/api/stream.h"

struct ApiBus {
        Api *api;
        BusDoors *doors;
};

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        return sd_bus_message_append(reply, "s", BACKUPX_VERSION);
}

static int get_listen_addresses(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        const Api *api = ASSERT_PTR(userdata);

        return sd_bus_message_append_strv(reply, api->listen_addresses);
}

static int get_waiting_agents(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        const Api *api = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "u", (uint32_t) api_waiting_agents(api));
}

static int get_open_streams(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        const Api *api = ASSERT_PTR(userdata);

        return sd_bus_message_append(reply, "u", (uint32_t) streams_count(api->streams));
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ListenAddresses", "as", get_listen_addresses, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("WaitingAgents", "u", get_waiting_agents, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_PROPERTY("OpenStreams", "u", get_open_streams, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_VTABLE_END,
};

int api_bus_new(Api *api, ApiBus **ret) {
        _cleanup_(api_bus_freep) ApiBus *b = NULL;

        assert(api);
        assert(ret);

        b = new0(ApiBus, 1);
        if (!b)
                return -ENOMEM;
        b->api = api;
        *ret = TAKE_PTR(b);
        return 0;
}

ApiBus *api_bus_free(ApiBus *b) {
        if (!b)
                return NULL;

        bus_doors_free(b->doors);
        free(b);
        return NULL;
}

int api_bus_start(ApiBus *b, Failure *reterr_failure) {
        int fd, r;

        assert(b);

        fd = daemon_listen_private("api", reterr_failure);
        if (fd < 0)
                return fd;
        r = bus_doors_new(b->api->event, BUS_API_NAME, BUS_API_PATH, fd, &b->doors);
        if (r < 0)
                return r;
        r = bus_doors_add_vtable(b->doors, BUS_API_INTERFACE, vtable, b->api);
        if (r < 0)
                return r;
        return bus_doors_start(b->doors);
}
