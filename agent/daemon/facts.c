/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "agent/daemon/facts.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/agent.h"

#define OS_RELEASE_MAX 16384

/* "Debian GNU/Linux 12 (bookworm)", or the kernel's name. */
static int read_os(const struct utsname *kernel, char **ret) {
        _cleanup_(freep) char *text = NULL;
        const char *value = NULL;
        size_t n;

        assert(kernel);

        if (read_file(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &text, NULL) < 0)
                return asprintf_safe(ret, "%s", kernel->sysname);
        for (char *line = text; line && !value; line = strchr(line, '\n')) {
                line += *line == '\n';
                value = startswith(line, "PRETTY_NAME=");
        }
        if (!value)
                return asprintf_safe(ret, "%s", kernel->sysname);
        n = strcspn(value, "\n");
        if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
                value++;
                n -= 2;
        }
        return asprintf_safe(ret, "%.*s", (int) MIN(n, (size_t) AGENT_TEXT_MAX), value);
}

/* Host names are ASCII; one that is not is left out. */
static json_t *text_or_null(const char *s) {
        return utf8_is_valid(s, strlen(s)) ? json_string(s) : json_null();
}

int facts_put_host(json_t *body) {
        _cleanup_(freep) char *os = NULL;
        struct utsname kernel;
        int r;

        assert(body);

        if (uname(&kernel) < 0)
                return -errno;
        r = read_os(&kernel, &os);
        if (r >= 0)
                r = json_set(body, "version", json_string(BACKUPX_VERSION));
        if (r >= 0)
                r = json_set(body, "hostname", text_or_null(kernel.nodename));
        if (r >= 0)
                r = json_set(body, "arch", text_or_null(kernel.machine));
        if (r >= 0)
                r = json_set(body, "os", text_or_null(os));
        return r;
}

static int append_address(json_t *list, const struct sockaddr *address) {
        char text[INET6_ADDRSTRLEN];
        const void *bytes;

        assert(address);

        if (address->sa_family == AF_INET)
                bytes = &((const struct sockaddr_in *) (const void *) address)->sin_addr;
        else if (address->sa_family == AF_INET6)
                bytes = &((const struct sockaddr_in6 *) (const void *) address)->sin6_addr;
        else
                return 0;
        if (address->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *) bytes))
                return 0;
        if (!inet_ntop(address->sa_family, bytes, text, sizeof(text)))
                return 0;
        return json_append(list, json_string(text));
}

static int put_addresses(json_t *body) {
        _cleanup_json_ json_t *list = json_array();
        struct ifaddrs *all = NULL;
        int r = 0;

        if (!list)
                return -ENOMEM;
        /* A sandbox may hide them: then the list is empty. */
        if (getifaddrs(&all) < 0)
                all = NULL;
        for (const struct ifaddrs *i = all; i && r >= 0 && json_array_size(list) < AGENT_ADDRESSES_MAX;
             i = i->ifa_next)
                if (i->ifa_addr && !(i->ifa_flags & IFF_LOOPBACK))
                        r = append_address(list, i->ifa_addr);
        freeifaddrs(all);
        return r < 0 ? r : json_set(body, "addresses", TAKE_PTR(list));
}

int facts_put(json_t *body, const char *temp_dir) {
        struct statvfs fs;
        int r;

        assert(body);
        assert(temp_dir);

        r = facts_put_host(body);
        if (r >= 0)
                r = put_addresses(body);
        if (r < 0)
                return r;
        (void) !mkdir_p(temp_dir, 0700);
        if (statvfs(temp_dir, &fs) < 0)
                return 0;
        return json_set(body, "free_bytes", json_from_u64((uint64_t) fs.f_bavail * fs.f_frsize));
}
