#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a walk finds, into the tar stream and the listing. */

#include "archive/entries.h"
#include "archive/pipeline.h"
#include "archive/walk.h"

/* Of a stream whose size nobody knows. A part is in memory before its header is written. */
#define TAR_PART_SIZE (8U << 20)

typedef struct TarSink {
        Pipeline *pipeline;     /* weak */
        EntriesWriter *entries; /* weak */
        Buffer header;          /* of the member that is being stored */
} TarSink;

#define TAR_SINK(pipeline, entries) ((TarSink){ (pipeline), (entries), BUFFER_NULL })
void tar_sink_done(TarSink *t);

/* Its userdata is a TarSink. */
extern const WalkSink tar_sink;
