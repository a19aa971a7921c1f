/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/dump-name.h"

static bool is_plain(const char *name, const char *p) {
        return *p != '/' && *p != '%' && (unsigned char) *p >= ' ' && *p != 0x7f &&
                        !(p == name && *p == '.');
}

char *dump_path_of(const char *folder, const char *database, const char *suffix) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        assert(folder);
        assert(database);
        assert(suffix);

        r = buffer_printf(&b, "%s/", folder);
        for (const char *p = database; r >= 0 && *p; p++)
                r = is_plain(database, p) ? buffer_add(&b, p, 1) :
                                            buffer_printf(&b, "%%%02X", (unsigned) (unsigned char) *p);
        if (r >= 0)
                r = buffer_add_string(&b, suffix);
        return r < 0 ? NULL : buffer_take(&b);
}

char *dump_database_of(const char *folder, const char *path, const char *suffix) {
        const char *p = startswith(path, folder);
        char *name, *to;

        assert(suffix);

        if (!p || *p != '/' || !endswith(++p, suffix) || strchr(p, '/'))
                return NULL;
        name = strndup(p, strlen(p) - strlen(suffix));
        to = name;
        for (const char *from = name; from && *from; to++) {
                unsigned c;

                if (*from == '%' && sscanf(from + 1, "%2x", &c) == 1 && c != 0) {
                        *to = (char) c;
                        from += 3;
                } else
                        *to = *from++;
        }
        if (to)
                *to = 0;
        return name;
}
