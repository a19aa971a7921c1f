/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/text.h"
#include "wire/discovery.h"
#include "wire/path.h"

/* Where packages and people put databases of services. */
static const char *const usual_places[] = {
        "/opt/*/*.db",
        "/opt/*/*.sqlite",
        "/opt/*/*.sqlite3",
        "/srv/*/*.db",
        "/srv/*/*.sqlite",
        "/srv/*/*.sqlite3",
        "/var/lib/*/*.db",
        "/var/lib/*/*.sqlite",
        "/var/lib/*/*.sqlite3",
};

void discovery_spec_done(DiscoverySpec *s) {
        assert(s);

        strv_free(s->sqlite);
        database_server_done(&s->server);
        *s = DISCOVERY_SPEC_NULL;
}

static unsigned count_parts(const char *glob) {
        unsigned n = 0;

        for (const char *p = glob; *p; p++)
                n += *p == '/';
        return n;
}

static void check_globs(JsonReader *r, char *const *globs) {
        size_t i = 0;

        STRV_FOREACH(glob, globs) {
                if (!path_is_normalized_absolute(*glob))
                        (void) json_reader_fail_item(r, "sqlite", i,
                                                     "has to be an absolute path without '.' and '..'");
                else if (count_parts(*glob) > DISCOVERY_PARTS_MAX)
                        (void) json_reader_fail_item(r, "sqlite", i, "has more than %u parts",
                                                     DISCOVERY_PARTS_MAX);
                else if (strstr(*glob, "**"))
                        (void) json_reader_fail_item(r, "sqlite", i,
                                                     "has '**': a wildcard stays within one name");
                i++;
        }
}

static int lookup_server_type(const char *s) {
        SourceType type = source_type_from_string(s);

        return type >= 0 && source_type_has_dumps(type) ? (int) type : -EINVAL;
}

static void read_server(JsonReader *r, DiscoverySpec *s) {
        int type = SOURCE_FILE;
        JsonReader server;

        assert(s);

        if (json_reader_object(r, "server", JSON_OPTIONAL, &server) <= 0)
                return;
        (void) json_reader_enum(&server, "type", JSON_REQUIRED, lookup_server_type, &type);
        (void) database_server_read(&server, &s->server);
        if (json_reader_finish(&server) >= 0)
                s->type = (SourceType) type;
}

int discovery_spec_read(JsonReader *r, DiscoverySpec *ret) {
        _cleanup_(discovery_spec_done) DiscoverySpec s = DISCOVERY_SPEC_NULL;
        const json_t *value = NULL;
        int k = 0;

        assert(r);
        assert(ret);

        if (json_reader_value(r, "sqlite", JSON_OPTIONAL, &value) > 0) {
                (void) json_reader_strv(r, "sqlite", JSON_OPTIONAL, DISCOVERY_GLOBS_MAX, DISCOVERY_GLOB_MAX,
                                        &s.sqlite);
                check_globs(r, s.sqlite);
        } else
                for (size_t i = 0; i < ELEMENTSOF(usual_places) && k >= 0; i++)
                        k = strv_extend(&s.sqlite, usual_places[i]);
        read_server(r, &s);
        if (k < 0 || r->error == -ENOMEM)
                return -ENOMEM;
        *ret = s;
        s = DISCOVERY_SPEC_NULL;
        return 0;
}

static int build_server(const DiscoverySpec *s, json_t *json) {
        json_t *server = NULL;
        int r;

        r = database_server_build(&s->server, &server);
        if (r >= 0)
                r = json_set(json, "server", server);
        /* json has it by now. */
        return r < 0 ? r : json_set(server, "type", json_string(source_type_to_string(s->type)));
}

int discovery_spec_build(const DiscoverySpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(ret);

        r = json_set(json, "sqlite", json_from_strv(s->sqlite));
        if (r >= 0 && source_type_has_dumps(s->type))
                r = build_server(s, json);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
