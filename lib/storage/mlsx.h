#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What an FTP server says of files in the form for machines (MLSD and MLST, RFC 3659, section 7): lines of
 * facts, "modify=20261123093855;size=3;type=file; name". Bytes of a stranger. */

#include "base/macros.h"
#include "base/times.h"

/* Of a name, and of the whole line: far beyond what any server has. */
#define MLSX_LINE_MAX 8192U

typedef enum MlsxKind {
        MLSX_OTHER, /* links, devices, the directory above */
        MLSX_FILE,
        MLSX_DIRECTORY,
        MLSX_SELF, /* the directory that is listed */
} MlsxKind;

typedef struct MlsxEntry {
        const char *name; /* not empty, no NUL; of MLST a path */
        MlsxKind kind;
        bool has_size;
        uint64_t size;   /* at most INT64_MAX */
        usec_t modified; /* 0: not said */
} MlsxEntry;

/* Gives 0 to go on; anything else ends the reading, which gives it back. */
typedef int (*MlsxFunc)(void *userdata, const MlsxEntry *entry);

/* Reads all lines; they end in LF or CR LF. -EBADMSG: one has not that form. */
int mlsx_read(const void *data, size_t n, MlsxFunc func, void *userdata) _warn_unused_;
