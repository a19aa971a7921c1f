/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"
#include "store/node-token.h"
#include "sys/credentials.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/api/agent.h"
#include "services/api/api-bus.h"
#include "services/api/api-listen.h"
#include "services/api/api.h"
#include "services/api/relay.h"
#include "services/api/sibling-bus.h"
#include "services/api/stream.h"
#include "services/api/throttle.h"

/* What answers on their way may still take when the daemon stops. */
#define STOP_GRACE_USEC (2 * USEC_PER_SEC)
/* Open files that are no connections. */
#define FILES_RESERVED 256U
/* How often STATUS= is told anew. */
#define STATUS_USEC (15 * USEC_PER_SEC)
/* What has expired in the store (sessions, tokens, capabilities) is deleted in slices under 10 ms, in turns
 * of the loop that have nothing better to do. */
#define CLEAN_USEC (10 * USEC_PER_MINUTE)
#define CLEAN_MORE_USEC (100 * USEC_PER_MSEC)
/* "age1…" and a line end. */
#define PUBLIC_KEY_MAX 256U

static int state_path(const char *name, char **ret) {
        return asprintf_safe(ret, "%s/%s", daemon_state_directory(), name);
}

int api_dispatcher_key(const Api *api, AgeRecipient *ret) {
        _cleanup_(freep) char *path = NULL, *text = NULL;
        int r;

        assert(api);
        assert(ret);

        r = state_path(FILE_DISPATCHER_KEY, &path);
        if (r < 0)
                return r;
        r = read_file(AT_FDCWD, path, PUBLIC_KEY_MAX, &text, NULL);
        if (r < 0)
                return r;
        text[strcspn(text, "\r\n")] = 0;
        return age_recipient_parse(text, ret);
}

bool api_is_https(const Api *api) {
        assert(api);

        return api->config.external_url && startswith(api->config.external_url, "https://");
}

const ApiTls *api_tls(const Api *api) {
        assert(api);

        return &api->tls;
}

/* Without proxies, who reaches us by https reaches our own key, whatever port somebody forwards to ours. */
const char *api_pin_at(const Api *api, uint16_t port) {
        assert(api);

        if (api->config.trusted_proxies.n == 0 && !api->config.trusted_proxies.local)
                return api->tls.pin;
        for (size_t i = 0; i < api->n_tls_ports; i++)
                if (api->tls_ports[i] == port)
                        return api->tls.pin;
        return "";
}

unsigned api_waiting_agents(const Api *api) {
        assert(api);

        return api->agents ? agents_waiting(api->agents) : 0;
}

/* --- Start ------------------------------------------------------------------------------------------------
 */

static int load_session_key(Api *api) {
        _cleanup_(erase_and_freep) char *text = NULL;
        int r;

        assert(api);

        r = credential_read(CREDENTIAL_SESSION, 2 * SESSION_KEY_SIZE, &text, NULL);
        if (r == -ENXIO || r == -ENOENT) {
                log_notice("There is no credential " CREDENTIAL_SESSION
                           ": sessions of people end with this process.");
                return random_bytes(api->session_key, sizeof(api->session_key));
        }
        if (r >= 0)
                r = hex_decode(text, api->session_key, sizeof(api->session_key));
        if (r < 0)
                return log_error_errno(
                                r, "The credential " CREDENTIAL_SESSION " is not %d hexadecimal digits: %m",
                                2 * SESSION_KEY_SIZE);
        return 0;
}

/* The master's own node shows a token that was made on this machine; only its hash came here. */
static int take_local_token(Api *api) {
        _cleanup_(freep) char *path = NULL, *text = NULL;
        uint8_t hash[TOKEN_HASH_SIZE];
        int r;

        assert(api);

        r = state_path(FILE_LOCAL_NODE, &path);
        if (r < 0)
                return r;
        r = read_file(AT_FDCWD, path, 2 * TOKEN_HASH_SIZE + 2, &text, NULL);
        if (r == -ENOENT) {
                log_notice("There is no %s: the agent of this machine cannot log in yet.", path);
                return 0;
        }
        if (r >= 0) {
                text[strcspn(text, "\r\n")] = 0;
                r = hex_decode(text, hash, sizeof(hash));
        }
        if (r < 0)
                return log_error_errno(r, "Failed to read %s: %m", path);
        r = node_token_set_local(api->store, hash, now_usec(CLOCK_REALTIME));
        if (r < 0)
                return log_error_errno(r, "Failed to take over the token of the local node: %m");
        if (r > 0)
                log_info("Took over the token of the local node.");
        return 0;
}

static int open_store(Api *api) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(api);

        r = state_path(FILE_DATABASE, &path);
        if (r < 0)
                return r;
        r = store_open(path, STORE_API, &api->store, &failure);
        if (r < 0)
                return log_struct_errno(LOG_ERR, r, MESSAGE_STORE_FAILED, NULL, "Failed to open %s: %s",
                                        path, failure_message(&failure, r));
        return 0;
}

