#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The manifest of an archive: the object that is written last and makes it one, and the root of trust of a
 * restore, which knows its digest. Its form is docs/formats.md. Parsing treats it as hostile all the
 * same. */

#include "archive/frames.h"
#include "base/buffer.h"
#include "base/failure.h"
#include "base/times.h"
#include "storage/volumes.h"

#define MANIFEST_VERSION 1
/* Of those that name volumes, which the first version does not know. */
#define MANIFEST_VERSION_VOLUMES 2
/* A manifest is refused beyond this, compressed and not: an archive of 100 million files has about 10
 * MiB. */
#define MANIFEST_MAX (4U << 20)
#define MANIFEST_PLAIN_MAX (64U << 20)

/* Object names; ".age" is appended where the archive is encrypted. */
#define ARCHIVE_DATA "data.tar.zst"
#define ARCHIVE_ENTRIES "entries.zst"
#define ARCHIVE_MANIFEST "manifest.json.zst"
#define ARCHIVE_AGE_SUFFIX ".age"

typedef enum EntriesFrameKind {
        ENTRIES_LIST,  /* children of directories */
        ENTRIES_INDEX, /* directory → its list frames */
        ENTRIES_TABLE, /* frames of the data object */
        _ENTRIES_FRAME_KIND_MAX,
        _ENTRIES_FRAME_KIND_INVALID = -22, /* -EINVAL */
} EntriesFrameKind;

DECLARE_STRING_TABLE(entries_frame_kind, EntriesFrameKind);

typedef struct EntriesFrame {
        EntriesFrameKind kind;
        Frame frame;
        /* Index frames: the last directory in it. */
        char *last;
        /* Table frames: the number, offset and plain offset of the first frame of the data object that it
         * lists. */
        uint64_t first, data_offset, data_plain_offset;
} EntriesFrame;

typedef struct ManifestObject {
        char *name;    /* "data.tar.zst.age" */
        uint64_t size; /* as it is in storage, of all volumes together, and so is the digest */
        uint8_t sha256[SHA256_SIZE];
        Volume *volumes; /* NULL: it is one object */
        size_t n_volumes;
} ManifestObject;

typedef struct Manifest {
        char *created_by; /* "backupx 0.1.0" */
        bool encrypted;
        uint64_t run, attempt;
        uint64_t node_id, task_id;
        char *node, *task;
        usec_t started, finished;
        char **sources; /* absolute paths */
        /* Counts of what the archive holds. */
        uint64_t files, directories, others, skipped, errors;
        uint64_t bytes;      /* of file content */
        uint64_t plain_size; /* of the tar stream */
        uint8_t plain_sha256[SHA256_SIZE];
        ManifestObject data, entries;
        uint64_t n_data_frames;
        uint64_t data_size;   /* of the compressed stream, before encryption */
        EntriesFrame *frames; /* of the entries object, in order */
        size_t n_frames;
} Manifest;

#define MANIFEST_NULL ((Manifest){})

void manifest_done(Manifest *m);
/* Appends the JSON text. */
int manifest_format(const Manifest *m, Buffer *out) _warn_unused_;
/* -EBADMSG with the reason. Every offset, size and count was checked against the others. */
int manifest_parse(const void *p, size_t n, Manifest *ret, Failure *reterr_failure) _warn_unused_;
