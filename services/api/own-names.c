/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "store/node.h"
#include "wire/json.h"

#include "services/api/forwarded.h"
#include "services/api/master-url.h"
#include "services/api/own-names.h"

#define HOST_MAX 256U
#define HOSTS_MAX (64U * 1024)
#define INTERFACES_MAX 32U

static int add_name(char ***names, const char *name) {
        return strv_contains(*names, name) ? 0 : strv_extend(names, name);
}

static int add_in6(char ***names, const struct in6_addr *a) {
        char text[INET6_ADDRSTRLEN];

        address_format(a, text);
        /* Every address is the address of none. */
        return IN6_IS_ADDR_UNSPECIFIED(a) || streq(text, "0.0.0.0") ? 0 : add_name(names, text);
}

static int add_address(char ***names, const struct sockaddr *address) {
        struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        assert(address);

        if (address->sa_family == AF_INET)
                memcpy(a.s6_addr + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
        else if (address->sa_family == AF_INET6)
                a = ((const struct sockaddr_in6 *) address)->sin6_addr;
        else
                return 0;
        return add_in6(names, &a);
}

int own_names_of_socket(int fd, char ***names) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);
        struct ifreq interfaces[INTERFACES_MAX];
        struct ifconf list = { .ifc_len = sizeof(interfaces), .ifc_req = interfaces };
        int r;

        assert(names);

        if (getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        r = add_address(names, (struct sockaddr *) &address);
        if (address.ss_family == AF_UNIX || ioctl(fd, SIOCGIFCONF, &list) < 0)
                return r;
        for (size_t i = 0; i < (size_t) list.ifc_len / sizeof(*interfaces) && r >= 0; i++)
                r = add_address(names, &interfaces[i].ifr_addr);
        return r;
}

/* --- Pure ------------------------------------------------------------------------------------------- */

static bool is_of_loopback(const char *name) {
        return startswith(name, "localhost") || startswith(name, "ip6-");
}

/* "127.0.1.1 web-1.example.com web-1 # …": of a line that names the host. */
static int add_of_line(char *line, const char *host, char ***names, size_t *n) {
        _cleanup_(strv_freep) char **found = NULL;
        char *state = NULL, *name;
        bool is_ours = false;
        int r = 0;

        line[strcspn(line, "#")] = 0;
        if (!strtok_r(line, " \t\r", &state))
                return 0; /* behind the address */
        while (r >= 0 && (name = strtok_r(NULL, " \t\r", &state))) {
                is_ours = is_ours || strcasecmp(name, host) == 0;
                if (!is_of_loopback(name))
                        r = strv_extend(&found, name);
        }
        STRV_FOREACH(beside, is_ours ? found : NULL) {
                if (r < 0)
                        return r;
                if ((*n)++ < OWN_NAMES_BESIDE_MAX)
                        r = add_name(names, *beside);
        }
        return r;
}

int own_names_of_hosts(const char *text, const char *host, char ***names) {
        _cleanup_(freep) char *copy = NULL;
        size_t n = 0;
        char *next;
        int r = 0;

        assert(text);
        assert(host);
        assert(names);

        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        for (char *line = copy; line && r >= 0; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = 0;
                r = add_of_line(line, host, names, &n);
        }
        return r;
}

int own_names_of_addresses(const char *json, char ***names) {
        _cleanup_json_ json_t *list = NULL;
        const json_t *item;
        size_t i;
        int r = 0;

        assert(names);

        if (json_parse_text(json, &list, NULL) < 0)
                return 0;
        json_array_foreach(list, i, item) {
                const char *text = json_string_value(item);
                struct in6_addr a;

                if (!text || address_parse(text, strlen(text), &a) < 0 || IN6_IS_ADDR_LOOPBACK(&a) ||
                    IN6_IS_ADDR_LINKLOCAL(&a) || IN6_IS_ADDR_MULTICAST(&a) ||
                    (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127))
                        continue;
                r = add_in6(names, &a);
                if (r < 0)
                        return r;
        }
        return r;
}

/* --- All of them ------------------------------------------------------------------------------------ */

static int add_host(char ***names) {
        _cleanup_(freep) char *hosts = NULL;
        char host[HOST_MAX] = "";
        int r;

        if (gethostname(host, sizeof(host) - 1) < 0 || !*host)
                return 0;
        r = add_name(names, host);
        if (r < 0 || read_file(AT_FDCWD, "/etc/hosts", HOSTS_MAX, &hosts, NULL) < 0)
                return r;
        return own_names_of_hosts(hosts, host, names);
}

int own_names(const Api *api, char ***names) {
        _cleanup_(master_url_done) MasterUrl url = MASTER_URL_NULL;
        _cleanup_(node_done) Node local = NODE_NULL;
        int r = 0;

        assert(api);
        assert(names);

        if (api->config.external_url && master_url_parse(api->config.external_url, &url, NULL) >= 0)
                r = add_name(names, url.host);
        if (r >= 0)
                r = add_host(names);
        if (r >= 0)
                r = add_name(names, "localhost");
        if (r < 0 || node_get(api->store, NODE_LOCAL, &local) != 0)
                return r;
        return own_names_of_addresses(local.addresses, names);
}
