/* SPDX-License-Identifier: Apache-2.0 */

/* What outlives the agent: its identity, its id and its token, each a small file that is replaced and never
 * edited. Leftovers of a killed write are removed at the start; in the folder of results only old ones,
 * since jobs write there at the same time. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "agent/daemon/state-dir.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "base/times.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "wire/json.h"

#define FILE_MAX 4096

#define LEFTOVER_AGE (10 * USEC_PER_MINUTE)

int state_dir_open(const char *path, Failure *reterr_failure) {
        int fd, r;

        assert(path);

        r = mkdir_p(path, 0700);
        if (r < 0)
                return failure_set(reterr_failure, r, "STATE_UNUSABLE", "The folder %s cannot be made: %m",
                                   path);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return failure_set(reterr_failure, -errno, "STATE_UNUSABLE",
                                   "The folder %s cannot be opened: %m", path);
        return fd;
}

/* write_file_atomic() names its temporary files so. */
static bool is_leftover(int dirfd, const char *name, bool only_old) {
        struct stat st;

        if (name[0] == '.' || !endswith(name, "~"))
                return false;
        if (!only_old)
                return true;
        return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) >= 0 &&
                        (usec_t) st.st_mtim.tv_sec * USEC_PER_SEC + LEFTOVER_AGE < now_usec(CLOCK_REALTIME);
}

void state_dir_tidy(int dirfd, bool only_old) {
        int fd;
        DIR *d;

        assert(dirfd >= 0);

        fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        d = fd < 0 ? NULL : fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return;
        }
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                if (is_leftover(dirfd, e->d_name, only_old))
                        (void) unlinkat(dirfd, e->d_name, 0);
        (void) closedir(d);
}

/* Cuts the line end. */
static void chomp(char *s) {
        s[strcspn(s, "\r\n")] = 0;
}

static int make_identity(int dirfd, AgeIdentity *ret) {
        char text[AGE_IDENTITY_TEXT_SIZE + 1];
        int r;

        r = age_identity_generate(ret);
        if (r < 0)
                return r;
        (void) age_identity_format(ret, text);
        strcat(text, "\n");
        r = write_file_atomic(dirfd, "identity", text, strlen(text), 0600);
        explicit_bzero(text, sizeof(text));
        return r;
}

int state_identity(int dirfd, AgeIdentity *ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *text = NULL;
        int r;

        assert(dirfd >= 0);
        assert(ret);

        r = read_file(dirfd, "identity", FILE_MAX, &text, NULL);
        if (r == -ENOENT) {
                r = make_identity(dirfd, ret);
                if (r < 0)
                        return failure_set(reterr_failure, r, "STATE_UNUSABLE",
                                           "No identity can be made in the state folder: %m");
                return 0;
        }
        if (r >= 0) {
                chomp(text);
                r = age_identity_parse(text, ret);
        }
        if (r < 0)
                return failure_set(
                                reterr_failure, r, "IDENTITY_UNREADABLE",
                                "The file 'identity' in the state folder is no identity: %m. Bring it back, "
                                "or remove it and let the operator reset this node's key");
        return 0;
}

static int load_random(int dirfd, char **ret) {
        uint8_t random[16];
        char text[2 * sizeof(random) + 2];
        int r;

        r = read_file(dirfd, "agent-id", FILE_MAX, ret, NULL);
        if (r != -ENOENT)
                return r;
        r = random_bytes(random, sizeof(random));
        if (r < 0)
                return r;
        (void) hex_encode(random, sizeof(random), text);
        strcat(text, "\n");
        r = write_file_atomic(dirfd, "agent-id", text, strlen(text), 0600);
        if (r < 0)
                return r;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

int state_agent_id(int dirfd, char ret[static AGENT_ID_TEXT_MAX], Failure *reterr_failure) {
        _cleanup_(freep) char *random = NULL, *both = NULL;
        char digest[SHA256_HEX_SIZE];
        sd_id128_t machine = SD_ID128_NULL;
        int r;

        assert(dirfd >= 0);
        assert(ret);

        r = load_random(dirfd, &random);
        if (r >= 0) {
                chomp(random);
                (void) sd_id128_get_machine(&machine); /* a container may have none */
                r = asprintf_safe(&both, "%s " SD_ID128_FORMAT_STR, random, SD_ID128_FORMAT_VAL(machine));
        }
        if (r >= 0)
                r = sha256_hex(both, strlen(both), digest);
        if (r < 0)
                return failure_set(reterr_failure, r, "STATE_UNUSABLE", "No agent id can be kept: %m");
        memcpy(ret, digest, AGENT_ID_TEXT_MAX - 1);
        ret[AGENT_ID_TEXT_MAX - 1] = 0;
        return 0;
}

/* --- The token -------------------------------------------------------------------------------------- */

const char *token_choose(const char *given, const char *given_hash, const char *stored,
                         const char *replaces) {
        if (!stored)
                return given;
        if (!given)
                return stored;
        return replaces && given_hash && streq(replaces, given_hash) ? stored : given;
}

int token_clean(char *text) {
        assert(text);

        chomp(text);
        if (text[0] == 0 || strlen(text) > TOKEN_MAX)
                return -EINVAL;
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
                        return -EINVAL;
        return 0;
}

static int load_stored(int dirfd, json_t **ret) {
        _cleanup_(erase_and_freep) char *text = NULL;
        size_t n;
        int r;

        r = read_file(dirfd, "token", FILE_MAX, &text, &n);
        if (r < 0)
                return r;
        return json_parse_strict(text, n, JSON_DEPTH_DEFAULT, ret, /* reterr_failure= */ NULL);
}

int state_token_load(int dirfd, const char *given, char **ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *stored = NULL;
        char hash[SHA256_HEX_SIZE] = "";
        const char *chosen;
        int r;

        assert(dirfd >= 0);
        assert(ret);

        r = load_stored(dirfd, &stored);
        if (r < 0 && r != -ENOENT && !given)
                return failure_set(reterr_failure, r, "TOKEN_UNREADABLE",
                                   "The file 'token' in the state folder cannot be read: %m");
        if (given) {
                r = sha256_hex(given, strlen(given), hash);
                if (r < 0)
                        return r;
        }
        chosen = token_choose(given, hash, json_string_value(json_object_get(stored, "token")),
                              json_string_value(json_object_get(stored, "replaces")));
        if (!chosen)
                return -ENOKEY;
        *ret = strdup(chosen);
        return *ret ? 0 : -ENOMEM;
}

int state_token_save(int dirfd, const char *token, const char *given) {
        _cleanup_json_ json_t *json = json_object();
        _cleanup_(erase_and_freep) char *text = NULL;
        char hash[SHA256_HEX_SIZE] = "";
        size_t n;
        int r;

        assert(dirfd >= 0);
        assert(token);

        if (!json)
                return -ENOMEM;
        r = given ? sha256_hex(given, strlen(given), hash) : 0;
        if (r >= 0)
                r = json_set(json, "token", json_string(token));
        if (r >= 0)
                r = json_set(json, "replaces", json_string(hash));
        if (r >= 0)
                r = json_format(json, &text, &n);
        return r < 0 ? r : write_file_atomic(dirfd, "token", text, n, 0600);
}
