/* SPDX-License-Identifier: Apache-2.0 */

/* What proxies and the Host header say, and ranges of addresses. */

#include "base/alloc.h"
#include "base/text.h"
#include "services/api/forwarded.h"
#include "services/api/master-url.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_walk(const char *text) {
        const struct in6_addr inside = { .s6_addr = { 0xfd } }, outside = { .s6_addr = { 0x20, 0x01 } };
        char shown[INET6_ADDRSTRLEN];
        struct in6_addr client, again;
        Proxies p = {};

        CHECK_OK(proxies_add(&p, "fd00::/8", NULL));
        CHECK_OK(proxies_add(&p, "10.0.0.0/8", NULL));
        CHECK(!forwarded_client(&p, &outside, text, &client));
        CHECK(forwarded_client(&p, &inside, text, &client));
        /* What is shown is read back as the same. */
        address_format(&client, shown);
        CHECK_OK(address_parse(shown, strlen(shown), &again));
        CHECK_MEM(&client, &again, sizeof(client));
}

static void check_url(const char *text) {
        _cleanup_(master_url_done) MasterUrl u = MASTER_URL_NULL, again = MASTER_URL_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        if (master_url_parse(text, &u, &failure) < 0) {
                CHECK(failure.message);
                return;
        }
        CHECK(!strpbrk(u.url, " \t\r\n\"'\\`$?#@<>&;|(){}") && !strstr(u.url, "/../"));
        CHECK_OK(master_url_parse(u.url, &again, NULL));
        CHECK_STR(again.url, u.url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size);
        struct in6_addr address;
        Proxies p = {};
        size_t n;

        check_walk(text);
        check_url(text);
        if (address_parse((const char *) data, size, &address) >= 0)
                CHECK(size > 1 && !memchr(data, 0, size));
        CHECK((proxies_add(&p, text, NULL) >= 0) == (p.n + p.local == 1));
        CHECK(forwarded_last(text, &n) >= text && n <= size);
        return 0;
}
