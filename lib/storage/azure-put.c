/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/azure.h"

/* All numbers of blocks have as many digits, for their names must be of one length. */
#define BLOCK_NAME_SIZE (OBJECT_ID_SIZE + 6)

typedef struct AzurePut {
        char id[OBJECT_ID_SIZE];
        Parts parts;
} AzurePut;

/* --- Blocks ------------------------------------------------------------------------------------------- */

static int block_name(const AzurePut *p, unsigned number, char **ret) {
        char name[BLOCK_NAME_SIZE];

        (void) snprintf(name, sizeof name, "%s%06u", p->id, number % 1000000);
        return base64_encode(BASE64_STANDARD, name, strlen(name), ret);
}

static int before_block(StoragePut *put, unsigned number, Failure *f) {
        const Azure *z = put->storage->backend;

        if (number > AZURE_BLOCKS_MAX)
                return failure_set(f, -EFBIG, "STORAGE_TOO_LARGE",
                                   "'%s' has more than %d blocks of %zu MiB, which %s cannot hold as one "
                                   "object: raise its block_size.",
                                   put->key, AZURE_BLOCKS_MAX, z->block_size >> 20, put->storage->name);
        return number == 1 ? object_check_free(&azure_objects, put, f) : 0;
}

/* Any thread. */
static int send_block(StoragePut *put, Buffer *part, unsigned number, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        _cleanup_(freep) char *name = NULL;
        int r;

        r = block_name(put->backend, number, &name);
        if (r >= 0)
                r = azure_request_init(put->storage, &q, "PUT", put->key);
        if (r < 0)
                return r;
        azure_request_query(&q, "comp", "block");
        azure_request_query(&q, "blockid", name);
        r = azure_request_body(&q, part->data, part->size);
        return r < 0 ? r : azure_request_send(put->storage, &q, put->key, &a, f);
}

/* --- Puts --------------------------------------------------------------------------------------------- */

/* What the service would refuse, or keep under another name. */
static const char *key_complaint(const char *name) {
        size_t n = strlen(name), characters = 0;

        if (!utf8_is_valid(name, n))
                return "is not text in UTF-8";
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) name[i];

                if (c < ' ' || c == 127 || c == '\\')
                        return "has a control character or a backslash in it";
                if (c == '.' && (name[i + 1] == '/' || name[i + 1] == 0))
                        return "has a name in it that ends in a dot";
                characters += (c & 0xc0) != 0x80;
        }
        return characters > AZURE_NAME_MAX ? "is longer than 1024 characters" : NULL;
}

int azure_put_new(StoragePut *put, Failure *reterr_failure) {
        Azure *z = put->storage->backend;
        _cleanup_(freep) char *name = NULL;
        const char *wrong;
        AzurePut *p;
        int r;

        r = asprintf_safe(&name, "%s%s", z->prefix, put->key);
        if (r < 0)
                return r;
        wrong = key_complaint(name);
        if (wrong)
                return failure_set(reterr_failure, -EINVAL, "STORAGE_KEY_INVALID",
                                   "A key of %s %s, which Azure storage does not take.", put->storage->name,
                                   wrong);
        p = put->backend = new0(AzurePut, 1);
        if (!p)
                return -ENOMEM;
        r = object_id_new(p->id);
        if (r < 0)
                return r;
        return parts_init(&p->parts, &(PartsArgs){
                                                     .put = put,
                                                     .size = z->block_size,
                                                     .spare = &z->spare,
                                                     .before = before_block,
                                                     .send = send_block,
                                     });
}

int azure_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        AzurePut *p = put->backend;

        assert(p);

        return parts_write(&p->parts, data, n, reterr_failure);
}

/* What makes an object: it never replaces another. */
static int add_object_lines(StoragePut *put, AzureRequest *q) {
        const Azure *z = put->storage->backend;
        const AzurePut *p = put->backend;
        int r;

        r = http_line_add(&q->lines, AZURE_META_ID ": %s", p->id);
        if (r >= 0)
                r = http_line_add(&q->lines, "If-None-Match: *");
        if (!put->transient)
                q->tier = z->tier;
        return r;
}

