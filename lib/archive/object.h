#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One object on its way to the targets: encrypted where there are recipients, counted and hashed as it will
 * be in storage, and cut into volumes where it gets larger than one object there. */

#include "archive/fanout.h"

typedef struct ObjectWriter ObjectWriter;

/* volume_max: of the targets of the fan-out, as of storage_object_max(). */
int object_writer_new(Fanout *f, unsigned object, const AgeRecipient *recipients, size_t n_recipients,
                      uint64_t volume_max, ObjectWriter **ret) _warn_unused_;
ObjectWriter *object_writer_free(ObjectWriter *w);
/* -EFBIG: more volumes than there may be. */
int object_writer_write(ObjectWriter *w, const void *p, size_t n) _warn_unused_;
/* Whether that was so. */
bool object_writer_is_full(const ObjectWriter *w);
/* Fills size, digest, volumes and age header; the name is the caller's. */
int object_writer_finish(ObjectWriter *w, BackupObject *ret) _warn_unused_;

DEFINE_CLEANUP(ObjectWriter *, object_writer_free);
