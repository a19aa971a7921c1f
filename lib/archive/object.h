#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One object on its way to the targets: encrypted where there are recipients, counted and hashed as it will
 * be in storage. */

#include "archive/fanout.h"

typedef struct ObjectWriter ObjectWriter;

int object_writer_new(Fanout *f, unsigned object, const AgeRecipient *recipients, size_t n_recipients,
                      ObjectWriter **ret) _warn_unused_;
ObjectWriter *object_writer_free(ObjectWriter *w);
int object_writer_write(ObjectWriter *w, const void *p, size_t n) _warn_unused_;
/* Fills size, digest and age header; the name is the caller's. */
int object_writer_finish(ObjectWriter *w, BackupObject *ret) _warn_unused_;

DEFINE_CLEANUP(ObjectWriter *, object_writer_free);
