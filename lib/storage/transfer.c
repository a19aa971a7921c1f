/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/place.h"
#include "base/text.h"
#include "storage/transfer.h"

#define CONNECT_TIMEOUT_MS 30000L

/* --- Callbacks ---------------------------------------------------------------------------------------- */

static size_t on_read(char *buf, size_t size, size_t n, void *userdata) {
        Transfer *t = ASSERT_PTR(userdata);
        size_t part = MIN(size * n, t->upload_left);

        if (part == 0 && t->pieces && !t->last) {
                t->starved = true;
                return CURL_READFUNC_PAUSE;
        }
        if (part > 0) {
                part = pace_wait(t->args.pace, part, t->args.cancel);
                if (part == 0)
                        return CURL_READFUNC_ABORT;
                memcpy(buf, t->upload, part);
        }
        t->upload += part;
        t->upload_left -= part;
        return part;
}

/* Curl rewinds where a kept connection turned out dead; nothing else. Pieces that are gone stay gone. */
static int on_seek(void *userdata, curl_off_t offset, int origin) {
        Transfer *t = ASSERT_PTR(userdata);
        curl_off_t within = offset - t->upload_before;

        if (origin != SEEK_SET || within < 0 || (size_t) within > t->upload_size)
                return CURL_SEEKFUNC_FAIL;
        t->upload -= (t->upload_size - t->upload_left) - (size_t) within;
        t->upload_left = t->upload_size - (size_t) within;
        return CURL_SEEKFUNC_OK;
}

/* Takes what fits. Curl gives a piece that is held once more, from its start. */
static size_t take_or_hold(Transfer *t, const char *p, size_t n) {
        size_t part = MIN(n - t->skip, t->into_size - t->into_used);

        assert(t->skip <= n);

        if (part > 0)
                memcpy(t->into + t->into_used, p + t->skip, part);
        t->into_used += part;
        t->held = t->skip + part < n;
        t->skip = t->held ? t->skip + part : 0;
        return t->held ? CURL_WRITEFUNC_PAUSE : n;
}

static size_t on_write(char *p, size_t size, size_t n, void *userdata) {
        Transfer *t = ASSERT_PTR(userdata);
        long code = 0;

        (void) curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
        if (t->into && t->holds && code < 300 && t->skip <= size * n)
                return take_or_hold(t, p, size * n);
        if (t->into && code < 300 && size * n <= t->into_size - t->into_used) {
                memcpy(t->into + t->into_used, p, size * n);
                t->into_used += size * n;
                return size * n;
        }
        if ((t->into && code < 300) || !t->in || buffer_add(t->in, p, size * n) < 0) {
                t->overflow = true;
                return CURL_WRITEFUNC_ERROR;
        }
        return size * n;
}

static bool is_cancelled(const Transfer *t) {
        return t->args.cancel && atomic_load_explicit(t->args.cancel, memory_order_relaxed);
}

/* Whether nobody should wait any longer. */
static bool is_over(Transfer *t) {
        if (is_cancelled(t))
                return true;
        t->stalled = now_usec(CLOCK_MONOTONIC) > usec_add(t->moved_at, t->args.stall);
        return t->stalled;
}

static int on_progress(void *userdata, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up) {
        Transfer *t = ASSERT_PTR(userdata);

        if (down + up != t->moved) {
                t->moved = down + up;
                t->moved_at = now_usec(CLOCK_MONOTONIC);
                if (t->args.moved)
                        t->args.moved(t->args.userdata);
        }
        /* Behind an upload of FTP curl itself waits for the answer, and asks here once a second. */
        return is_over(t) ? 1 : 0;
}

/* --- The transfer ------------------------------------------------------------------------------------- */

