/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "agent/common/policy.h"
#include "agent/common/tools.h"
#include "agent/daemon/http-multi.h"
#include "agent/daemon/options.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "base/place.h"
#include "base/text.h"
#include "crypto/pin.h"
#include "sys/config.h"
#include "wire/agent.h"

#define WAIT_ONLINE_DEFAULT (60 * USEC_PER_SEC)

const char agent_help[] =
                "backupx-agent [OPTION…]               runs the agent\n"
                "backupx-agent enroll [OPTION…]        exchanges an install link's token for the node's\n"
                "backupx-agent wait-online [OPTION…]   waits until the master sees this node\n"
                "backupx-agent check [--instance NAME] lets the running agent look at itself\n"
                "backupx agent uninstall [--purge]     removes what the installer put on this host\n"
                "\n"
                "  --master URL        the master, https://backup.example.com:8340\n"
                "  --token TOKEN       the node's token, or an install link's; better in a file\n"
                "  --token-file FILE   a file that holds the token\n"
                "  --config FILE       configuration, default " AGENT_CONFIG_DEFAULT "\n"
                "  --temp-dir DIR      for small temporary files, default " AGENT_TEMP_DIR_DEFAULT "\n"
                "  --proxy-url URL     the proxy on the way to the master\n"
                "  --ca-cert FILE      certificates that vouch for the master\n"
                "  --pin PIN           the master's public key, sha256//BASE64; it alone decides then\n"
                "  --insecure-tls      trust whoever answers (for tests only)\n"
                "  --timeout SPAN      how long wait-online waits, default 60s\n"
                "  --instance NAME     of check: the agent of backupx-agent@NAME.service\n"
                "  --help, --version\n"
                "\n"
                "A single dash does, too. Each option is also a key of the configuration file, and a\n"
                "variable BACKUPX_AGENT_…; flags win over the file, the file wins over the environment.\n";

static const ConfigItem option_items[] = {
        { NULL, "master", config_parse_string, offsetof(AgentOptions, master) },
        { NULL, "token", config_parse_string, offsetof(AgentOptions, token) },
        { NULL, "token_file", config_parse_path, offsetof(AgentOptions, token_file) },
        { NULL, "temp_dir", config_parse_path, offsetof(AgentOptions, temp_dir) },
        { NULL, "proxy_url", config_parse_string, offsetof(AgentOptions, proxy_url) },
        { NULL, "ca_cert", config_parse_path, offsetof(AgentOptions, ca_cert) },
        { NULL, "insecure_tls", config_parse_boolean, offsetof(AgentOptions, insecure_tls) },
        { NULL, "pin", config_parse_string, offsetof(AgentOptions, pin) },
        { NULL, "state_dir", config_parse_path, offsetof(AgentOptions, state_dir) },
        { NULL, "results_dir", config_parse_path, offsetof(AgentOptions, results_dir) },
        { NULL, "runtime_dir", config_parse_path, offsetof(AgentOptions, runtime_dir) },
        { NULL, "job", config_parse_path, offsetof(AgentOptions, job) },
        { NULL, "hook", config_parse_path, offsetof(AgentOptions, hook) },
        { NULL, "policy", config_parse_path, offsetof(AgentOptions, policy) },
        { NULL, "tools_path", config_parse_string, offsetof(AgentOptions, tools_path) },
        { NULL, "instance", config_parse_string, offsetof(AgentOptions, instance) },
        { NULL, "capacity", config_parse_u32, offsetof(AgentOptions, capacity) },
        { NULL, "probe_capacity", config_parse_u32, offsetof(AgentOptions, probe_capacity) },
        { NULL, "log_level", config_parse_log_level, offsetof(AgentOptions, log_level) },
};

void agent_options_done(AgentOptions *o) {
        if (!o)
                return;
        free(o->config);
        free(o->master);
        erase_and_free(o->token);
        free(o->token_file);
        free(o->temp_dir);
        free(o->proxy_url);
        free(o->ca_cert);
        free(o->pin);
        free(o->state_dir);
        free(o->results_dir);
        free(o->runtime_dir);
        free(o->job);
        free(o->hook);
        free(o->policy);
        free(o->tools_path);
        free(o->instance);
        *o = AGENT_OPTIONS_NULL;
}

enum {
        OPTION_MASTER = 256,
        OPTION_TOKEN,
        OPTION_TOKEN_FILE,
        OPTION_CONFIG,
        OPTION_TEMP_DIR,
        OPTION_PROXY_URL,
        OPTION_CA_CERT,
        OPTION_PIN,
        OPTION_INSECURE_TLS,
        OPTION_TIMEOUT,
        OPTION_INSTANCE,
        OPTION_HELP,
        OPTION_VERSION,
};

