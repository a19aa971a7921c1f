/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "backint/line.h"
#include "base/text.h"

static bool is_control(char c) {
        return ((uint8_t) c < 0x20 && c != '\t') || c == 0x7f;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* Takes one word from the line at *at, which is not blank. */
static int take_word(const char *line, size_t n, size_t *at, Buffer *word) {
        bool quoted = line[*at] == '"', open = quoted;
        size_t i = *at + (quoted ? 1 : 0);
        int r;

        for (; i < n && (quoted || !is_blank(line[i])); i++) {
                if (is_control(line[i]))
                        return -EINVAL;
                if (line[i] == '\\' && i + 1 < n && line[i + 1] == '"')
                        i++;
                else if (line[i] == '"') {
                        open = !open;
                        i++;
                        break;
                }
                r = buffer_add(word, line + i, 1);
                if (r < 0)
                        return r;
        }
        /* Behind the second mark there is a blank or nothing; a mark inside a bare word has no meaning. */
        if (open || (i < n && !is_blank(line[i])))
                return -EINVAL;
        *at = i;
        return 0;
}

int backint_line_split(const char *line, size_t n, char ***ret) {
        _cleanup_(strv_freep) char **words = NULL;
        _cleanup_buffer_ Buffer word = BUFFER_NULL;
        size_t count = 0;
        int r;

        assert(line || n == 0);
        assert(ret);

        for (size_t i = 0; i < n;) {
                if (is_blank(line[i])) {
                        i++;
                        continue;
                }
                if (++count > BACKINT_WORDS_MAX)
                        return -EINVAL;
                buffer_clear(&word);
                r = buffer_reserve(&word, 1);
                if (r >= 0)
                        r = take_word(line, n, &i, &word);
                if (r < 0)
                        return r;
                word.data[word.size] = 0;
                r = strv_extend(&words, word.data);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(words);
        return 0;
}

int backint_line_quote(Buffer *out, const char *word) {
        size_t n;
        int r;

        assert(out);
        assert(word);

        n = strlen(word);
        if (n > 0 && word[n - 1] == '\\')
                return -EINVAL;
        for (const char *p = word; *p; p++)
                if (is_control(*p))
                        return -EINVAL;
        r = buffer_add(out, "\"", 1);
        for (const char *p = word; *p && r >= 0; p++) {
                if (*p == '"')
                        r = buffer_add(out, "\\", 1);
                if (r >= 0)
                        r = buffer_add(out, p, 1);
        }
        return r < 0 ? r : buffer_add(out, "\"", 1);
}
