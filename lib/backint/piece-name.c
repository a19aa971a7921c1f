/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backint/line.h"
#include "backint/piece-name.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/volumes.h"

#define SUFFIX ".zst"
#define SEALED ".age"
#define SUFFIX_SEALED SUFFIX SEALED

char *backint_ebid_make(char buf[static BACKINT_EBID_MAX], usec_t time, const uint8_t random[static 8]) {
        char text[RFC3339_MAX], hex[17];
        size_t n = 0;

        assert(buf);

        (void) format_rfc3339(text, time);
        for (const char *p = text; *p; p++)
                if (*p != '-' && *p != ':')
                        buf[n++] = *p;
        (void) snprintf(buf + n, BACKINT_EBID_MAX - n, "-%s", hex_encode(random, 8, hex));
        return buf;
}

/* Digits are 'd', lower-case hexadecimal ones 'x'. */
static bool has_form(const char *s) {
        static const char form[] = "ddddddddTdddddd.dddZ-xxxxxxxxxxxxxxxx";

        for (size_t i = 0; i < sizeof form; i++) {
                bool digit = s[i] >= '0' && s[i] <= '9';

                if (form[i] == 'd'                 ? !digit :
                                    form[i] == 'x' ? !digit && !(s[i] >= 'a' && s[i] <= 'f') :
                                                     s[i] != form[i])
                        return false;
        }
        return true;
}

int backint_ebid_time(const char *ebid, usec_t *ret) {
        char text[RFC3339_MAX];

        assert(ebid);
        assert(ret);

        if (!has_form(ebid))
                return -EINVAL;
        (void) snprintf(text, sizeof text, "%.4s-%.2s-%.2sT%.2s:%.2s:%.6sZ", ebid, ebid + 4, ebid + 6,
                        ebid + 9, ebid + 11, ebid + 13);
        return parse_rfc3339(text, ret);
}

static bool is_plain(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        (c != 0 && strchr("-_.+@", c));
}

/* One name of a path. */
static int add_escaped(Buffer *out, const char *p, size_t n) {
        bool dots = n == 0 || (n <= 2 && strspn(p, ".") >= n);
        int r = 0;

        if (n == 0)
                return buffer_add_string(out, "%00"); /* "//": kept, since it is another name */
        for (size_t i = 0; i < n && r >= 0; i++)
                r = is_plain(p[i]) && !dots ? buffer_add(out, p + i, 1) :
                                              buffer_printf(out, "%%%02X", (unsigned) (uint8_t) p[i]);
        return r;
}

/* A path with each name escaped, from behind its first '/'. */
static int add_path(Buffer *out, const char *path) {
        int r;

        do {
                size_t n = strcspn(++path, "/");

                r = add_escaped(out, path, n);
                if (r >= 0)
                        r = buffer_add(out, "/", 1);
                path += n;
        } while (r >= 0 && *path);
        return r;
}

static int add_place(Buffer *out, const char *prefix, const char *user, const char *name) {
        int r;

        if (isempty(user) || (name && name[0] != '/'))
                return -EINVAL;
        r = buffer_add_string(out, prefix);
        if (r >= 0)
                r = add_escaped(out, user, strlen(user));
        if (r >= 0)
                r = buffer_add(out, "/", 1);
        return r < 0 || !name ? r : add_path(out, name);
}

int backint_key_prefix(const char *prefix, const char *user, const char *name, char **ret) {
        _cleanup_buffer_ Buffer key = BUFFER_NULL;
        int r;

        assert(prefix);
        assert(user);
        assert(ret);

        r = add_place(&key, prefix, user, name);
        if (r < 0)
                return r;
        *ret = buffer_take(&key);
        return *ret ? 0 : -ENOMEM;
}

int backint_key_make(const char *prefix, const char *user, const char *name, const char *ebid, bool sealed,
                     char **ret) {
        _cleanup_buffer_ Buffer key = BUFFER_NULL;
        int r;

        assert(name);
        assert(ebid);
        assert(ret);

        r = add_place(&key, prefix, user, name);
        if (r >= 0)
                r = buffer_printf(&key, "%s%s", ebid, sealed ? SUFFIX_SEALED : SUFFIX);
        if (r < 0)
                return r;
        if (!storage_key_is_valid(key.data))
                return -EINVAL;
        *ret = buffer_take(&key);
        return *ret ? 0 : -ENOMEM;
}

static int digit_of(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
                                                                       -1;
}

/* The n bytes of an escaped path without '/' at its ends. */
static int unescape(const char *p, size_t n, Buffer *out) {
        int r;

        r = buffer_add(out, "/", 1);
        for (size_t i = 0; i < n && r >= 0; i++) {
                int high, low;
                char c;

                if (p[i] != '%') {
                        r = is_plain(p[i]) || p[i] == '/' ? buffer_add(out, p + i, 1) : -EINVAL;
                        continue;
                }
                if (n - i < 3)
                        return -EINVAL;
                high = digit_of(p[i + 1]);
                low = digit_of(p[i + 2]);
                if (high < 0 || low < 0)
                        return -EINVAL;
                c = (char) (high * 16 + low);
                i += 2;
                if (c != 0) /* it stands for no byte at all */
                        r = buffer_add(out, &c, 1);
        }
        return r;
}

/* Whether it can stand in an answer. Nothing else was saved. */
static bool can_be_told(const Buffer *name) {
        _cleanup_buffer_ Buffer line = BUFFER_NULL;

        return utf8_is_valid(name->data, name->size) && backint_line_quote(&line, name->data) >= 0;
}

/* What stands behind the EBID. */
static int parse_suffix(const char *suffix, bool *ret_sealed, size_t *ret_volume) {
        const char *rest = startswith(suffix, SUFFIX), *opened;

        if (!rest)
                return -EINVAL;
        opened = startswith(rest, SEALED);
        *ret_sealed = opened;
        return volume_suffix_parse(opened ?: rest, ret_volume);
}

int backint_key_parse(const char *below, const char *key, char **ret_name, char **ret_ebid, bool *ret_sealed,
                      size_t *ret_volume) {
        _cleanup_buffer_ Buffer name = BUFFER_NULL;
        _cleanup_(freep) char *ebid = NULL;
        const char *path, *last, *suffix;
        usec_t time;
        int r;

        assert(below);
        assert(key);

        path = startswith(key, below);
        last = path ? strrchr(path, '/') : NULL;
        suffix = last ? strstr(last, SUFFIX) : NULL;
        if (!suffix || parse_suffix(suffix, ret_sealed, ret_volume) < 0)
                return -EINVAL;
        ebid = memdup0(last + 1, (size_t) (suffix - (last + 1)));
        if (!ebid)
                return -ENOMEM;
        if (backint_ebid_time(ebid, &time) < 0)
                return -EINVAL;
        r = unescape(path, (size_t) (last - path), &name);
        if (r < 0)
                return r;
        if (!can_be_told(&name))
                return -EINVAL;
        *ret_name = buffer_take(&name);
        if (!*ret_name)
                return -ENOMEM;
        *ret_ebid = TAKE_PTR(ebid);
        return 0;
}
