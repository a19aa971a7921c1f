/* SPDX-License-Identifier: Apache-2.0 */

/* The install wizard's server side: nodes, each with a one-time enrolment token and a link, and the commands
 * that bring their hosts online. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/token.h"
#include "store/enrollment.h"
#include "store/install-link.h"
#include "store/node.h"
#include "wire/entity.h"

#include "services/api/agent-package.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/install-private.h"
#include "services/api/master-address.h"

#define INSTALL_NAMES_MAX 50
#define INSTALL_TTL_DEFAULT_SEC (15U * 60)
#define INSTALL_TTL_MIN_SEC 60U
#define INSTALL_TTL_MAX_SEC (24U * 3600)
/* A chain of a few certificates. */
#define INSTALL_CA_MAX (32U << 10)
#define INSTALL_URL_MAX 1024

/* What was asked for, and what all nodes of one request share. */
typedef struct Wizard {
        char **names;
        uint64_t node_id; /* 0: new nodes */
        InstallMode mode;
        InstallArch arch;
        InstallSource source;
        char *version;
        uint32_t ttl_sec;
        char *proxy_url;
        char *ca_cert;

        MasterAddress master;
        char *signing_key;
        char *urls[INSTALL_ARCHS];
        char checksums[INSTALL_ARCHS][SHA256_HEX_SIZE];
        usec_t now, expires;

        json_t *items, *warnings;
        Buffer bundle;
} Wizard;

static void wizard_done(Wizard *w) {
        assert(w);

        strv_free(w->names);
        free(w->version);
        erase_and_free(w->proxy_url); /* may hold a password */
        free(w->ca_cert);
        master_address_done(&w->master);
        free(w->signing_key);
        for (size_t i = 0; i < INSTALL_ARCHS; i++)
                free(w->urls[i]);
        json_decref(w->items);
        json_decref(w->warnings);
        if (w->bundle.data)
                explicit_bzero(w->bundle.data, w->bundle.allocated);
        buffer_done(&w->bundle);
}

/* --- What was asked for ------------------------------------------------------------------------------- */

/* A URL that may stand in quotes of the shell, of YAML and of nothing at all. */
static bool proxy_is_plain(const char *url) {
        static const char *const schemes[] = { "http://", "https://", "socks5://", "socks5h://" };
        const char *rest = NULL;

        for (size_t i = 0; i < ELEMENTSOF(schemes) && !rest; i++)
                rest = startswith(url, schemes[i]);
        if (isempty(rest))
                return false;
        for (const char *p = rest; *p; p++)
                if (*p <= ' ' || *p == 0x7f || strchr("'\"`\\<>$", *p))
                        return false;
        return true;
}

static bool certificate_is_plain(const char *text) {
        for (const char *p = text; *p; p++)
                if ((*p < ' ' && *p != '\n' && *p != '\r') || *p == 0x7f)
                        return false;
        return strstr(text, "-----BEGIN CERTIFICATE-----") != NULL;
}

static int lookup_mode(const char *text) {
        return install_mode_from_string(text);
}

static int lookup_arch(const char *text) {
        return install_arch_from_string(text);
}

static int lookup_source(const char *text) {
        return install_source_from_string(text);
}

static void check_texts(JsonReader *reader, const Wizard *w) {
        assert(w);

        if (w->version && !agent_package_version_is_valid(w->version))
                json_reader_fail(reader, "version", "is not a version");
        if (w->proxy_url && !proxy_is_plain(w->proxy_url))
                json_reader_fail(reader, "proxy_url",
                                 "is not a URL of a proxy: http://, https://, socks5:// or socks5h://, and "
                                 "neither spaces nor quotes");
        if (w->ca_cert && !certificate_is_plain(w->ca_cert))
                json_reader_fail(reader, "ca_cert",
                                 "is not a certificate in PEM: the text, not the name of a file");
        if (w->ttl_sec < INSTALL_TTL_MIN_SEC)
                json_reader_fail(reader, "ttl_s", "has to be at least %u", INSTALL_TTL_MIN_SEC);
        if ((w->node_id != 0) == (strv_length(w->names) > 0))
                json_reader_fail(reader, "names", "or 'node_id' is needed, and not both");
}

