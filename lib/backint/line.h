#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Lines of the files that SAP HANA and a Backint program hand each other: a keyword and words between
 * blanks. A word in double quotation marks may hold blanks. \" is a quotation mark; before anything else a
 * backslash is a backslash. So a word that ends in a backslash has no form. */

#include "base/buffer.h"

/* The longest path, with each byte of it quoted, twice, and what stands around them. */
#define BACKINT_LINE_MAX (20U << 10)
#define BACKINT_WORDS_MAX 8

/* The words of a line of n bytes, without its end; NULL-terminated, at least empty. -EINVAL: more than
 * BACKINT_WORDS_MAX, a quotation mark without its other, a control character. */
int backint_line_split(const char *line, size_t n, char ***ret) _warn_unused_;
/* Appends a word in quotation marks. -EINVAL: it has no form. */
int backint_line_quote(Buffer *out, const char *word) _warn_unused_;
