#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The bytes of a put cut into parts of equal size, some of them on their way at once, each in a thread of
 * its own. The parts that are in flight are counted over all puts of a storage: its memory is bounded. */

#include <pthread.h>

#include "base/buffer.h"
#include "storage/backend.h"

#define PARTS_FLIGHT_MAX 3

typedef struct PartsArgs {
        StoragePut *put;   /* weak */
        size_t size;       /* of a part's data */
        size_t head, tail; /* room before and behind it */
        atomic_int *spare; /* parts that may be in flight */
        /* In the caller's thread, before a part is sent; numbers begin with 1. */
        int (*before)(StoragePut *put, unsigned number, Failure *f);
        /* In any thread. The data begins head bytes behind part->data. */
        int (*send)(StoragePut *put, Buffer *part, unsigned number, Failure *f);
} PartsArgs;

typedef struct PartsFlight {
        const PartsArgs *args; /* weak */
        pthread_t thread;
        bool started;
        Buffer part;
        unsigned number;
        int result;
        Failure failure;
} PartsFlight;

/* Belongs into the backend of a put, which does not move. */
typedef struct Parts {
        PartsArgs args;
        Buffer part; /* head bytes, then what was written */
        unsigned n;  /* parts that were sent */
        PartsFlight flights[PARTS_FLIGHT_MAX];
        unsigned oldest, n_flights; /* a ring */
} Parts;

int parts_init(Parts *p, const PartsArgs *args) _warn_unused_;
/* A full part is sent when the byte behind it comes: what fits into one part is none. */
int parts_write(Parts *p, const void *data, size_t n, Failure *f) _warn_unused_;
/* Sends the last one, and waits for all. */
int parts_finish(Parts *p, Failure *f) _warn_unused_;
/* Behind parts_finish(): gives the memory back. */
void parts_release(Parts *p);
/* Waits for those in flight, whatever became of them. */
void parts_wait(Parts *p);
void parts_done(Parts *p);