static int on_clean(sd_event_source *source, uint64_t usec, void *userdata) {
        const StoreRetention keep = STORE_RETENTION_DEFAULT;
        Api *api = ASSERT_PTR(userdata);
        bool more = false;
        int r;

        r = store_clean(api->store, &keep, now_usec(CLOCK_REALTIME), &more);
        if (r < 0)
                log_warning_errno(r, "Failed to clean up the store, trying again later: %m");
        return event_rearm(api->clean, more ? CLEAN_MORE_USEC : CLEAN_USEC);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata) {
        Api *api = ASSERT_PTR(userdata);

        notify_status("Serving on %s: %u agents wait, %zu event streams, %u connections",
                      api->listen_addresses[0], api_waiting_agents(api), streams_count(api->streams),
                      server_connections(api->server));
        return event_rearm(api->status, STATUS_USEC);
}

static int make_parts(Api *api) {
        uint64_t key;
        int r;

        assert(api);

        r = event_new(&api->event);
        if (r >= 0)
                r = workers_new(api->event, &api->workers);
        if (r >= 0)
                r = random_bytes(&key, sizeof(key));
        if (r >= 0)
                r = throttle_new(key, &api->throttle);
        if (r >= 0)
                r = streams_new(api, &api->streams);
        if (r >= 0)
                r = siblings_new(api, &api->siblings);
        if (r >= 0)
                r = agents_new(api, &api->agents);
        if (r >= 0)
                r = relay_new(api, &api->relay);
        if (r >= 0)
                r = api_bus_new(api, &api->bus);
        return r;
}

int api_new(ApiConfig *config, Api **ret) {
        _cleanup_(api_freep) Api *api = NULL;
        int r;

        assert(config);
        assert(ret);

        api = new0(Api, 1);
        if (!api)
                return log_error_errno(ENOMEM, "Failed to start: %m");
        api->config = *config;
        *config = API_CONFIG_DEFAULTS;
        r = make_parts(api);
        if (r < 0)
                return log_error_errno(r, "Failed to start: %m");
        r = load_session_key(api);
        if (r < 0)
                return r;
        r = open_store(api);
        if (r < 0)
                return r;
        r = take_local_token(api);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(api);
        return 0;
}

/* Each connection is a descriptor; what else there is (store, buses, files of the relay) needs some, too. */
static void fit_connections(Api *api) {
        struct rlimit limit;

        assert(api);

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        if (limit.rlim_cur < limit.rlim_max) {
                struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };

                if (setrlimit(RLIMIT_NOFILE, &raised) >= 0)
                        limit = raised;
        }
        if (limit.rlim_cur > 2 * FILES_RESERVED &&
            api->config.connections > limit.rlim_cur - FILES_RESERVED) {
                api->config.connections = (uint32_t) (limit.rlim_cur - FILES_RESERVED);
                log_notice("The limit of open files leaves %" PRIu32 " connections.",
                           api->config.connections);
        }
}

int api_start(Api *api) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(api);

        fit_connections(api);
        r = api_listen(api);
        if (r < 0)
                return r;
        r = event_add_timer(api->event, &api->clean, USEC_PER_MINUTE, on_clean, api);
        if (r >= 0)
                r = event_add_timer(api->event, &api->status, 0, on_status, api);
        if (r < 0)
                return log_error_errno(r, "Failed to start: %m");
        r = agents_start(api->agents);
        if (r >= 0)
                r = relay_start(api->relay);
        if (r < 0)
                return log_error_errno(r, "Failed to start serving agents: %m");
        r = siblings_start(api->siblings);
        if (r < 0)
                return log_error_errno(r, "Failed to call the sibling daemons: %m");
        r = api_bus_start(api->bus, &failure);
        if (r < 0)
                return log_failure(r, &failure, "Failed to open the bus");
        return 0;
}

void api_stop(Api *api) {
        assert(api);

        if (api->agents && api->server)
                agents_stop(api->agents);
        if (api->streams)
                streams_end(api->streams);
        if (api->server)
                server_stop(api->server, STOP_GRACE_USEC);
}

Api *api_free(Api *api) {
        if (!api)
                return NULL;

        /* What waits is answered first; then nothing holds the rest. */
        api_stop(api);
        workers_free(api->workers);
        server_free(api->server);
        for (size_t i = 0; i < ELEMENTSOF(api->no_content); i++)
                if (api->no_content[i])
                        MHD_destroy_response(api->no_content[i]);
        relay_free(api->relay);
        pieces_done(&api->pieces);
        agents_free(api->agents);
        api_bus_free(api->bus);
        siblings_free(api->siblings);
        streams_free(api->streams);
        throttle_free(api->throttle);
        sd_event_source_disable_unref(api->clean);
        sd_event_source_disable_unref(api->status);
        sd_event_source_disable_unref(api->tls_watch);
        store_close(api->store);
        sd_event_unref(api->event);
        explicit_bzero(api->session_key, sizeof(api->session_key));
        strv_free(api->listen_addresses);
        strv_free(api->socket_names);
        api_config_done(&api->config);
        free(api);
        return NULL;
}
