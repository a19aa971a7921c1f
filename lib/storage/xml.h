#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A reader of the XML that storage servers answer with. It takes elements, text, CDATA, comments, processing
 * instructions and the five entities and character numbers of XML 1.0, all in UTF-8; what it does not take
 * is what such answers never have and attacks live of: a document type, and with it entities and external
 * parts. Attributes are checked and passed over; of a name only what stands behind its prefix is given, so
 * that namespaces need not be followed.
 *
 * Written here and not taken from a library: two hundred lines that the agents of all distributions carry
 * anyway, instead of one more library of theirs that parses bytes of strangers. */

#include "base/buffer.h"
#include "base/macros.h"

/* Deeper documents are refused. */
#define XML_DEPTH_MAX 32
/* Longer names are. */
#define XML_NAME_MAX 128

typedef enum XmlEvent {
        XML_END,   /* of the document */
        XML_OPEN,  /* an element begins: x->name */
        XML_CLOSE, /* it ends: x->name, and x->text is what stood in it since the last tag */
} XmlEvent;

typedef struct Xml {
        const char *p, *end;
        char name[XML_NAME_MAX + 1]; /* without its prefix */
        Buffer text;                 /* UTF-8, entities resolved */
        unsigned depth;              /* of the element that begins or ends; the outermost has 1 */
        /* Private. */
        const char *open[XML_DEPTH_MAX]; /* names as they were written */
        size_t open_size[XML_DEPTH_MAX];
        bool self_closed, closed, seen_root;
} Xml;

/* The bytes must live as long as the reader. */
void xml_init(Xml *x, const void *data, size_t n);
void xml_done(Xml *x);
/* The next event, or -EBADMSG: not well-formed, or not what this reader takes; -ENOMEM. */
int xml_next(Xml *x) _warn_unused_;

/* Of an element that ends: a copy of its text in the place of what *to was. */
int xml_take_text(const Xml *x, char **to) _warn_unused_;

#define XML_NULL ((Xml){})
#define _cleanup_xml_ _cleanup_(xml_done)
