/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "services/api/config.h"
#include "services/api/forwarded.h"
#include "tests/test.h"

static struct in6_addr address(const char *text) {
        struct in6_addr a;

        CHECK_OK(address_parse(text, strlen(text), &a));
        return a;
}

static void test_addresses(void) {
        static const struct {
                const char *text, *shown; /* NULL: refused */
        } table[] = {
                { "192.0.2.1", "192.0.2.1" },
                { "192.0.2.1:80", "192.0.2.1" },
                { "2001:db8::1", "2001:db8::1" },
                { "[2001:db8::1]", "2001:db8::1" },
                { "[2001:db8::1]:65535", "2001:db8::1" },
                { "::ffff:192.0.2.1", "192.0.2.1" },
                { "[::ffff:192.0.2.1]:1", "192.0.2.1" },
                { "", NULL },
                { "unknown", NULL },
                { "_hidden", NULL },
                { "192.0.2", NULL },
                { "192.0.2.1:", NULL },
                { "192.0.2.1:65536", NULL },
                { "192.0.2.1 ", NULL },
                { "192.0.2.256", NULL },
                { "[192.0.2.1]", NULL },
                { "[2001:db8::1", NULL },
                { "[2001:db8::1]x", NULL },
                { "[2001:db8::1]:", NULL },
                { "2001:db8::1%eth0", NULL },
                { "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:1", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char shown[INET6_ADDRSTRLEN];
                struct in6_addr a;
                int r = address_parse(table[i].text, strlen(table[i].text), &a);

                if (!table[i].shown)
                        CHECK_INT(r, -EINVAL);
                else {
                        CHECK_OK(r);
                        CHECK_STR(address_format(&a, shown), table[i].shown);
                }
        }
        CHECK_INT(address_parse("1.2.3.4\0", 8, &(struct in6_addr){}), -EINVAL);
}

static void test_ranges(void) {
        static const struct {
                const char *range, *inside, *outside;
        } table[] = {
                { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
                { "10.1.2.3/8", "10.9.9.9", "9.1.2.3" },
                { "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
                { "192.0.2.7", "192.0.2.7", "192.0.2.6" },
                { "0.0.0.0/0", "203.0.113.1", "2001:db8::1" },
                { "fd00::/8", "fdff::1", "fe00::1" },
                { "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" },
                { "::1", "::1", "127.0.0.1" },
                { "::/0", "192.0.2.1", NULL },
        };
        static const char *const bad[] = { "", "10", "10.0.0.0/33", "10.0.0.0/-1",
                                           "::/129", "fe80::1%lo", "host.name", "10.0.0.0/8/8",
                                           "[::1]/8", "10.0.0.0/", "/8", "1.2.3.4:80" };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct in6_addr inside = address(table[i].inside), outside;
                Proxies p = {};

                CHECK_OK(proxies_add(&p, table[i].range, NULL));
                CHECK(proxies_contain(&p, &inside));
                if (!table[i].outside)
                        continue;
                outside = address(table[i].outside);
                CHECK(!proxies_contain(&p, &outside));
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                Proxies p = {};

                CHECK_INT(proxies_add(&p, bad[i], &failure), -EINVAL);
                CHECK(failure.message);
                CHECK_INT(p.n, 0);
        }
}

static void test_limit(void) {
        Proxies p = {};

        for (size_t i = 0; i < PROXIES_MAX; i++)
                CHECK_OK(proxies_add(&p, "10.0.0.1", NULL));
        CHECK_INT(proxies_add(&p, "10.0.0.1", NULL), -E2BIG);
}

static void test_walk(void) {
        static const struct {
                const char *peer, *list, *client; /* client NULL: nobody is believed */
        } table[] = {
                /* Not one of our proxies: whatever it says. */
                { "203.0.113.5", "192.0.2.1", NULL },
                { "203.0.113.5", NULL, NULL },
                { "10.0.0.1", NULL, "10.0.0.1" },
                { "10.0.0.1", "", "10.0.0.1" },
                { "10.0.0.1", "192.0.2.1", "192.0.2.1" },
                /* What stands left of the first foreign address was written by a client. */
                { "10.0.0.1", "1.1.1.1, 192.0.2.1", "192.0.2.1" },
                { "10.0.0.1", "10.0.0.9,192.0.2.1", "192.0.2.1" },
                { "10.0.0.1", "1.1.1.1,192.0.2.1 , 10.0.0.2", "192.0.2.1" },
                { "10.0.0.1", "1.1.1.1,\t192.0.2.1:4711,fd00::7", "192.0.2.1" },
                { "fd00::1", "[2001:db8::1]:443", "2001:db8::1" },
                /* All of them ours: the first one is the client. */
                { "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3" },
                /* What is no address: the one who wrote it. */
                { "10.0.0.1", "192.0.2.1, unknown", "10.0.0.1" },
                { "10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2" },
                { "10.0.0.1", "192.0.2.1,", "10.0.0.1" },
                { "10.0.0.1", ",,,", "10.0.0.1" },
                /* The socket gives a mapped address. */
                { "::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1" },
        };
        Proxies p = {};

        CHECK_OK(proxies_add(&p, "10.0.0.0/24", NULL));
        CHECK_OK(proxies_add(&p, "fd00::/8", NULL));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct in6_addr peer = address(table[i].peer), client;
                char shown[INET6_ADDRSTRLEN];

                CHECK_INT(forwarded_client(&p, &peer, table[i].list, &client), table[i].client != NULL);
                if (table[i].client)
                        CHECK_STR(address_format(&client, shown), table[i].client);
        }
}

static void test_local_socket(void) {
        struct in6_addr client;
        char shown[INET6_ADDRSTRLEN];
        Proxies p = {};

        CHECK(!forwarded_client(&p, NULL, "192.0.2.1", &client));
        CHECK_OK(proxies_add(&p, "unix", NULL));
        CHECK(!forwarded_client(&p, NULL, NULL, &client));
        CHECK(forwarded_client(&p, NULL, "192.0.2.1", &client));
        CHECK_STR(address_format(&client, shown), "192.0.2.1");
}

static void test_last(void) {
        static const struct {
                const char *header, *last;
        } table[] = {
                { "https", "https" },
                { "http, https", "https" },
                { " a , b\t", "b" },
                { "a,", "" },
                { "", "" },
                { ",", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                size_t n;
                const char *last = forwarded_last(table[i].header, &n);

                CHECK_INT(n, strlen(table[i].last));
                CHECK_MEM(last, table[i].last, n);
        }
}

static void load(const char *name, const char *value, ApiConfig *config, Failure *failure, int expected) {
        CHECK(setenv(name, value, 1) == 0);
        CHECK_INT(api_config_load("/dev/null", config, failure), expected);
        CHECK(unsetenv(name) == 0);
}

static void test_configuration(void) {
        _cleanup_(api_config_done) ApiConfig config = API_CONFIG_DEFAULTS;
        _cleanup_failure_ Failure range = FAILURE_NULL, url = FAILURE_NULL, mode = FAILURE_NULL,
                                  pair = FAILURE_NULL;
        struct in6_addr proxy = address("fd00::1");

        load("BACKUPX_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8 unix", &config, NULL, 0);
        CHECK_INT(config.trusted_proxies.n, 2);
        CHECK(config.trusted_proxies.local && proxies_contain(&config.trusted_proxies, &proxy));
        load("BACKUPX_SERVER_TRUSTED_PROXIES", "10.0.0.0/40", &config, &range, -EINVAL);
        CHECK(strstr(range.message, "BACKUPX_SERVER_TRUSTED_PROXIES: '10.0.0.0/40'"));
        load("BACKUPX_SERVER_EXTERNAL_URL", "https://backup.example.com/", &config, NULL, 0);
        CHECK_STR(config.external_url, "https://backup.example.com");
        load("BACKUPX_SERVER_EXTERNAL_URL", "backup.example.com", &config, &url, -EINVAL);
        CHECK(strstr(url.message, "has to begin with https://"));
        load("BACKUPX_SERVER_TLS", "off", &config, NULL, 0);
        CHECK_INT(config.tls, TLS_OFF);
        load("BACKUPX_SERVER_TLS", "maybe", &config, &mode, -EINVAL);
        CHECK(strstr(mode.message, "none of auto, on and off"));
        load("BACKUPX_SERVER_TLS_CERTIFICATE", "/etc/x.pem", &config, &pair, -EINVAL);
        CHECK(strstr(pair.message, "belong together"));
}

int main(void) {
        RUN(test_addresses);
        RUN(test_ranges);
        RUN(test_limit);
        RUN(test_walk);
        RUN(test_local_socket);
        RUN(test_last);
        RUN(test_configuration);
        return EXIT_SUCCESS;
}