static char **text_field(AgentOptions *o, int option) {
        assert(o);

        switch (option) {
        case OPTION_MASTER:
                return &o->master;
        case OPTION_TOKEN:
                return &o->token;
        case OPTION_TOKEN_FILE:
                return &o->token_file;
        case OPTION_CONFIG:
                return &o->config;
        case OPTION_TEMP_DIR:
                return &o->temp_dir;
        case OPTION_PROXY_URL:
                return &o->proxy_url;
        case OPTION_CA_CERT:
                return &o->ca_cert;
        case OPTION_PIN:
                return &o->pin;
        case OPTION_INSTANCE:
                return &o->instance;
        default: /* a number of getopt */
                return NULL;
        }
}

static int take_flag(AgentOptions *o, int option, char *const argv[], Failure *reterr_failure) {
        char **text = text_field(o, option);

        assert(o);

        if (text)
                return free_and_strdup(text, optarg);
        switch (option) {
        case OPTION_INSECURE_TLS:
                o->insecure_tls = true;
                return 0;
        case OPTION_TIMEOUT:
                return parse_span(optarg, &o->timeout) >= 0 ?
                                0 :
                                failure_set(reterr_failure, -EINVAL, "OPTION_INVALID",
                                            "--timeout takes a span of time such as 60s, not '%s'", optarg);
        case OPTION_HELP:
                o->verb = AGENT_HELP;
                return 0;
        case OPTION_VERSION:
                o->verb = AGENT_VERSION;
                return 0;
        default: /* a number of getopt */
                return failure_set(reterr_failure, -EINVAL, "OPTION_INVALID",
                                   option == ':' ? "The option %s needs a value; see backupx-agent --help" :
                                                   "Unknown option %s; see backupx-agent --help",
                                   argv[optind - 1]);
        }
}

static int parse_flags(int argc, char *argv[], AgentOptions *o, Failure *reterr_failure) {
        static const struct option flags[] = {
                { "master", required_argument, NULL, OPTION_MASTER },
                { "token", required_argument, NULL, OPTION_TOKEN },
                { "token-file", required_argument, NULL, OPTION_TOKEN_FILE },
                { "config", required_argument, NULL, OPTION_CONFIG },
                { "temp-dir", required_argument, NULL, OPTION_TEMP_DIR },
                { "proxy-url", required_argument, NULL, OPTION_PROXY_URL },
                { "ca-cert", required_argument, NULL, OPTION_CA_CERT },
                { "pin", required_argument, NULL, OPTION_PIN },
                { "insecure-tls", no_argument, NULL, OPTION_INSECURE_TLS },
                { "timeout", required_argument, NULL, OPTION_TIMEOUT },
                { "instance", required_argument, NULL, OPTION_INSTANCE },
                { "help", no_argument, NULL, OPTION_HELP },
                { "version", no_argument, NULL, OPTION_VERSION },
                {},
        };
        int c, r;

        assert(o);

        optind = 0; /* may be called again */
        while ((c = getopt_long_only(argc, argv, ":", flags, NULL)) >= 0) {
                r = take_flag(o, c, argv, reterr_failure);
                if (r < 0)
                        return r;
        }
        if (optind == argc)
                return 0;
        if (optind + 1 == argc && streq(argv[optind], "enroll"))
                o->verb = o->verb == AGENT_RUN ? AGENT_ENROLL : o->verb;
        else if (optind + 1 == argc && streq(argv[optind], "wait-online"))
                o->verb = o->verb == AGENT_RUN ? AGENT_WAIT_ONLINE : o->verb;
        else if (optind + 1 == argc && streq(argv[optind], "check"))
                o->verb = o->verb == AGENT_RUN ? AGENT_CHECK : o->verb;
        else if (optind + 1 == argc && streq(argv[optind], "apply-limits"))
                o->verb = o->verb == AGENT_RUN ? AGENT_APPLY_LIMITS : o->verb;
        else
                return failure_set(reterr_failure, -EINVAL, "OPTION_INVALID",
                                   "Unexpected argument '%s'; see backupx-agent --help", argv[optind]);
        return 0;
}

/* Flags were parsed into from; where one was given it wins. */
static void overlay(AgentOptions *o, AgentOptions *from) {
        static const size_t texts[] = {
                offsetof(AgentOptions, master),
                offsetof(AgentOptions, token),
                offsetof(AgentOptions, token_file),
                offsetof(AgentOptions, config),
                offsetof(AgentOptions, temp_dir),
                offsetof(AgentOptions, proxy_url),
                offsetof(AgentOptions, ca_cert),
                offsetof(AgentOptions, pin),
                offsetof(AgentOptions, instance),
        };

        assert(o);
        assert(from);

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char **a = (char **) ((char *) o + texts[i]), **b = (char **) ((char *) from + texts[i]);

                if (!*b)
                        continue;
                free(*a);
                *a = TAKE_PTR(*b);
        }
        if (from->insecure_tls)
                o->insecure_tls = true;
        o->verb = from->verb;
        o->timeout = from->timeout;
}

static int set_default(char **p, const char *value) {
        return isempty(*p) ? free_and_strdup(p, value) : 0;
}

