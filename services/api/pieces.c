/* SPDX-License-Identifier: Apache-2.0 */

#include "services/api/pieces.h"

static void piece_clear(Piece *piece) {
        json_decref(piece->content);
        *piece = (Piece){};
}

void pieces_done(Pieces *p) {
        assert(p);

        for (size_t i = 0; i < PIECES_MAX; i++)
                piece_clear(p->items + i);
}

static void drop_old(Pieces *p, usec_t now) {
        for (size_t i = 0; i < PIECES_MAX; i++)
                if (p->items[i].command_id != 0 && usec_sub(now, p->items[i].added) >= PIECE_LIFE_USEC)
                        piece_clear(p->items + i);
}

void pieces_keep(Pieces *p, uint64_t command_id, json_t *content, usec_t now) {
        Piece *room;

        assert(p);
        assert(command_id != 0);

        drop_old(p, now);
        room = p->items;
        for (size_t i = 1; i < PIECES_MAX && room->command_id != 0; i++)
                if (p->items[i].added < room->added)
                        room = p->items + i;
        piece_clear(room);
        *room = (Piece){ .command_id = command_id, .content = content, .added = now };
}

json_t *pieces_take(Pieces *p, uint64_t command_id, usec_t now) {
        assert(p);

        drop_old(p, now);
        for (size_t i = 0; i < PIECES_MAX; i++)
                if (p->items[i].command_id == command_id) {
                        json_t *content = p->items[i].content;

                        p->items[i] = (Piece){};
                        return content;
                }
        return NULL;
}
