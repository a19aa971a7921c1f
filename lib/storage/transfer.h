#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One transfer of curl after another, of whatever protocol, for a thread that may block: with connections
 * that are kept, a limit of time that counts from the last byte that moved, a rate, and a cancellation that
 * is noticed within TRANSFER_SLICE.
 *
 * What goes out is either a run of bytes that the caller holds, or pieces that it hands over as it has them:
 * the end of such a body is not known when the transfer begins. Belongs to one thread at a time. */

#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "base/times.h"
#include "storage/pace.h"

/* A cancellation and a stall are looked for this often. */
#define TRANSFER_SLICE (200 * USEC_PER_MSEC)

typedef struct TransferArgs {
        const char *ca_cert;   /* a file, or NULL for the system's; read when the transfer is made */
        const char *pin;       /* "sha256//…": then it alone decides, not chain and name; or NULL */
        const char *proxy_url; /* or NULL: none, whatever the environment says */
        bool insecure_tls;
        usec_t stall;                  /* no byte moved for so long: -ETIMEDOUT */
        Pace *pace;                    /* of what is sent; or NULL */
        const atomic_bool *cancel;     /* or NULL */
        void (*moved)(void *userdata); /* called when bytes moved; or NULL */
        void *userdata;
} TransferArgs;

typedef struct Transfer {
        CURL *easy; /* for the options of the protocol */
        TransferArgs args;
        char error[CURL_ERROR_SIZE]; /* of the last transfer: curl's words; empty: none */

        /* What comes in. Data goes to memory of the caller where that is given, and must fit; where it is
         * not, and the text of an answer from 300 up, to the buffer. */
        Buffer *in;
        char *into;
        size_t into_size, into_used;
        bool holds; /* what does not fit waits on the line; see transfer_go_on() */

        /* Private. */
        CURLM *multi;
        const char *upload;
        size_t upload_left, upload_size;
        curl_off_t upload_before; /* bytes of earlier pieces */
        bool pieces, last, starved, running;
        bool stalled, overflow, held;
        size_t skip; /* of what curl gives again after it was held: taken already */
        CURLcode code;
        curl_off_t moved;
        usec_t moved_at;
} Transfer;

/* Sets all that the arguments say. The texts must live for the call alone, the rest as long as the transfer.
 * protocols: "http,https". */
int transfer_init(Transfer *t, const TransferArgs *args, const char *protocols) _warn_unused_;
void transfer_done(Transfer *t);

/* Before a transfer: forgets what the last one sent and took. */
void transfer_reset(Transfer *t);
/* The body that goes out. */
void transfer_set_body(Transfer *t, const void *data, size_t n);

/* The whole of it. 0, or as transfer_error() has it. Where it holds, it also comes back with 0 when the
 * memory is full and more came: then it is transfer_is_held(), and goes on with other memory or is
 * aborted. */
int transfer_run(Transfer *t) _warn_unused_;
int transfer_go_on(Transfer *t, void *into, size_t n) _warn_unused_;

/* In pieces: starts; hands over a piece and comes back when it was read; and ends. A server that answers
 * before the end gives 1 to the piece: the caller goes to transfer_finish(), which tells how it went. */
int transfer_start_pieces(Transfer *t) _warn_unused_;
int transfer_send_piece(Transfer *t, const void *data, size_t n) _warn_unused_;
int transfer_finish(Transfer *t) _warn_unused_;
/* Ends a transfer half-way; its connection with it. Does nothing when none runs. */
void transfer_abort(Transfer *t);

static inline bool transfer_is_held(const Transfer *t) {
        return t->running && t->held;
}

/* -ECANCELED; -ETIMEDOUT: nothing moved for too long; -EKEYREJECTED: certificate, pin or host key;
 * -EHOSTUNREACH: no connection; -ECONNRESET: it ended too early; -EFBIG: more came in than there is room
 * for; -EACCES: the login; -EINVAL: not a URL; -ENOENT: no such file (not of HTTP); -EPROTO: anything
 * else. */
int transfer_error(const Transfer *t);
