/* SPDX-License-Identifier: Apache-2.0 */

/* list_dir: one page of one directory of this host, sorted by the bytes of the names. The cursor is the last
 * name of the page before. Memory is one page, whatever the directory holds: each page reads the directory
 * anew and keeps the smallest names behind the cursor, in a heap with the largest of them on top. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/job/kinds.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/path.h"

/* Between two looks at the cancel flag. */
#define CANCEL_EVERY 1024U

#define NAME_LOOKUP_MAX 4096

typedef struct Names {
        char **items;
        size_t n, max;
} Names;

static void names_done(Names *h) {
        for (size_t i = 0; i < h->n; i++)
                free(h->items[i]);
        free(h->items);
        *h = (Names){};
}

static void swap(char **a, char **b) {
        char *c = *a;

        *a = *b;
        *b = c;
}

static void sift_up(Names *h) {
        for (size_t i = h->n - 1; i > 0 && strcmp(h->items[(i - 1) / 2], h->items[i]) < 0; i = (i - 1) / 2)
                swap(&h->items[(i - 1) / 2], &h->items[i]);
}

static void sift_down(Names *h) {
        size_t i = 0;

        assert(h);

        for (;;) {
                size_t child = 2 * i + 1;

                if (child >= h->n)
                        return;
                if (child + 1 < h->n && strcmp(h->items[child + 1], h->items[child]) > 0)
                        child++;
                if (strcmp(h->items[child], h->items[i]) <= 0)
                        return;
                swap(&h->items[child], &h->items[i]);
                i = child;
        }
}

/* Keeps name when it is among the max smallest. */
static int names_offer(Names *h, const char *name) {
        char *copy;

        assert(h);

        if (h->n == h->max && strcmp(name, h->items[0]) >= 0)
                return 0;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        if (h->n == h->max) {
                free(h->items[0]);
                h->items[0] = copy;
                sift_down(h);
        } else {
                h->items[h->n++] = copy;
                sift_up(h);
        }
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

static int read_names(const JobRun *run, int fd, const char *after, Names *h) {
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_close_ int copy = -EBADF;

        assert(run);

        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        dir = fdopendir(copy);
        if (!dir)
                return -errno;
        TAKE_FD(copy);
        for (size_t i = 0;; i++) {
                const struct dirent *entry;
                int r;

                if (i % CANCEL_EVERY == 0 && atomic_load(job_link_cancelled(run->link)))
                        return -ECANCELED;
                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return -errno;
                if (streq(entry->d_name, ".") || streq(entry->d_name, "..") ||
                    strcmp(entry->d_name, after) <= 0)
                        continue;
                r = names_offer(h, entry->d_name);
                if (r < 0)
                        return r;
        }
}

static EntryType type_of(mode_t mode) {
        return S_ISREG(mode)           ? ENTRY_FILE :
                        S_ISDIR(mode)  ? ENTRY_DIRECTORY :
                        S_ISLNK(mode)  ? ENTRY_SYMLINK :
                        S_ISFIFO(mode) ? ENTRY_FIFO :
                        S_ISCHR(mode)  ? ENTRY_CHARACTER :
                        S_ISBLK(mode)  ? ENTRY_BLOCK :
                                         _ENTRY_TYPE_INVALID; /* sockets: nobody backs them up */
}

/* Names of the owner of the entry before: most of a directory belongs to one. */
typedef struct Owner {
        bool known;
        uid_t uid;
        gid_t gid;
        const char *user, *group; /* in the buffers, or NULL */
        char user_buffer[NAME_LOOKUP_MAX], group_buffer[NAME_LOOKUP_MAX];
} Owner;

static void look_up_owner(const struct stat *st, Owner *o) {
        struct passwd pw, *found = NULL;
        struct group gr, *found_group = NULL;

        assert(st);
        assert(o);

        if (o->known && o->uid == st->st_uid && o->gid == st->st_gid)
                return;
        o->known = true;
        o->uid = st->st_uid;
        o->gid = st->st_gid;
        (void) getpwuid_r(st->st_uid, &pw, o->user_buffer, sizeof(o->user_buffer), &found);
        (void) getgrgid_r(st->st_gid, &gr, o->group_buffer, sizeof(o->group_buffer), &found_group);
        o->user = found ? pw.pw_name : NULL;
        o->group = found_group ? gr.gr_name : NULL;
}

static int append_entry(int fd, const char *folder, const char *name, Owner *owner, json_t *entries) {
        char target[WIRE_PATH_MAX + 1];
        _cleanup_(freep) char *path = NULL;
        ListingEntry e = { .name = name };
        struct stat st;
        ssize_t n;
        int r;

        assert(owner);

        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
                return errno == ENOENT ? 0 : -errno; /* gone since it was read */
        e.type = type_of(st.st_mode);
        if (e.type < 0)
                return 0;
        r = asprintf_safe(&path, "%s/%s", streq(folder, "/") ? "" : folder, name);
        if (r < 0)
                return r;
        e.path = path;
        e.size = S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0;
        e.mtime = st.st_mtim.tv_sec < 0 ? 0 :
                                          (usec_t) st.st_mtim.tv_sec * USEC_PER_SEC +
                                        (usec_t) st.st_mtim.tv_nsec / 1000;
        e.mode = st.st_mode & 07777;
        e.uid = st.st_uid;
        e.gid = st.st_gid;
        look_up_owner(&st, owner);
        e.user = owner->user;
        e.group = owner->group;
        if (e.type == ENTRY_SYMLINK) {
                n = readlinkat(fd, name, target, sizeof(target) - 1);
                if (n > 0) {
                        target[n] = 0;
                        e.target = target;
                }
        }
        return json_append(entries, listing_entry_build(&e));
}

static int build_page(int fd, const ListingSpec *spec, Names *h, json_t **ret) {
        _cleanup_json_ json_t *entries = json_array();
        _cleanup_(freep) char *cursor = NULL;
        size_t limit = spec->limit;
        bool more = h->n > limit;
        Owner owner = {};
        int r;

        if (!entries)
                return -ENOMEM;
        qsort(h->items, h->n, sizeof(char *), compare_names);
        for (size_t i = 0; i < MIN(h->n, limit); i++) {
                r = append_entry(fd, spec->path, h->items[i], &owner, entries);
                if (r < 0)
                        return r;
        }
        if (more) {
                r = base64_encode(BASE64_URL, h->items[limit - 1], strlen(h->items[limit - 1]), &cursor);
                if (r < 0)
                        return r;
        }
        return listing_build(TAKE_PTR(entries), cursor, ret);
}

/* Where the path led: a symbolic link is no way around the policy. */
static int check_resolved(const JobRun *run, int fd, Failure *reterr_failure) {
        char link[STRLEN("/proc/self/fd/2147483647") + 1], resolved[WIRE_PATH_MAX + 1];
        ssize_t n;

        assert(run);

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, resolved, sizeof(resolved) - 1);
        if (n < 0)
                return -errno;
        resolved[n] = 0;
        return policy_check_listing(run->policy, resolved, reterr_failure);
}