static int set_connection(CURL *e, const TransferArgs *args, const char *protocols) {
        /* A pin says which key it must be; the name and the chain then say nothing more. */
        long verify = args->insecure_tls || args->pin ? 0 : 1;
        const char *ca_cert = args->ca_cert ?: place_ca_bundle(curl_version_info(CURLVERSION_NOW)->cainfo);
        bool ok;

        ok = curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
                        /* A cancellation does not wait for a name server. */
                        curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 256L << 10) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PROXY, strempty(args->proxy_url)) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, verify) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, verify * 2) == CURLE_OK;
        if (ok && ca_cert)
                ok = curl_easy_setopt(e, CURLOPT_CAINFO, ca_cert) == CURLE_OK;
        if (ok && args->pin)
                ok = curl_easy_setopt(e, CURLOPT_PINNEDPUBLICKEY, args->pin) == CURLE_OK;
        return ok ? 0 : -EOPNOTSUPP;
}

static int set_callbacks(CURL *e, Transfer *t) {
        bool ok;

        assert(t);

        ok = curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_XFERINFODATA, t) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_READDATA, t) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SEEKDATA, t) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error) == CURLE_OK;
        return ok ? 0 : -EOPNOTSUPP;
}

int transfer_init(Transfer *t, const TransferArgs *args, const char *protocols) {
        int r;

        assert(t);
        assert(args);
        assert(protocols);

        *t = (Transfer){ .args = *args };
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        t->easy = curl_easy_init();
        t->multi = curl_multi_init();
        if (!t->easy || !t->multi)
                return -ENOMEM;
        r = set_connection(t->easy, args, protocols);
        return r < 0 ? r : set_callbacks(t->easy, t);
}

void transfer_done(Transfer *t) {
        assert(t);

        transfer_abort(t);
        curl_easy_cleanup(t->easy);
        (void) curl_multi_cleanup(t->multi);
        t->easy = NULL;
        t->multi = NULL;
}

void transfer_reset(Transfer *t) {
        assert(t);
        assert(!t->running);

        t->error[0] = 0;
        t->in = NULL;
        t->into = NULL;
        t->into_size = t->into_used = 0;
        transfer_set_body(t, NULL, 0);
        t->upload_before = 0;
        t->pieces = t->last = t->starved = t->stalled = t->overflow = t->holds = t->held = false;
        t->skip = 0;
        t->code = CURLE_OK;
        t->moved = 0;
}

void transfer_set_body(Transfer *t, const void *data, size_t n) {
        assert(t);

        t->upload_before += (curl_off_t) t->upload_size;
        t->upload = data;
        t->upload_left = t->upload_size = n;
}

int transfer_error(const Transfer *t) {
        assert(t);

        switch ((int) t->code) {
        case CURLE_OK:
                return 0;
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        case CURLE_ABORTED_BY_CALLBACK:
                return t->stalled ? -ETIMEDOUT : -ECANCELED;
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_WRITE_ERROR:
                return t->overflow ? -EFBIG : -EPROTO;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
        case CURLE_COULDNT_CONNECT:
        case CURLE_FTP_CANT_GET_HOST:
                return -EHOSTUNREACH;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_USE_SSL_FAILED: /* no TLS where it is wanted */
                return -EKEYREJECTED;
        case CURLE_LOGIN_DENIED:
        case CURLE_REMOTE_ACCESS_DENIED:
                return -EACCES;
        case CURLE_REMOTE_FILE_NOT_FOUND:
                return -ENOENT;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return -EINVAL;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_FAIL_REWIND:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
                return -ECONNRESET;
        }
        return -EPROTO;
}

static const char *words_of(const Transfer *t) {
        if (t->stalled)
                return "no byte moved for too long";
        return t->code == CURLE_ABORTED_BY_CALLBACK ? "cancelled" : curl_easy_strerror(t->code);
}

static void end(Transfer *t, CURLcode code) {
        assert(t);

        t->code = code;
        (void) curl_multi_remove_handle(t->multi, t->easy);
        t->running = false;
        if (code != CURLE_OK && t->error[0] == 0)
                (void) snprintf(t->error, sizeof t->error, "%s", words_of(t));
}