static int read_body(const json_t *body, Wizard *w, Failure *reterr_failure) {
        int mode = INSTALL_SYSTEMD, arch = INSTALL_AUTO, source = INSTALL_FROM_MASTER;
        JsonReader reader;

        assert(w);

        json_reader_init(&reader, body, reterr_failure);
        json_reader_strv(&reader, "names", JSON_OPTIONAL, INSTALL_NAMES_MAX, ENTITY_NAME_MAX, &w->names);
        json_reader_u64(&reader, "node_id", JSON_OPTIONAL, INT64_MAX, &w->node_id);
        json_reader_enum(&reader, "mode", JSON_OPTIONAL, lookup_mode, &mode);
        json_reader_enum(&reader, "architecture", JSON_OPTIONAL, lookup_arch, &arch);
        json_reader_enum(&reader, "source", JSON_OPTIONAL, lookup_source, &source);
        json_reader_strdup(&reader, "version", JSON_OPTIONAL, AGENT_PACKAGE_VERSION_MAX, &w->version);
        json_reader_u32(&reader, "ttl_s", JSON_OPTIONAL, INSTALL_TTL_MAX_SEC, &w->ttl_sec);
        json_reader_strdup(&reader, "proxy_url", JSON_OPTIONAL, INSTALL_URL_MAX, &w->proxy_url);
        json_reader_strdup(&reader, "ca_cert", JSON_OPTIONAL, INSTALL_CA_MAX, &w->ca_cert);
        check_texts(&reader, w);
        w->mode = (InstallMode) mode;
        w->arch = (InstallArch) arch;
        w->source = (InstallSource) source;
        return json_reader_finish(&reader);
}

/* The form of every name, and that none stands twice: before anything is made. */
static int check_names(Request *r, const Wizard *w) {
        assert(w);

        for (size_t i = 0; w->names && w->names[i]; i++) {
                if (!entity_name_is_valid(w->names[i]))
                        return request_fail_field(
                                        r, ERROR_FIELD_INVALID, "names",
                                        "Line %zu: '%s' is not a name: no slash, backslash or control "
                                        "character, and no dot, dash or space at its start. Nothing was "
                                        "made.",
                                        i + 1, w->names[i]);
                for (size_t k = 0; k < i; k++)
                        if (streq(w->names[k], w->names[i]))
                                return request_fail_field(r, ERROR_FIELD_INVALID, "names",
                                                          "Line %zu: the name '%s' stands in line %zu "
                                                          "already. Nothing was made.",
                                                          i + 1, w->names[i], k + 1);
        }
        return 0;
}

/* --- What all commands share -------------------------------------------------------------------------- */

static int warn(Wizard *w, const char *text) {
        return json_append(w->warnings, json_from_string(text));
}

static int find_master(Request *r, Wizard *w) {
        int error;

        assert(w);

        error = request_master_address(r, &w->master);
        if (error == -ENXIO)
                return request_fail(r, ERROR_CONFLICT,
                                    "No address is known by which agents reach this master: set "
                                    "server.external_url in its configuration.");
        if (error < 0)
                return error;
        if (startswith(w->master.url, "http://") && !w->master.is_local)
                error = warn(w,
                             "The hosts will reach this master without TLS: whoever is on the way reads the "
                             "tokens, and all that jobs send.");
        if (error < 0)
                return error;
        if (w->master.is_local)
                return warn(w,
                            "The address of this master is one that only works on its own machine: set "
                            "server.external_url, or no other host can use these commands.");
        return w->master.is_configured ? 0 :
                                         warn(w,
                                              "server.external_url is not set: the commands name this "
                                              "master as you reach it now.");
}