/* Codes that clients tell apart. */
static const char *code_of(int error) {
        return error == ENOENT           ? "PATH_NOT_FOUND" :
                        error == ENOTDIR ? "NOT_A_DIRECTORY" :
                                           "NOT_READABLE";
}

static int list_dir(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(listing_spec_done) ListingSpec spec = LISTING_SPEC_NULL;
        _cleanup_(names_done) Names names = {};
        _cleanup_(freep) void *after = NULL;
        _cleanup_(freep) char *shown = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t size;
        int r;

        assert(run);
        assert(ret);

        r = listing_spec_parse(run->start->spec, COMMAND_LIST_DIR, &spec, reterr_failure);
        if (r < 0)
                return r;
        r = policy_check_listing(run->policy, spec.path, reterr_failure);
        if (r < 0)
                return r;
        r = base64_decode(BASE64_URL, strempty(spec.cursor), strlen(strempty(spec.cursor)), &after, &size);
        if (r < 0)
                return failure_set(reterr_failure, r, "FIELD_INVALID",
                                   "The cursor is not one of this listing");
        (void) !path_display(spec.path, &shown);
        fd = open(spec.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return failure_set(reterr_failure, -errno, code_of(errno),
                                   "The directory %s cannot be opened: %m", strempty(shown));
        r = check_resolved(run, fd, reterr_failure);
        if (r < 0)
                return r;
        names.max = spec.limit + 1; /* one more tells whether there is a next page */
        names.items = new0(char *, names.max);
        if (!names.items)
                return -ENOMEM;
        r = read_names(run, fd, after, &names);
        if (r >= 0)
                r = build_page(fd, &spec, &names, &ret->result);
        if (r < 0)
                return failure_set(reterr_failure, r, "NOT_READABLE", "The directory %s cannot be read: %m",
                                   strempty(shown));
        return 0;
}

void job_kind_list_dir(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = list_dir(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
