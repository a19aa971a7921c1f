/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failure.h"

void failure_done(Failure *f) {
        assert(f);

        free(f->message);
        free(f->field);
        *f = FAILURE_NULL;
}

_printf_(4, 0) static void set(Failure *f, int error, const char *code, const char *format, va_list ap) {
        assert(strlen(code) < FAILURE_CODE_MAX);

        errno = error < 0 ? -error : 0;
        if (vasprintf(&f->message, format, ap) < 0)
                f->message = NULL;
        (void) snprintf(f->code, sizeof(f->code), "%s", code);
}

int failure_set(Failure *f, int error, const char *code, const char *format, ...) {
        va_list ap;

        assert(code);
        assert(format);

        if (!f || failure_is_set(f))
                return error;
        va_start(ap, format);
        set(f, error, code, format, ap);
        va_end(ap);
        return error;
}

int failure_set_field(Failure *f, int error, const char *code, const char *field, const char *format, ...) {
        va_list ap;

        assert(code);
        assert(field);
        assert(format);

        if (!f || failure_is_set(f))
                return error;
        va_start(ap, format);
        set(f, error, code, format, ap);
        va_end(ap);
        f->field = strdup(field);
        return error;
}

const char *failure_message(const Failure *f, int error) {
        if (f && f->message)
                return f->message;
        return strerror(error < 0 ? -error : error);
}
