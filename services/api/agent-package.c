/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

#include "services/api/agent-package.h"

#define PREFIX "backupx-agent-"
#define SUFFIX ".tar.gz"
#define SIGNING_KEY "signing-key.pem"
/* A line of sha256sum, a key in PEM. */
#define SMALL_FILE_MAX 4096
/* More than any master has; a folder of something else is not walked for ever. */
#define PACKAGES_MAX 256

static bool is_word(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool version_is_valid(const char *version, size_t n) {
        if (n == 0 || n > AGENT_PACKAGE_VERSION_MAX || !is_word(version[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_word(version[i]) && !memchr(".+~-", version[i], 4))
                        return false;
        return true;
}

bool agent_package_version_is_valid(const char *version) {
        assert(version);

        return version_is_valid(version, strlen(version));
}

/* The length of VERSION in PREFIX VERSION "-linux-ARCH.tar.gz" and what follows; 0: not such a name. */
static size_t parse_name(const char *name, InstallArch *ret_arch, const char **ret_suffix) {
        const char *version = startswith(name, PREFIX);

        if (!version)
                return 0;
        for (InstallArch arch = 0; arch < INSTALL_ARCHS; arch++) {
                char marker[32];
                const char *at;

                strcpy(marker, "-linux-");
                strcat(strcat(marker, install_arch_to_string(arch)), SUFFIX);
                at = strstr(version, marker);
                if (!at || !version_is_valid(version, (size_t) (at - version)))
                        continue;
                *ret_arch = arch;
                *ret_suffix = at + strlen(marker);
                return (size_t) (at - version);
        }
        return 0;
}

bool agent_package_name_is_valid(const char *name) {
        const char *suffix;
        InstallArch arch;

        assert(name);

        if (streq(name, SIGNING_KEY))
                return true;
        return parse_name(name, &arch, &suffix) > 0 &&
                        (streq(suffix, "") || streq(suffix, ".sha256") || streq(suffix, ".sig"));
}

static int package_path(const char *folder, const char *version, InstallArch arch, const char *suffix,
                        char **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        if (!agent_package_version_is_valid(version))
                return -ENOENT;
        r = install_package_url(folder, version, arch, &path);
        return r < 0 ? r : asprintf_safe(ret, "%s%s", path, suffix);
}

/* "DIGITS  NAME\n", or the digits alone. */
static int parse_checksum(const char *text, char ret[static SHA256_HEX_SIZE]) {
        const size_t n = SHA256_HEX_SIZE - 1;

        for (size_t i = 0; i < n; i++)
                if (!isxdigit((unsigned char) text[i]))
                        return -EBADMSG;
        if (text[n] != 0 && !isspace((unsigned char) text[n]))
                return -EBADMSG;
        for (size_t i = 0; i < n; i++)
                ret[i] = (char) tolower((unsigned char) text[i]);
        ret[n] = 0;
        return 0;
}

int agent_package_checksum(const char *folder, const char *version, InstallArch arch,
                           char ret[static SHA256_HEX_SIZE]) {
        _cleanup_(freep) char *path = NULL, *text = NULL;
        int r;

        assert(folder);
        assert(version);
        assert(ret);

        r = package_path(folder, version, arch, ".sha256", &path);
        if (r >= 0)
                r = read_file(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL);
        return r < 0 ? r : parse_checksum(text, ret);
}

bool agent_package_exists(const char *folder, const char *version, InstallArch arch, const char *suffix) {
        _cleanup_(freep) char *path = NULL;
        struct stat st;

        assert(folder);
        assert(version);
        assert(suffix);

        return package_path(folder, version, arch, suffix, &path) >= 0 && stat(path, &st) >= 0 &&
                        S_ISREG(st.st_mode);
}

int agent_package_signing_key(const char *folder, char **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(folder);
        assert(ret);

        r = asprintf_safe(&path, "%s/" SIGNING_KEY, folder);
        return r < 0 ? r : read_file(AT_FDCWD, path, SMALL_FILE_MAX, ret, NULL);
}

int agent_package_open(const char *folder, const char *name, int *ret, uint64_t *ret_size) {
        _cleanup_(freep) char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        assert(folder);
        assert(name);
        assert(ret);
        assert(ret_size);

        if (!agent_package_name_is_valid(name))
                return -ENOENT;
        r = asprintf_safe(&path, "%s/%s", folder, name);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENOENT;
        *ret = TAKE_FD(fd);
        *ret_size = (uint64_t) st.st_size;
        return 0;
}

/* --- The list --------------------------------------------------------------------------------------- */

static int add_package(const char *folder, const char *name, json_t *list) {
        char version[AGENT_PACKAGE_VERSION_MAX + 1] = "", checksum[SHA256_HEX_SIZE];
        _cleanup_json_ json_t *json = json_object();
        _cleanup_close_ int fd = -EBADF;
        const char *suffix;
        InstallArch arch;
        uint64_t size;
        size_t n;
        int r;

        n = parse_name(name, &arch, &suffix);
        if (n == 0 || suffix[0] != 0 || json_array_size(list) >= PACKAGES_MAX)
                return 0;
        memcpy(version, name + STRLEN(PREFIX), n);
        /* One without a checksum is not offered: nobody could install it. */
        if (agent_package_checksum(folder, version, arch, checksum) < 0 ||
            agent_package_open(folder, name, &fd, &size) < 0)
                return 0;
        r = json_set(json, "file", json_from_string(name));
        if (r >= 0)
                r = json_set(json, "version", json_from_string(version));
        if (r >= 0)
                r = json_set(json, "arch", json_from_string(install_arch_to_string(arch)));
        if (r >= 0)
                r = json_set(json, "sha256", json_from_string(checksum));
        if (r >= 0)
                r = json_set(json, "size", json_from_u64(size));
        if (r >= 0)
                r = json_set(json, "signed",
                             json_boolean(agent_package_exists(folder, version, arch, ".sig")));
        return r < 0 ? r : json_append(list, TAKE_PTR(json));
}

int agent_packages_list(const char *folder, json_t **ret) {
        _cleanup_json_ json_t *list = json_array();
        struct dirent **names = NULL;
        int n, r = 0;

        assert(folder);
        assert(ret);

        if (!list)
                return -ENOMEM;
        n = scandir(folder, &names, NULL, alphasort);
        if (n < 0 && errno != ENOENT)
                return -errno;
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = add_package(folder, names[i]->d_name, list);
                free(names[i]);
        }
        free(names);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}
