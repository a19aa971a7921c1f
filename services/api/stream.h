#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Server-sent events: what changed, for faces that show it. A stream is a hint, not a log: each begins with
 * "hello", upon which a client reads what it shows, and a client that reads too slowly is cut off, connects
 * again and begins anew. */

#include "services/api/request.h"

typedef struct Streams Streams;

/* Each costs a connection and up to STREAM_BUFFER_MAX bytes. */
#define STREAMS_MAX 256U
#define STREAMS_PER_USER_MAX 32U
#define STREAM_BUFFER_MAX (64U * 1024)
/* Under the idle limits of common proxies; and this often the caller's session is looked up. */
#define STREAM_KEEPALIVE_USEC (15 * USEC_PER_SEC)

int streams_new(Api *api, Streams **ret) _warn_unused_;
Streams *streams_free(Streams *s);
DEFINE_CLEANUP(Streams *, streams_free);
/* Closes them all: the daemon stops. */
void streams_end(Streams *s);

size_t streams_count(const Streams *s);
/* "event: name", "data: json" to all; takes json, NULL is ignored (the client hears of it later). */
void streams_send(Streams *s, const char *name, json_t *json);
/* After sessions have ended: closes the streams of those. */
void streams_check(Streams *s);
