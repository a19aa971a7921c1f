/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/common/policy.h"
#include "agent/daemon/check.h"
#include "agent/daemon/http-multi.h"
#include "base/alloc.h"
#include "base/text.h"

/* A clock that drifts, and one that is wrong. */
#define SKEW_WARNING ((int64_t) (5 * USEC_PER_SEC))
#define SKEW_ERROR ((int64_t) (5 * USEC_PER_MINUTE))
/* Identity, token, and results of jobs that wait for the master. */
#define FREE_WARNING (UINT64_C(256) << 20)
#define FREE_ERROR (UINT64_C(8) << 20)

/* The URL of a proxy may hold a password: it is not told. */
static int check_contact(const Agent *a, json_t *items) {
        const AgentOptions *o = agent_options(a);
        const Master *m = agent_master(a);
        const char *proxy = isempty(o->proxy_url) ? "" : " through the proxy";

        if (master_is_connected(m))
                return check_add(items, "contact", CHECK_STATE_OK, NULL, "%s answers%s", o->master, proxy);
        return check_add(items, "contact", CHECK_STATE_ERROR,
                         "Look at address, network, proxy and certificate; the agent goes on trying",
                         "%s%s: %s", o->master, proxy,
                         isempty(master_trouble(m)) ? "not reached yet" : master_trouble(m));
}

static int check_tls(const Agent *a, json_t *items) {
        const AgentOptions *o = agent_options(a);

        if (http_url_is_exposed(o->master))
                return check_add(items, "tls", CHECK_STATE_WARNING,
                                 "Give the master a certificate, and name it with https:// here",
                                 "The master is reached without TLS: token and data can be read on the way");
        if (o->insecure_tls)
                return check_add(items, "tls", CHECK_STATE_WARNING,
                                 "Name the certificate with ca_cert, or pin the key with pin",
                                 "The certificate of the master is not checked (insecure_tls)");
        if (!startswith(o->master, "https://"))
                return check_add(items, "tls", CHECK_STATE_OK, NULL, "Not needed on this machine");
        return check_add(items, "tls", CHECK_STATE_OK, NULL, "%s",
                         !isempty(o->pin)                     ? "The key of the master is pinned" :
                                         !isempty(o->ca_cert) ? "Checked with the certificates of ca_cert" :
                                                                "Checked with the system's certificates");
}

static int check_token(const Agent *a, json_t *items) {
        if (!master_token(agent_master(a)))
                return check_add(items, "token", CHECK_STATE_ERROR,
                                 "On the master: backupx nodes enroll; here: backupx agent enroll",
                                 "There is no token: this host is not enrolled");
        if (agent_is_duplicated(a))
                return check_add(items, "token", CHECK_STATE_ERROR,
                                 "Was this machine cloned? Enrol one of the two as a node of its own",
                                 "Another agent answers for this node");
        return check_add(items, "token", CHECK_STATE_OK, NULL, "There is one%s%s",
                         agent_node_name(a) ? ", of node " : "", strempty(agent_node_name(a)));
}

static int check_clock(const Agent *a, json_t *items) {
        int64_t skew = 0, size;

        if (!agent_clock_skew(a, &skew))
                return 0; /* no contact yet; that is an item of its own */
        size = skew < 0 ? -skew : skew;
        if (size < SKEW_WARNING)
                return check_add(items, "clock", CHECK_STATE_OK, NULL,
                                 "Within %" PRId64 " ms of the master's", size / 1000 + 1);
        return check_add(items, "clock", size < SKEW_ERROR ? CHECK_STATE_WARNING : CHECK_STATE_ERROR,
                         "Set the clock, and keep it right: timedatectl set-ntp true",
                         "%" PRId64 " s %s the master's", size / (int64_t) USEC_PER_SEC,
                         skew < 0 ? "behind" : "ahead of");
}

static int check_policy(const Agent *a, json_t *items) {
        const char *path = agent_options(a)->policy;
        _cleanup_(policy_done) Policy policy = POLICY_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        r = policy_load(path, &policy, &failure);
        if (r < 0)
                return check_add(items, "policy", CHECK_STATE_ERROR,
                                 "Correct the file: until then every command is refused", "%s",
                                 failure_message(&failure, r));
        if (access(path, F_OK) < 0)
                return check_add(items, "policy", CHECK_STATE_OK, NULL,
                                 "There is no %s: the master may do what jobs can", path);
        return check_add(items, "policy", CHECK_STATE_OK, NULL, "%s is understood", path);
}

static int check_state_dir(const Agent *a, json_t *items) {
        const char *path = agent_options(a)->state_dir;
        struct statvfs fs;
        uint64_t free_bytes;

        if (faccessat(agent_results_fd(a), ".", W_OK, AT_EACCESS) < 0 || access(path, W_OK) < 0)
                return check_add(items, "state", CHECK_STATE_ERROR,
                                 "Look at owner, mode and the file system of this directory",
                                 "The agent cannot write to %s: %m", path);
        if (statvfs(path, &fs) < 0)
                return check_add(items, "state", CHECK_STATE_ERROR, NULL, "%s cannot be used: %m", path);
        free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
        if (free_bytes < FREE_WARNING)
                return check_add(items, "state",
                                 free_bytes < FREE_ERROR ? CHECK_STATE_ERROR : CHECK_STATE_WARNING,
                                 "Make room there: results of jobs wait in it for the master",
                                 "Only %" PRIu64 " MiB are free at %s", free_bytes >> 20, path);
        return check_add(items, "state", CHECK_STATE_OK, NULL, "%" PRIu64 " MiB are free at %s",
                         free_bytes >> 20, path);
}

/* All sockets, or none and the program itself. */
static int check_jobs(const Agent *a, json_t *items) {
        static const char *const names[] = { "backup", "restore", "probe" };
        const AgentOptions *o = agent_options(a);
        _cleanup_(freep) char *hint = NULL, *bad = NULL;
        unsigned missing = 0;
        int error = 0, r;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *socket = NULL;

                r = asprintf_safe(&socket, "%s/%s.sock", o->runtime_dir, names[i]);
                if (r < 0)
                        return r;
                if (access(socket, W_OK) >= 0)
                        continue;
                missing += errno == ENOENT;
                if (bad)
                        continue;
                error = errno;
                bad = TAKE_PTR(socket);
                r = asprintf_safe(&hint, "systemctl enable --now backupx-%s.socket", names[i]);
                if (r < 0)
                        return r;
        }
        if (!bad)
                return check_add(items, "jobs", CHECK_STATE_OK, NULL, "systemd starts them");
        if (missing == ELEMENTSOF(names) && access(o->job, X_OK) >= 0)
                return check_add(items, "jobs", CHECK_STATE_OK, NULL, "The agent starts them itself");
        return check_add(items, "jobs", CHECK_STATE_ERROR, hint, "%s cannot be used: %s", bad,
                         strerror(error));
}

int agent_check_items(const Agent *a, json_t **ret) {
        static int (*const checks[])(const Agent *a, json_t *items) = {
                check_contact,
                check_tls,
                check_token,
                check_clock,
                check_policy,
                check_state_dir,
                check_jobs,
        };
        _cleanup_json_ json_t *items = json_array();

        assert(a);
        assert(ret);

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
                int r = checks[i](a, items);

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(items);
        return 0;
}