/* A program of the same package: it lies beside the agent, wherever that is. */
static int set_default_program(char **p, const char *name) {
        if (!isempty(*p))
                return 0;
        *p = mfree(*p);
        if (place_beside_program(name, p) >= 0)
                return 0;
        return asprintf_safe(p, BACKUPX_LIBEXECDIR "/%s", name);
}

static int fill_defaults(AgentOptions *o) {
        int r;

        assert(o);

        r = set_default(&o->state_dir, AGENT_STATE_DIR_DEFAULT);
        if (r >= 0)
                r = set_default(&o->runtime_dir, AGENT_RUNTIME_DIR_DEFAULT);
        if (r >= 0)
                r = set_default(&o->temp_dir, AGENT_TEMP_DIR_DEFAULT);
        if (r >= 0)
                r = set_default_program(&o->job, "backupx-job");
        if (r >= 0)
                r = set_default_program(&o->hook, "backupx-hook");
        if (r >= 0)
                r = set_default(&o->policy, POLICY_PATH_DEFAULT);
        if (r >= 0)
                r = set_default(&o->tools_path, TOOLS_PATH_DEFAULT);
        if (r >= 0 && isempty(o->results_dir)) {
                o->results_dir = mfree(o->results_dir);
                r = asprintf_safe(&o->results_dir, "%s/results", o->state_dir);
        }
        if (o->timeout == 0)
                o->timeout = WAIT_ONLINE_DEFAULT;
        return r;
}

static int normalize(AgentOptions *o, Failure *reterr_failure) {
        char *url, *pin;
        int r;

        assert(o);

        if (isempty(o->master))
                return failure_set(reterr_failure, -EINVAL, "OPTION_INVALID",
                                   "No master is named: give --master URL, or the key 'master' in %s",
                                   o->config ? o->config : AGENT_CONFIG_DEFAULT);
        r = http_base_url(o->master, &url, reterr_failure);
        if (r < 0)
                return r;
        free(o->master);
        o->master = url;
        if (isempty(o->pin)) {
                o->pin = mfree(o->pin);
        } else {
                r = pin_normalize(o->pin, &pin, reterr_failure);
                if (r < 0)
                        return r;
                free(o->pin);
                o->pin = pin;
                if (!startswith(o->master, "https://"))
                        return failure_set(reterr_failure, -EINVAL, "OPTION_INVALID",
                                           "A key is pinned, and nothing would check it: the master's "
                                           "URL has to begin with https://, not %s",
                                           o->master);
        }
        if (o->capacity < 1 || o->capacity > AGENT_CAPACITY_MAX || o->probe_capacity < 1 ||
            o->probe_capacity > AGENT_CAPACITY_MAX)
                return failure_set(reterr_failure, -ERANGE, "OPTION_INVALID",
                                   "capacity and probe_capacity are numbers from 1 to %d",
                                   AGENT_CAPACITY_MAX);
        return 0;
}

static bool verb_needs_master(AgentVerb verb) {
        switch (verb) {
        case AGENT_RUN:
        case AGENT_ENROLL:
        case AGENT_WAIT_ONLINE:
                return true;
        case AGENT_CHECK:
        case AGENT_APPLY_LIMITS:
        case AGENT_HELP:
        case AGENT_VERSION:
                break;
        }
        return false;
}

static int load_sources(AgentOptions *o, const char *config, Failure *reterr_failure) {
        ConfigArgs environment = {
                .items = option_items,
                .n_items = ELEMENTSOF(option_items),
                .environment = "BACKUPX_AGENT",
                .target = o,
        };
        ConfigArgs file = {
                .items = option_items,
                .n_items = ELEMENTSOF(option_items),
                .path = config ? config : AGENT_CONFIG_DEFAULT,
                .required = config != NULL,
                .target = o,
        };
        int r;

        r = config_load(&environment, reterr_failure);
        return r < 0 ? r : config_load(&file, reterr_failure);
}

int agent_options_load(int argc, char *argv[], AgentOptions *ret, Failure *reterr_failure) {
        _cleanup_(agent_options_done) AgentOptions flags = AGENT_OPTIONS_NULL, o = AGENT_OPTIONS_NULL;
        int r;

        assert(argv);
        assert(ret);

        o.capacity = AGENT_CAPACITY_DEFAULT;
        o.probe_capacity = AGENT_PROBE_CAPACITY_DEFAULT;
        r = parse_flags(argc, argv, &flags, reterr_failure);
        if (r < 0)
                return r;
        if (verb_needs_master(flags.verb)) {
                r = load_sources(&o, flags.config, reterr_failure);
                if (r < 0)
                        return r;
        }
        /* A token given in one way replaces one that a weaker source gave in another. */
        if (flags.token)
                o.token_file = mfree(o.token_file);
        if (flags.token_file)
                o.token = erase_and_free(o.token);
        overlay(&o, &flags);
        r = fill_defaults(&o);
        if (r >= 0 && verb_needs_master(o.verb))
                r = normalize(&o, reterr_failure);
        if (r < 0)
                return r;

        *ret = o;
        o = AGENT_OPTIONS_NULL;
        return 0;
}