static int package_base(const Request *r, const Wizard *w, char **ret) {
        const ApiConfig *c = &r->api->config;
        const char *release = c->release_url ? c->release_url : API_RELEASE_URL_DEFAULT,
                   *mirror = c->release_mirror ? c->release_mirror : API_RELEASE_MIRROR_DEFAULT;

        assert(w);

        switch (w->source) {
        case INSTALL_FROM_MASTER:
                return asprintf_safe(ret, "%s/api/v1/agent-package", w->master.url);
        case INSTALL_FROM_GITHUB:
                return asprintf_safe(ret, "%s/v%s", release, w->version);
        case INSTALL_FROM_GHPROXY:
                return asprintf_safe(ret, "%s/%s/v%s", mirror, release, w->version);
        case _INSTALL_SOURCE_MAX:
        case _INSTALL_SOURCE_INVALID:
                break;
        }
        return -EINVAL;
}

/* A package counts when its checksum is known here: a host trusts that, wherever the file is from. */
static int find_package(Request *r, Wizard *w, const char *base, InstallArch arch) {
        const char *folder = install_folder(r->api);
        int error;

        assert(w);

        if (w->arch != INSTALL_AUTO && w->arch != arch)
                return 0;
        error = agent_package_checksum(folder, w->version, arch, w->checksums[arch]);
        if (error == -ENOENT)
                return 0;
        if (w->source == INSTALL_FROM_MASTER && !agent_package_exists(folder, w->version, arch, ""))
                return 0;
        if (error < 0)
                return error;
        return install_package_url(base, w->version, arch, &w->urls[arch]);
}

/* The key goes along when all packages are signed: then a host that can check them has to. */
static int find_key(Request *r, Wizard *w) {
        int error;

        for (InstallArch arch = 0; arch < INSTALL_ARCHS; arch++)
                if (w->urls[arch] && !agent_package_exists(install_folder(r->api), w->version, arch, ".sig"))
                        return 0;
        error = agent_package_signing_key(install_folder(r->api), &w->signing_key);
        return error == -ENOENT ? 0 : error;
}

static int find_packages(Request *r, Wizard *w) {
        bool found = false, any = w->arch == INSTALL_AUTO;
        _cleanup_(freep) char *base = NULL;
        int error = 0;

        assert(r);

        if (!w->version)
                error = free_and_strdup(&w->version, BACKUPX_VERSION);
        if (error >= 0)
                error = package_base(r, w, &base);
        for (InstallArch arch = 0; arch < INSTALL_ARCHS && error >= 0; arch++) {
                error = find_package(r, w, base, arch);
                found = found || w->urls[arch];
        }
        if (error < 0)
                return error;
        if (!found)
                return request_fail_field(r, ERROR_FIELD_INVALID, any ? "version" : "architecture",
                                          "This master has no agent package of version %s for %s in %s.",
                                          w->version,
                                          any ? "any architecture" : install_arch_to_string(w->arch),
                                          install_folder(r->api));
        return find_key(r, w);
}

/* --- One node ----------------------------------------------------------------------------------------- */

typedef struct Tokens {
        char *link, *enrollment;
        uint8_t link_hash[TOKEN_HASH_SIZE], enrollment_hash[TOKEN_HASH_SIZE];
} Tokens;

static void tokens_done(Tokens *t) {
        erase_and_free(t->link);
        erase_and_free(t->enrollment);
}

static int tokens_new(Tokens *t) {
        int error;

        error = token_new_hashed(TOKEN_INSTALL, &t->link, t->link_hash);
        return error < 0 ? error : token_new_hashed(TOKEN_ENROLLMENT, &t->enrollment, t->enrollment_hash);
}

