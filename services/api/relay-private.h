#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared by the files of the relay. Each request becomes one job: inputs are copied into it, a worker thread
 * does the disk work, and what it found is answered in the loop. */

#include <systemd/sd-event.h>

#include "base/buffer.h"
#include "crypto/digest.h"

#include "services/api/api.h"
#include "services/api/relay-path.h"
#include "services/api/relay.h"

#define RELAY_LIST_DEFAULT 1000U
#define RELAY_LIST_MAX 1000U
/* Reads up to this size happen in the worker; larger ones are sent from the file. */
#define RELAY_READ_MAX (8U << 20)
/* Uploads whose running digest is kept; of others it is made at the commit by reading the file. */
#define RELAY_UPLOADS_MAX 256U
#define RELAY_SWEEP_USEC (1 * USEC_PER_MINUTE)

typedef struct RelayUpload RelayUpload;
typedef struct RelayJob RelayJob;

/* The running digest of one upload. A cache: all else is in the staged file. */
struct RelayUpload {
        RelayUpload *next;
        char name[RELAY_STAGED_MAX]; /* of the staged file */
        Sha256 *digest;
        uint64_t parts;                 /* in the digest */
        uint8_t last_part[SHA256_SIZE]; /* to know a repetition */
        bool is_busy;                   /* a worker has it */
        bool is_committed;              /* with this size and digest: a repeated commit needs no reading */
        uint64_t size;
        uint8_t committed[SHA256_SIZE];
        usec_t used; /* monotonic */
};

typedef struct RelayEntry {
        char *key;
        uint64_t size;
} RelayEntry;

typedef struct RelayList {
        RelayEntry *items;
        size_t n;
        bool more;
} RelayList;

struct RelayJob {
        Relay *relay;
        Request *request; /* NULL: nobody waits any more */
        int (*work)(RelayJob *job);
        int (*answer)(RelayJob *job, Request *r);

        /* what was asked */
        char *base;
        char *key;
        char staged[RELAY_STAGED_MAX];
        RelayStaged upload;
        RelayUpload *cached; /* held while the job runs; NULL: none */
        Buffer body;
        uint64_t part;
        uint64_t size;
        uint8_t digest[SHA256_SIZE];
        char *range;
        bool head; /* the size alone is wanted */
        char *prefix;
        char *cursor;
        uint32_t limit;

        /* what was found */
        int error;
        const char *message; /* beside error */
        bool existed;
        bool repeated; /* this very upload was committed before */
        bool is_lock;  /* the key is one of a lock */
        int fd;
        char *data;
        uint64_t offset;
        uint64_t length;
        RelayList list;
        uint64_t total;
        bool writable;
};

struct Relay {
        Api *api;
        char *default_directory;
        RelayUpload *uploads;
        size_t n_uploads;
        sd_event_source *sweep;
        bool is_sweeping;
};

/* --- relay.c --- */

/* A job for this request, with base, and key or prefix checked against the capability. Positive: the request
 * was answered (refused). */
int relay_job_new(Request *r, uint32_t verb, RelayJob **ret) _warn_unused_;
RelayJob *relay_job_free(RelayJob *job);
DEFINE_CLEANUP(RelayJob *, relay_job_free);
/* Suspends the request and gives the job to a worker; takes it over. */
int relay_job_submit(RelayJob *job) _warn_unused_;
int relay_job_refuse(RelayJob *job, Request *r) _warn_unused_;
/* The directory of a target; "" when it is not an allowed one. */
int relay_directory(Relay *relay, uint64_t target_id, const char *config, char **ret) _warn_unused_;

/* --- relay-upload.c --- */

int relay_upload_begin(Request *r) _warn_unused_;
int relay_upload_part(Request *r) _warn_unused_;
int relay_upload_commit(Request *r) _warn_unused_;
int relay_upload_abort(Request *r) _warn_unused_;
void relay_uploads_free(Relay *relay);

/* --- relay-read.c --- */

int relay_read_object(Request *r) _warn_unused_;
int relay_read_list(Request *r) _warn_unused_;
int relay_read_usage(Request *r) _warn_unused_;
int relay_remove(Request *r) _warn_unused_;

/* --- relay-walk.c --- */

/* Keys below prefix, sorted by bytes, behind cursor (NULL: from the start), at most limit. */
int relay_walk(int base, const char *prefix, const char *cursor, uint32_t limit,
               RelayList *ret) _warn_unused_;
void relay_list_done(RelayList *l);

/* --- relay-sweep.c --- */

int relay_sweep_start(Relay *relay) _warn_unused_;
