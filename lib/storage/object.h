#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the types have in common that keep objects under keys at a service of HTTP: s3, azure. Each describes
 * its service in an ObjectType, and its functions of StorageType are these.
 *
 * An object carries the number of the put that made it: a request that was repeated finds its own work. */

#include "storage/backend.h"
#include "storage/http-server.h"
#include "storage/xml.h"

#define OBJECT_ID_SIZE 33

typedef struct ObjectRange {
        uint64_t offset;
        void *into;
        size_t n; /* at least 1 */
} ObjectRange;

/* What the service calls an error, and what it means. */
typedef struct ObjectError {
        const char *name;
        int error;
        const char *code;
        bool may_pass;
        const char *text; /* "the S3 server …" */
} ObjectError;

/* A listing over its pages. */
typedef struct ObjectListing {
        const char *root; /* prefix of the target, which is not part of our keys */
        StorageListFunc func;
        void *userdata;
        char *last; /* the key before, or NULL */
        char *next; /* what the service wants to hear for the next page, or NULL */
} ObjectListing;

typedef struct ObjectType {
        const char *peer;      /* for sentences: "S3 server" */
        const char *id_header; /* of an object: the number of its put */
        const ObjectError *errors;
        size_t n_errors;
        /* Asks for the headers of an object, and for a range of its bytes. */
        int (*head)(Storage *s, const char *key, HttpAnswer *a, Failure *f);
        int (*get)(Storage *s, const char *key, const ObjectRange *range, HttpAnswer *a, Failure *f);
        /* As storage_remove(), of what was there just now. */
        int (*remove)(Storage *s, const char *key, Failure *f);
        /* Asks for a page of the keys that begin with prefix; next: NULL for the first. */
        int (*page)(Storage *s, const char *prefix, const char *next, HttpAnswer *a, Failure *f);
        int (*read_page)(ObjectListing *l, const HttpAnswer *a);
} ObjectType;

/* a->content_length is its size. */
int object_head(const ObjectType *t, Storage *s, const char *key, HttpAnswer *a, Failure *f) _warn_unused_;
/* For StorageType. */
ssize_t object_read_at(const ObjectType *t, Storage *s, const char *key, uint64_t offset, void *buf,
                       size_t n, Failure *reterr_failure) _warn_unused_;
int object_stat(const ObjectType *t, Storage *s, const char *key, uint64_t *ret_size,
                Failure *reterr_failure) _warn_unused_;
/* Writes a small object with a random key, reads it back and removes it. A credential that may add and not
 * remove is a good one. */
int object_probe(const ObjectType *t, Storage *s, Failure *reterr_failure) _warn_unused_;
/* root: the target's prefix. */
int object_list(const ObjectType *t, Storage *s, const char *root, const char *prefix, StorageListFunc func,
                void *userdata, Failure *reterr_failure) _warn_unused_;

/* Sets a request to this range. */
void object_range_set(const ObjectRange *range, HttpRequest *q);

/* --- Puts --------------------------------------------------------------------------------------------- */

int object_id_new(char ret[static OBJECT_ID_SIZE]) _warn_unused_;
/* -EEXIST when the key is taken. */
int object_check_free(const ObjectType *t, StoragePut *put, Failure *f) _warn_unused_;
/* Whether what is there was made by the put with this number. */
bool object_is_ours(const ObjectType *t, StoragePut *put, const char *id);
/* Asks what is there after a put, which has to be of its size. */
int object_check_put(const ObjectType *t, StoragePut *put, HttpAnswer *a, Failure *f) _warn_unused_;

/* --- Answers ------------------------------------------------------------------------------------------ */

/* Whether the service's name of an error is known; words: its own, or NULL. */
bool object_judge(const ObjectType *t, const Storage *s, const char *name, const char *words,
                  const char *key, HttpVerdict *ret, Failure *f);

/* Texts of a page: those of one object, and of the page. */
typedef enum ObjectField {
        OBJECT_FIELD_NAME,
        OBJECT_FIELD_SIZE,
        OBJECT_FIELD_KIND,
        OBJECT_FIELD_MORE, /* of the page, as the next */
        OBJECT_FIELD_NEXT,
        _OBJECT_FIELD_MAX,
} ObjectField;

typedef struct ObjectElement {
        const char *name; /* NULL: the service has none */
        unsigned depth;   /* as of Xml */
} ObjectElement;

typedef struct ObjectPages {
        const char *root;     /* of the document */
        ObjectElement object; /* ends behind the texts of one */
        ObjectElement fields[_OBJECT_FIELD_MAX];
        /* One object: calls object_listing_give(), or passes it over. Texts may be NULL, and changed. */
        int (*give)(ObjectListing *l, char *fields[static _OBJECT_FIELD_MAX]);
        /* Whether there is another page: 1, then OBJECT_FIELD_NEXT leads there. */
        int (*more)(char *fields[static _OBJECT_FIELD_MAX]);
} ObjectPages;

/* Gives what one answer lists. -EBADMSG: it is no page of a listing, or not in the order of keys. */
int object_page_read(ObjectListing *l, const ObjectPages *pages, const HttpAnswer *a) _warn_unused_;
/* An object of these texts, either of which may be NULL. What cannot be ours is passed over: the marks of
 * folders that other programs make. */
int object_listing_give(ObjectListing *l, const char *name, const char *size) _warn_unused_;
void object_listing_done(ObjectListing *l);