static int build_gift(const Wizard *w, const char *node, const Tokens *tokens, InstallGift *ret) {
        _cleanup_buffer_ Buffer values = BUFFER_NULL, compose = BUFFER_NULL;
        InstallPlan plan = {
                .node = node,
                .master = w->master.url,
                .pin = w->master.pin,
                .token = tokens->enrollment,
                .version = w->version,
                .proxy_url = w->proxy_url,
                .ca_cert = w->ca_cert,
                .signing_key = w->signing_key,
                .mode = w->mode,
                .arch = w->arch,
        };
        int error;

        assert(ret);

        for (size_t i = 0; i < INSTALL_ARCHS; i++) {
                plan.urls[i] = w->urls[i];
                plan.checksums[i] = w->urls[i] ? w->checksums[i] : NULL;
        }
        error = install_values(&plan, &values);
        if (error >= 0 && w->mode == INSTALL_DOCKER)
                error = install_compose(&plan, &compose);
        if (error < 0)
                return error;
        ret->values = buffer_take(&values);
        ret->compose = w->mode == INSTALL_DOCKER ? buffer_take(&compose) : NULL;
        return ret->values ? 0 : -ENOMEM;
}

static int write_link(Request *r, const Wizard *w, uint64_t node_id, const char *name, const Tokens *tokens,
                      const char *sealed) {
        Store *store = r->api->store;
        const InstallLink link = {
                .node_id = node_id,
                .created = w->now,
                .expires = w->expires,
                .created_by = r->principal.user_id,
                .sealed = sealed,
        };
        int error;

        assert(tokens);

        error = enrollment_add(store, node_id, tokens->enrollment_hash, w->now, w->expires,
                               r->principal.user_id);
        if (error == 0)
                error = install_link_add(store, tokens->link_hash, &link);
        if (error != 0)
                return error;
        return change_audit(r, "node.install", node_id, name,
                            json_pack("{s:s, s:s, s:s, s:s, s:I}", "mode", install_mode_to_string(w->mode),
                                      "architecture", install_arch_to_string(w->arch), "version", w->version,
                                      "source", install_source_to_string(w->source), "ttl_s",
                                      (json_int_t) w->ttl_sec));
}

static int add_item(Wizard *w, uint64_t node_id, const char *name, const Tokens *tokens,
                    const InstallGift *gift) {
        _cleanup_(erase_and_freep) char *command = NULL, *url = NULL, *url_command = NULL;
        _cleanup_json_ json_t *item = json_object();
        int error;

        assert(w);
        assert(tokens);
        assert(gift);

        error = install_command(gift->values, &command);
        if (error >= 0)
                error = asprintf_safe(&url, "%s/install/%s", w->master.url, tokens->link);
        if (error >= 0)
                error = install_url_command(url, w->master.pin, &url_command);
        if (error >= 0)
                error = json_set(item, "node",
                                 json_pack("{s:I, s:s}", "id", (json_int_t) node_id, "name", name));
        if (error >= 0)
                error = json_set(item, "command", json_from_string(command));
        if (error >= 0)
                error = json_set(item, "url", json_from_string(url));
        if (error >= 0)
                error = json_set(item, "url_command", json_from_string(url_command));
        if (error >= 0)
                error = json_set(item, "expires_at", json_from_time(w->expires));
        if (error >= 0)
                error = json_append(w->items, TAKE_PTR(item));
        return error < 0 ? error : install_bundle_add(&w->bundle, name, gift->values);
}

/* Everything of one node, in the transaction of all of them. */
static int add_node(Request *r, Wizard *w, uint64_t node_id, const char *name) {
        _cleanup_(install_gift_done) InstallGift gift = INSTALL_GIFT_NULL;
        _cleanup_(tokens_done) Tokens tokens = {};
        _cleanup_(freep) char *sealed = NULL;
        int error = 0;

        assert(r);
        assert(w);

        if (node_id == 0) {
                error = node_add(r->api->store, name, /* description= */ NULL, w->now, &node_id);
                if (error == 0)
                        error = change_audit(r, "node.create", node_id, name, NULL);
        }
        if (error == 0)
                error = tokens_new(&tokens);
        if (error == 0)
                error = build_gift(w, name, &tokens, &gift);
        if (error == 0)
                error = install_gift_seal(&gift, tokens.link, &sealed);
        if (error == 0)
                error = write_link(r, w, node_id, name, &tokens, sealed);
        return error != 0 ? error : add_item(w, node_id, name, &tokens, &gift);
}

