#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The listing of an archive: written while the archive is, in bounded memory, and read without reading all
 * of it. Its form is docs/formats.md. */

#include "archive/manifest.h"
#include "archive/member.h"

/* One line of the listing. */
typedef struct Entry {
        Member member;   /* path is the whole path; no xattrs, ACLs or extents */
        bool parent;     /* only led to a source: used when it must be created, never listed as content */
        bool incomplete; /* content was lost while it was read */
        bool bare;       /* not all of its attributes could be read; not in the listing */
        uint64_t offset; /* of its first header block in the tar stream */
        uint64_t length; /* headers, content and padding */
} Entry;

#define ENTRY_NULL ((Entry){})

static inline void entry_done(Entry *e) {
        member_done(&e->member);
}

/* --- Writing ------------------------------------------------------------------------------------------ */

typedef struct EntriesWriter EntriesWriter;

/* Takes the compressed bytes of one frame, in order. 0 or negative errno, which ends the writing. */
typedef int (*EntriesSink)(void *userdata, const void *p, size_t n);

/* Every function may be called from any thread. */
int entries_writer_new(EntriesSink sink, void *userdata, EntriesWriter **ret) _warn_unused_;
EntriesWriter *entries_writer_free(EntriesWriter *w);
/* Directories nest: enter, add children in order, leave. The children of one that is left are complete. */
int entries_writer_enter(EntriesWriter *w, const char *path) _warn_unused_;
int entries_writer_add(EntriesWriter *w, const Entry *e) _warn_unused_;
int entries_writer_leave(EntriesWriter *w) _warn_unused_;
/* The next frame of the data object. */
int entries_writer_add_frame(EntriesWriter *w, const Frame *f) _warn_unused_;
/* Writes what is pending and hands over the list of frames, for the manifest. */
int entries_writer_finish(EntriesWriter *w, EntriesFrame **ret, size_t *ret_n) _warn_unused_;

DEFINE_CLEANUP(EntriesWriter *, entries_writer_free);

/* --- Lines -------------------------------------------------------------------------------------------- */

/* The order of directories in the index: a directory comes after everything below it, siblings by the bytes
 * of their names. */
int entries_compare(const char *a, const char *b);

/* One entry of one list frame; directory is the path whose children these are. 0 to go on. */
typedef int (*EntriesFunc)(void *userdata, const char *directory, Entry *e);

/* Walks the plain bytes of a list frame: all of it, or the children of only (where not NULL). -EBADMSG: not
 * of the form. */
int entries_parse_list(const void *p, size_t n, const char *only, EntriesFunc func,
                       void *userdata) _warn_unused_;
/* Looks a directory up in the plain bytes of an index frame: 1 and the numbers of its list frames, or 0. */
int entries_parse_index(const void *p, size_t n, const char *directory, uint64_t **ret,
                        size_t *ret_n) _warn_unused_;
/* The frames of the data object that a table frame lists. */
int entries_parse_table(const void *p, size_t n, const EntriesFrame *table, Frame **ret,
                        size_t *ret_n) _warn_unused_;
