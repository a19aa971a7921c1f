/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "recovery/kit-text.h"

#define INDENT "    "

static void fail(Kit *k, int error) {
        if (k->error == 0 && error < 0)
                k->error = error;
}

_printf_(3, 0) static void add_line(Kit *k, const char *indent, const char *format, va_list ap) {
        _cleanup_(erase_and_freep) char *line = NULL;
        int r;

        assert(k);

        r = vasprintf_safe(&line, format, ap);
        fail(k, r < 0 ? r : buffer_printf(k->out, "%s%s\n", indent, line));
}

void kit_say(Kit *k, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        add_line(k, "", format, ap);
        va_end(ap);
}

void kit_run(Kit *k, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        add_line(k, INDENT, format, ap);
        va_end(ap);
}

static bool is_control(char c) {
        return (unsigned char) c < ' ' || (unsigned char) c == 0x7f;
}

static bool has_control(const char *s) {
        for (; *s; s++)
                if (is_control(*s))
                        return true;
        return false;
}

/* Line ends at its end are lost: no password of ours or of a form has them. */
static int quote_control(Buffer *out, const char *s) {
        int r;

        r = buffer_add_string(out, "\"$(printf %b '");
        for (; *s && r >= 0; s++)
                r = buffer_printf(out, "\\0%03o", (unsigned) (unsigned char) *s);
        return r < 0 ? r : buffer_add_string(out, "')\"");
}

static int quote_plain(Buffer *out, const char *s) {
        int r;

        r = buffer_add_string(out, "'");
        for (; *s && r >= 0; s++)
                r = *s == '\'' ? buffer_add_string(out, "'\\''") : buffer_add(out, s, 1);
        return r < 0 ? r : buffer_add_string(out, "'");
}

char *kit_quote(Kit *k, const char *s) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        char *text;

        assert(k);

        s = strempty(s);
        fail(k, has_control(s) ? quote_control(&b, s) : quote_plain(&b, s));
        text = buffer_take(&b);
        if (!text)
                fail(k, -ENOMEM);
        return text;
}

char *kit_name(Kit *k, const char *s) {
        char *text = strdup(isempty(s) ? "(unknown)" : s);

        assert(k);

        if (!text)
                fail(k, -ENOMEM);
        for (char *p = text; p && *p; p++)
                if (is_control(*p))
                        *p = '?';
        return text;
}

void kit_export(Kit *k, const char *name, const char *value) {
        _cleanup_(erase_and_freep) char *quoted = NULL;

        if (isempty(value))
                return;
        quoted = kit_quote(k, value);
        kit_run(k, "export %s=%s", name, strempty(quoted));
}

void kit_file(Kit *k, const char *name, const char *content) {
        assert(k);
        assert(content);

        kit_run(k, "printf '%%s\\n' \\");
        while (*content) {
                size_t n = strcspn(content, "\n");
                _cleanup_(erase_and_freep) char *line = memdup0(content, n), *quoted = NULL;

                if (!line) {
                        fail(k, -ENOMEM);
                        return;
                }
                if (n > 0 && line[n - 1] == '\r')
                        line[n - 1] = 0;
                quoted = kit_quote(k, line);
                content += n + (content[n] == '\n');
                kit_run(k, "  %s \\", strempty(quoted));
        }
        kit_run(k, "  > %s", name);
}
