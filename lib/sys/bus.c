/* SPDX-License-Identifier: Apache-2.0 */

/* Who may. The table is one, for both doors:
 *
 *         root, our own uid                                          read and change
 *         backupx-api, backupx-scheduler, backupx-dispatcher         read and change
 *         members of group backupx-read                              read
 *
 * On the system bus the broker says who the sender is. On a private socket the kernel does (SO_PEERCRED), in
 * terms of our user namespace: under PrivateUsers=yes every uid but root's and our own is the overflow uid.
 * Then the permissions of the socket file are what we have: it is open to the group that owns the database,
 * and whoever may write the database needs no bus to change things. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "sys/bus.h"

#define READERS_GROUP "backupx-read"
#define NSS_BUFFER_SIZE 16384 /* the longest row of a user database */
#define GROUPS_MAX 1024       /* groups of one user that are looked at */

static const char *const sibling_users[] = { "backupx-api", "backupx-scheduler", "backupx-dispatcher" };

/* The uid that stands for all that our user namespace does not know; UID_INVALID in the initial one, where
 * the overflow uid is nothing but the user nobody. */
#define UID_INVALID ((uid_t) -1)

static uid_t unmapped_uid(void) {
        _cleanup_(freep) char *map = NULL, *overflow = NULL;
        unsigned long long inside, outside, count;
        uint32_t uid;

        if (read_file(AT_FDCWD, "/proc/self/uid_map", 64U << 10, &map, NULL) < 0)
                return UID_INVALID;
        if (sscanf(map, "%llu %llu %llu", &inside, &outside, &count) != 3)
                return UID_INVALID;
        if (inside == 0 && outside == 0 && count == UINT32_MAX)
                return UID_INVALID;
        if (read_file(AT_FDCWD, "/proc/sys/kernel/overflowuid", 64, &overflow, NULL) < 0)
                return UID_INVALID;
        overflow[strcspn(overflow, "\n")] = 0;
        if (parse_u32(overflow, 0, UINT32_MAX - 1, &uid) < 0)
                return UID_INVALID;
        return uid;
}

static bool is_reader(const char *user, gid_t primary) {
        _cleanup_(freep) char *buffer = NULL;
        _cleanup_(freep) gid_t *groups = NULL;
        struct group group, *found = NULL;
        int n = GROUPS_MAX;

        buffer = malloc(NSS_BUFFER_SIZE);
        groups = new0(gid_t, GROUPS_MAX);
        if (!buffer || !groups)
                return false;
        if (getgrnam_r(READERS_GROUP, &group, buffer, NSS_BUFFER_SIZE, &found) != 0 || !found)
                return false;
        if (getgrouplist(user, primary, groups, &n) < 0)
                return false;
        for (int i = 0; i < n; i++)
                if (groups[i] == group.gr_gid)
                        return true;
        return false;
}

static bool uid_may(uid_t uid, BusRight right) {
        _cleanup_(freep) char *buffer = NULL;
        struct passwd user, *found = NULL;

        if (uid == 0 || uid == geteuid())
                return true;
        buffer = malloc(NSS_BUFFER_SIZE);
        if (!buffer || getpwuid_r(uid, &user, buffer, NSS_BUFFER_SIZE, &found) != 0 || !found)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(sibling_users); i++)
                if (streq(user.pw_name, sibling_users[i]))
                        return true;
        return right == BUS_READ && is_reader(user.pw_name, user.pw_gid);
}

/* 1: a right of the private socket alone is enough; 0: *ret is the sender's uid. */
static int sender_of(sd_bus_message *m, uid_t *ret) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        sd_bus *bus = sd_bus_message_get_bus(m);
        struct ucred peer = {};
        socklen_t size = sizeof(peer);
        int r, fd;

        r = sd_bus_is_bus_client(bus);
        if (r < 0)
                return r;
        if (r > 0) {
                r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);
                if (r < 0)
                        return r;
                return sd_bus_creds_get_euid(creds, ret);
        }
        fd = sd_bus_get_fd(bus);
        if (fd < 0)
                return fd;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        *ret = peer.uid;
        return peer.uid != 0 && peer.uid != geteuid() && peer.uid == unmapped_uid();
}

int bus_sender_may(sd_bus_message *m, BusRight right, sd_bus_error *reterr) {
        uid_t uid = UID_INVALID;
        int r;

        assert(m);

        r = sender_of(m, &uid);
        if (r > 0)
                return 0;
        if (r < 0)
                return sd_bus_error_setf(reterr, BUS_ERROR_DENIED,
                                         "Cannot tell who is calling, so the call is refused: %s",
                                         strerror(-r));
        if (uid_may(uid, right))
                return 0;
        (void) sd_bus_error_setf(
                        reterr, BUS_ERROR_DENIED, "User %u may not do this: %s", (unsigned) uid,
                        right == BUS_READ ?
                                        "reading is open to root and to members of group " READERS_GROUP :
                                        "changing is left to root; use the backupx command instead");
        return -EACCES;
}

int bus_take(sd_bus_message *m, BusRight right, sd_bus_error *reterr, const char *types, ...) {
        va_list ap;
        int r;

        assert(m);
        assert(types);

        r = bus_sender_may(m, right, reterr);
        if (r < 0)
                return r;
        va_start(ap, types);
        r = sd_bus_message_readv(m, types, ap);
        va_end(ap);
        return r;
}

int bus_reply_array(sd_bus_message *m, const char *type, BusAppend append, void *userdata,
                    sd_bus_error *reterr) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        assert(m);
        assert(type);
        assert(append);

        r = bus_sender_may(m, BUS_READ, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', type);
        if (r >= 0)
                r = append(reply, userdata);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