/* Curl 7.88 forgets to name a socket between the answer about a data connection of FTP and its opening: so
 * waits begin short, and get longer as long as nothing happens. */
static int wait_for_line(Transfer *t, int *ms) {
        int ready = 0;

        assert(ms);

        if (curl_multi_poll(t->multi, NULL, 0, *ms, &ready) != CURLM_OK)
                return -ENOMEM;
        *ms = ready > 0 ? 1 : MIN(*ms * 2, (int) (TRANSFER_SLICE / USEC_PER_MSEC));
        return 0;
}

/* Until it ended, until a piece was read and there is none, or until more came than there is room for. */
static void drive(Transfer *t) {
        int ms = 1;

        while (t->running && !t->held && !(t->starved && t->pieces && !t->last)) {
                CURLMsg *message;
                int n = 0;

                if (curl_multi_perform(t->multi, &n) != CURLM_OK) {
                        end(t, CURLE_OUT_OF_MEMORY);
                        return;
                }
                message = curl_multi_info_read(t->multi, &n);
                if (message && message->msg == CURLMSG_DONE) {
                        end(t, message->data.result);
                        return;
                }
                if (is_over(t)) {
                        end(t, CURLE_ABORTED_BY_CALLBACK);
                        return;
                }
                if (!t->starved && wait_for_line(t, &ms) < 0) {
                        end(t, CURLE_OUT_OF_MEMORY);
                        return;
                }
        }
}

static int start(Transfer *t) {
        assert(!t->running);

        t->moved_at = now_usec(CLOCK_MONOTONIC);
        if (is_cancelled(t)) {
                end(t, CURLE_ABORTED_BY_CALLBACK);
                return -ECANCELED;
        }
        if (curl_multi_add_handle(t->multi, t->easy) != CURLM_OK)
                return -ENOMEM;
        t->running = true;
        return 0;
}

int transfer_run(Transfer *t) {
        int r;

        assert(t);

        r = start(t);
        if (r < 0)
                return r;
        drive(t);
        return t->running ? 0 : transfer_error(t);
}

int transfer_go_on(Transfer *t, void *into, size_t n) {
        assert(transfer_is_held(t));

        t->into = into;
        t->into_size = n;
        t->into_used = 0;
        t->held = false;
        t->moved_at = now_usec(CLOCK_MONOTONIC);
        if (curl_easy_pause(t->easy, CURLPAUSE_CONT) != CURLE_OK)
                end(t, CURLE_RECV_ERROR);
        drive(t);
        return t->running ? 0 : transfer_error(t);
}

int transfer_start_pieces(Transfer *t) {
        assert(t);

        t->pieces = true;
        return start(t);
}

/* What was handed over goes out; nothing had moved because nothing was there. */
static int go_on(Transfer *t) {
        t->moved_at = now_usec(CLOCK_MONOTONIC);
        if (t->starved) {
                t->starved = false;
                if (curl_easy_pause(t->easy, CURLPAUSE_CONT) != CURLE_OK)
                        end(t, CURLE_SEND_ERROR);
        }
        drive(t);
        return t->running ? 0 : transfer_error(t);
}

int transfer_send_piece(Transfer *t, const void *data, size_t n) {
        int r;

        assert(t);
        assert(t->pieces && !t->last);

        if (!t->running)
                return 1;
        if (n == 0)
                return 0;
        transfer_set_body(t, data, n);
        r = go_on(t);
        return r < 0 ? r : t->running ? 0 :
                                        1;
}

int transfer_finish(Transfer *t) {
        assert(t);
        assert(t->pieces);

        t->last = true;
        if (!t->running)
                return transfer_error(t);
        return go_on(t);
}

void transfer_abort(Transfer *t) {
        assert(t);

        if (t->running)
                end(t, CURLE_ABORTED_BY_CALLBACK);
}
