/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/object.h"
#include "base/alloc.h"

struct ObjectWriter {
        Fanout *fanout;
        unsigned object;
        AgeWriter *age;
        Sha256 *sha256;
        uint64_t size;
};

static int object_sink(void *userdata, const void *p, size_t n) {
        ObjectWriter *w = ASSERT_PTR(userdata);
        int r;

        r = sha256_add(w->sha256, p, n);
        if (r < 0)
                return r;
        w->size += n;
        return fanout_write(w->fanout, w->object, p, n);
}

int object_writer_new(Fanout *f, unsigned object, const AgeRecipient *recipients, size_t n_recipients,
                      ObjectWriter **ret) {
        _cleanup_(object_writer_freep) ObjectWriter *w = NULL;
        int r;

        assert(f);
        assert(recipients || n_recipients == 0);
        assert(ret);

        w = new0(ObjectWriter, 1);
        if (!w)
                return -ENOMEM;
        w->fanout = f;
        w->object = object;
        r = sha256_new(&w->sha256);
        if (r < 0)
                return r;
        if (n_recipients > 0) {
                r = age_writer_new(recipients, n_recipients, object_sink, w, &w->age);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(w);
        return 0;
}

ObjectWriter *object_writer_free(ObjectWriter *w) {
        if (!w)
                return NULL;
        age_writer_free(w->age);
        sha256_free(w->sha256);
        return mfree(w);
}

int object_writer_write(ObjectWriter *w, const void *p, size_t n) {
        assert(w);
        assert(p || n == 0);

        return w->age ? age_writer_write(w->age, p, n) : object_sink(w, p, n);
}

int object_writer_finish(ObjectWriter *w, BackupObject *ret) {
        int r;

        assert(w);
        assert(ret);

        if (w->age) {
                const void *header;
                size_t n;

                r = age_writer_finish(w->age);
                if (r < 0)
                        return r;
                age_writer_header(w->age, &header, &n);
                ret->age_header = memdup0(header, n);
                if (!ret->age_header)
                        return -ENOMEM;
                ret->age_header_size = n;
        }
        ret->size = w->size;
        return sha256_finish(w->sha256, ret->sha256);
}