/* --- All of them -------------------------------------------------------------------------------------- */

static int add_new_nodes(Request *r, Wizard *w) {
        assert(w);

        for (size_t i = 0; w->names[i]; i++) {
                int error = add_node(r, w, /* node_id= */ 0, w->names[i]);

                if (error == STORE_E_EXISTS)
                        return request_fail_field(r, ERROR_NODE_EXISTS, "names",
                                                  "Line %zu: there is a node '%s' already. Nothing was "
                                                  "made.",
                                                  i + 1, w->names[i]);
                if (error != 0)
                        return error < 0 ? error : -EINVAL;
        }
        return 0;
}

static int add_old_node(Request *r, Wizard *w) {
        _cleanup_(node_done) Node node = NODE_NULL;
        int error;

        assert(r);
        assert(w);

        if (w->node_id == NODE_LOCAL)
                return request_fail(r, ERROR_NODE_IS_LOCAL,
                                    "The master's own node has its agent: there is nothing to install.");
        error = node_get(r->api->store, w->node_id, &node);
        if (error == STORE_E_NOT_FOUND)
                return request_fail_field(r, ERROR_NODE_NOT_FOUND, "node_id",
                                          "There is no node %" PRIu64 ".", w->node_id);
        if (error == 0)
                error = add_node(r, w, node.id, node.name);
        return error > 0 ? -EINVAL : error;
}

/* Nothing is committed where the request was refused. */
static int add_all(Request *r, Wizard *w) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(w);

        error = store_begin(r->api->store, &tx);
        if (error >= 0)
                error = install_bundle_begin(&w->bundle);
        if (error >= 0)
                error = w->node_id != 0 ? add_old_node(r, w) : add_new_nodes(r, w);
        if (error < 0 || r->response)
                return error;
        error = install_bundle_end(&w->bundle);
        return error < 0 ? error : store_commit(&tx);
}

static int reply(Request *r, Wizard *w) {
        _cleanup_json_ json_t *data = json_object();
        int error;

        for (size_t i = 0; i < json_array_size(w->items); i++) {
                const json_t *node = json_object_get(json_array_get(w->items, i), "node");

                change_tell(r, "node", (uint64_t) json_integer_value(json_object_get(node, "id")),
                            w->node_id != 0 ? "updated" : "created");
        }
        error = json_set(data, "items", TAKE_PTR(w->items));
        if (error >= 0)
                error = json_set(data, "bundle", json_from_string(w->bundle.data));
        if (error >= 0)
                error = json_set(data, "warnings", TAKE_PTR(w->warnings));
        return error < 0 ? error : request_reply(r, MHD_HTTP_CREATED, TAKE_PTR(data));
}

int install_links_post(Request *r) {
        _cleanup_(wizard_done) Wizard w = {
                .ttl_sec = INSTALL_TTL_DEFAULT_SEC,
                .items = json_array(),
                .warnings = json_array(),
        };
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        assert(r);

        error = request_body_json(r, &body);
        if (error >= 0)
                error = request_check(r, read_body(body, &w, &failure), &failure);
        if (error >= 0)
                error = check_names(r, &w);
        if (error >= 0 && !r->response)
                error = find_master(r, &w);
        if (error >= 0 && !r->response)
                error = find_packages(r, &w);
        if (error < 0 || r->response)
                return error;
        w.now = now_usec(CLOCK_REALTIME);
        w.expires = usec_add(w.now, w.ttl_sec * USEC_PER_SEC);
        error = add_all(r, &w);
        return error < 0 || r->response ? error : reply(r, &w);
}
