/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "backint/piece-name.h"
#include "backint/session-private.h"
#include "base/alloc.h"
#include "base/text.h"

void backint_piece_done(BackintPiece *p) {
        assert(p);

        free(p->name);
        free(p->ebid);
        free(p->key);
        *p = BACKINT_PIECE_NULL;
}

void backint_pieces_done(BackintPieces *p) {
        assert(p);

        for (size_t i = 0; i < p->n; i++)
                backint_piece_done(&p->pieces[i]);
        free(p->pieces);
        *p = (BackintPieces){};
}

/* --- One -------------------------------------------------------------------------------------------- */

static int stat_piece(const BackintSession *s, bool sealed, const char *ebid, const char *name,
                      BackintPiece *piece, Failure *reterr_failure) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        uint64_t size;
        int r;

        piece->key = mfree(piece->key);
        piece->sealed = sealed;
        r = backint_key_make(s->parameters->key_prefix, s->user, name, ebid, sealed, &piece->key);
        if (r == -EINVAL)
                return -ENOENT; /* nothing can be saved under such a name */
        if (r < 0)
                return r;
        r = storage_stat(s->storage, piece->key, &size, &why);
        if (r < 0 && r != -ENOENT)
                return failure_set(reterr_failure, r, why.code[0] ? why.code : "STORAGE_UNREADABLE", "%s",
                                   failure_message(&why, r));
        return r < 0 ? r : volumes_find(s->storage, piece->key, size, &piece->volumes, reterr_failure);
}

int backint_piece_find(const BackintSession *s, const char *ebid, const char *name, BackintPiece *ret,
                       Failure *reterr_failure) {
        _cleanup_(backint_piece_done) BackintPiece piece = BACKINT_PIECE_NULL;
        bool sealed = s->n_recipients > 0;
        usec_t time;
        int r;

        assert(ebid);
        assert(name);
        assert(ret);

        if (backint_ebid_time(ebid, &time) < 0)
                return -ENOENT; /* not one of ours */
        r = stat_piece(s, sealed, ebid, name, &piece, reterr_failure);
        if (r == -ENOENT) /* from before the parameters were changed */
                r = stat_piece(s, !sealed, ebid, name, &piece, reterr_failure);
        if (r < 0)
                return r;
        if (free_and_strdup(&piece.name, name) < 0 || free_and_strdup(&piece.ebid, ebid) < 0)
                return -ENOMEM;
        *ret = piece;
        piece = BACKINT_PIECE_NULL;
        return 0;
}

int backint_piece_remove_rest(const BackintSession *s, const char *ebid, const char *name,
                              Failure *reterr_failure) {
        usec_t time;
        int n = 0;

        assert(s);
        assert(ebid);
        assert(name);

        if (backint_ebid_time(ebid, &time) < 0)
                return 0; /* not one of ours */
        for (int sealed = 0; sealed < 2; sealed++) {
                _cleanup_(freep) char *key = NULL;
                int r;

                r = backint_key_make(s->parameters->key_prefix, s->user, name, ebid, sealed != 0, &key);
                if (r == -EINVAL)
                        return 0; /* nothing can be saved under such a name */
                if (r >= 0)
                        r = volumes_remove_rest(s->storage, key, reterr_failure);
                if (r < 0)
                        return r;
                n += r;
        }
        return n;
}

/* --- Many ------------------------------------------------------------------------------------------- */

typedef struct Listing {
        const char *below; /* of all pieces of the user */
        const char *name, *ebid;
        BackintPieces *pieces;
} Listing;

static int add_piece(BackintPieces *to, BackintPiece *piece) {
        if (to->n == BACKINT_FOUND_MAX)
                return -E2BIG;
        if (to->n == to->allocated) {
                size_t n = MAX((size_t) 64, 2 * to->allocated);
                BackintPiece *grown = reallocarray(to->pieces, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                to->pieces = grown;
                to->allocated = n;
        }
        to->pieces[to->n++] = *piece;
        *piece = BACKINT_PIECE_NULL;
        return 0;
}

/* A volume that is not the first: listings are sorted, so the one before it was just there. Where it was
 * not, this is none of a piece that counts. */
static void add_volume(BackintPieces *to, const char *key, size_t number, uint64_t size) {
        BackintPiece *last = to->n > 0 ? &to->pieces[to->n - 1] : NULL;
        const char *suffix = last ? startswith(key, last->key) : NULL;
        size_t found;

        if (suffix && volume_suffix_parse(suffix, &found) >= 0 && found == number &&
            number == last->volumes.n)
                volumes_add(&last->volumes, size);
}

static int on_listed(void *userdata, const char *key, uint64_t size) {
        const Listing *l = ASSERT_PTR(userdata);
        _cleanup_(backint_piece_done) BackintPiece piece = { .volumes = volumes_of_one(size) };
        size_t volume;
        int r;

        r = backint_key_parse(l->below, key, &piece.name, &piece.ebid, &piece.sealed, &volume);
        if (r == -EINVAL)
                return 0; /* somebody else's */
        if (r < 0)
                return r;
        if ((l->name && !streq(l->name, piece.name)) || (l->ebid && !streq(l->ebid, piece.ebid)))
                return 0;
        if (volume > 0) {
                add_volume(l->pieces, key, volume, size);
                return 0;
        }
        if (free_and_strdup(&piece.key, key) < 0)
                return -ENOMEM;
        return add_piece(l->pieces, &piece);
}

/* EBIDs begin with their time. */
static int newest_first(const void *a, const void *b) {
        const BackintPiece *x = a, *y = b;
        int k = strcmp(y->ebid, x->ebid);

        return k != 0 ? k : strcmp(x->name, y->name);
}

int backint_pieces_list(const BackintSession *s, const char *ebid, const char *name, BackintPieces *ret,
                        Failure *reterr_failure) {
        _cleanup_(backint_pieces_done) BackintPieces pieces = {};
        _cleanup_(freep) char *below = NULL, *prefix = NULL;
        Listing listing = { .name = name, .ebid = ebid, .pieces = &pieces };
        int r;

        assert(s);
        assert(ret);

        r = backint_key_prefix(s->parameters->key_prefix, s->user, NULL, &below);
        if (r >= 0)
                r = backint_key_prefix(s->parameters->key_prefix, s->user, name, &prefix);
        if (r == -EINVAL && name)
                return 0; /* nothing can be saved under such a name */
        if (r < 0)
                return r;
        listing.below = below;
        r = storage_list(s->storage, prefix, on_listed, &listing, reterr_failure);
        if (r == -E2BIG)
                return failure_set(reterr_failure, r, "BACKINT_TOO_MANY",
                                   "There are more than %u pieces: ask for one name", BACKINT_FOUND_MAX);
        if (r < 0)
                return r;
        if (pieces.n > 1)
                qsort(pieces.pieces, pieces.n, sizeof *pieces.pieces, newest_first);
        *ret = pieces;
        pieces = (BackintPieces){};
        return 0;
}
