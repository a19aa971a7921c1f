#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The files of one database that a backup is to store, and the text beside them. */

#include "database/hana-backup.h"

typedef struct HanaFile {
        char *name; /* in the backup */
        char *path; /* absolute; NULL: it is the text */
        char *text;
        bool needed; /* without it the run fails; else it is lost */
} HanaFile;

typedef struct HanaFiles {
        HanaFile *items;
        size_t n;
} HanaFiles;

#define HANA_FILES_NULL ((HanaFiles){})
void hana_files_done(HanaFiles *f);
/* Takes the text over, even on failure. */
int hana_files_add_text(HanaFiles *f, const char *name, char *text) _warn_unused_;
/* All files of the place that begin so. */
int hana_files_add_place(HanaFiles *f, const HanaPlace *p, const char *begin) _warn_unused_;
/* Those that the catalog names as files; of those that begin with name (may be NULL) each has to be in the
 * place already, not shorter than the catalog says. PIECE_MISSING. */
int hana_files_add_answer(HanaFiles *f, const HanaPlace *p, const char *name, const HanaAnswer *a,
                          Failure *reterr_failure) _warn_unused_;
/* By their names; of two with one name one stays, and one that is needed rather than another. */
void hana_files_sort(HanaFiles *f);