static int put_whole(StoragePut *put, const uint8_t sha256_wanted[static 32], Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        const AzurePut *p = put->backend;
        const Buffer *all = &p->parts.part;
        uint8_t digest[SHA256_SIZE];
        int r;

        r = sha256(strempty(all->data), all->size, digest);
        if (r >= 0 && memcmp(digest, sha256_wanted, sizeof digest) != 0)
                return failure_set(f, -EBADMSG, "STORAGE_CHECKSUM",
                                   "'%s' (%s) is not what was to be written.", put->key,
                                   put->storage->name);
        if (r >= 0)
                r = azure_request_init(put->storage, &q, "PUT", put->key);
        if (r >= 0)
                r = azure_request_body(&q, all->data, all->size);
        if (r >= 0)
                r = http_line_add(&q.lines, "x-ms-blob-type: BlockBlob");
        if (r >= 0)
                r = add_object_lines(put, &q);
        return r < 0 ? r : azure_request_send(put->storage, &q, put->key, &a, f);
}

static int make_list(const AzurePut *p, Buffer *body) {
        int r;

        r = buffer_add_string(body, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for (unsigned i = 1; i <= p->parts.n && r >= 0; i++) {
                _cleanup_(freep) char *name = NULL;

                r = block_name(p, i, &name);
                if (r >= 0)
                        r = buffer_printf(body, "<Uncommitted>%s</Uncommitted>", name);
        }
        return r < 0 ? r : buffer_add_string(body, "</BlockList>");
}

/* Makes the object of its blocks. */
static int put_list(StoragePut *put, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        _cleanup_buffer_ Buffer list = BUFFER_NULL;
        int r;

        r = make_list(put->backend, &list);
        if (r >= 0)
                r = azure_request_init(put->storage, &q, "PUT", put->key);
        if (r < 0)
                return r;
        azure_request_query(&q, "comp", "blocklist");
        q.http.content_type = "application/xml";
        r = azure_request_body(&q, list.data, list.size);
        if (r >= 0)
                r = add_object_lines(put, &q);
        return r < 0 ? r : azure_request_send(put->storage, &q, put->key, &a, f);
}

/* No block may be empty, but a list may. */
static int put_blocks(StoragePut *put, Failure *f) {
        AzurePut *p = put->backend;
        int r = 0;

        if (put->size > 0 && !put->sealed)
                r = parts_finish(&p->parts, f);
        return r < 0 ? r : put_list(put, f);
}

int azure_put_seal(StoragePut *put, Failure *reterr_failure) {
        AzurePut *p = put->backend;
        int r;

        assert(p);

        r = parts_finish(&p->parts, reterr_failure);
        if (r >= 0)
                parts_release(&p->parts);
        return r;
}

/* A name under which a put left blocks counts as taken with some servers, though there is no object; the
 * list of blocks is refused for an object alone. */
static int put_small(StoragePut *put, const uint8_t sha256_wanted[static 32], Failure *f) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        r = put_whole(put, sha256_wanted, &why);
        if (r == -EEXIST && !storage_is_cancelled(put->storage) &&
            object_check_free(&azure_objects, put, NULL) >= 0)
                return put_blocks(put, f);
        return r < 0 ? failure_set(f, r, why.code, "%s", failure_message(&why, r)) : 0;
}

int azure_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        AzurePut *p = put->backend;
        int r;

        assert(p);

        r = p->parts.n > 0 ? put_blocks(put, &why) : put_small(put, sha256, &why);
        /* Blocks that are gone are those of another put's list, or of this one's. */
        if ((r == -EEXIST || r == -ESTALE) && !storage_is_cancelled(put->storage)) {
                if (object_is_ours(&azure_objects, put, p->id))
                        r = 0;
                else if (r == -ESTALE && object_check_free(&azure_objects, put, NULL) == -EEXIST)
                        return failure_set(reterr_failure, -EEXIST, "OBJECT_EXISTS",
                                           "'%s' already exists in %s.", put->key, put->storage->name);
        }
        if (r < 0)
                return failure_set(reterr_failure, r, why.code, "%s", failure_message(&why, r));
        return p->parts.n > 0 ? object_check_put(&azure_objects, put, &a, reterr_failure) : 0;
}

void azure_put_free(StoragePut *put) {
        AzurePut *p = put->backend;

        assert(p);

        parts_done(&p->parts);
        free(p);
}
