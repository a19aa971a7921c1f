/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/object.h"
#include "base/alloc.h"

struct ObjectWriter {
        Fanout *fanout;
        unsigned object;
        AgeWriter *age;
        VolumeList volumes;
        atomic_bool full;
};

static int next_volume(ObjectWriter *w) {
        const Volume *ended;
        int r;

        r = volume_list_next(&w->volumes, &ended);
        if (r == -EFBIG)
                atomic_store(&w->full, true);
        return r < 0 ? r : fanout_next(w->fanout, w->object, ended->sha256);
}

static int object_sink(void *userdata, const void *p, size_t n) {
        ObjectWriter *w = ASSERT_PTR(userdata);
        const char *from = p;
        int r = 0;

        while (n > 0 && r >= 0) {
                size_t room = volume_list_room(&w->volumes, n);

                if (room == 0) {
                        r = next_volume(w);
                        continue;
                }
                r = volume_list_add(&w->volumes, from, room);
                if (r >= 0)
                        r = fanout_write(w->fanout, w->object, from, room);
                from += room;
                n -= room;
        }
        return r;
}

int object_writer_new(Fanout *f, unsigned object, const AgeRecipient *recipients, size_t n_recipients,
                      uint64_t volume_max, ObjectWriter **ret) {
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
        r = volume_list_init(&w->volumes, volume_max);
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
        volume_list_done(&w->volumes);
        return mfree(w);
}

int object_writer_write(ObjectWriter *w, const void *p, size_t n) {
        assert(w);
        assert(p || n == 0);

        return w->age ? age_writer_write(w->age, p, n) : object_sink(w, p, n);
}

bool object_writer_is_full(const ObjectWriter *w) {
        assert(w);

        return atomic_load(&w->full);
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
        r = volume_list_finish(&w->volumes, ret->sha256);
        if (r < 0)
                return r;
        ret->size = w->volumes.size;
        ret->volumes = TAKE_PTR(w->volumes.volumes);
        ret->n_volumes = w->volumes.n;
        w->volumes.n = w->volumes.allocated = 0;
        return 0;
}
