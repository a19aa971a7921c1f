/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "database/hana-recovery.h"

#define SYSTEM_DATABASE "SYSTEMDB"
/* Where the pieces are then; and the moment that is wanted. */
#define DIRECTORY "DIRECTORY"
#define MOMENT "YYYY-MM-DD HH:MM:SS"

static bool is_log(const HanaRecovery *of) {
        return of->how->backup == HANA_LOG;
}

static bool needs_others(const HanaRecovery *of) {
        return is_log(of) || of->how->level != HANA_FULL;
}

/* The user that SAP's installers make for a system: "hxeadm". */
static int add_user(Buffer *b, const char *system) {
        int r = 0;

        for (const char *p = system; *p && r >= 0; p++) {
                char c = (char) tolower((unsigned char) *p);

                r = buffer_add(b, &c, 1);
        }
        return r < 0 ? r : buffer_add_string(b, "adm");
}

static int add_head(Buffer *b, const HanaRecovery *of) {
        int r;

        r = buffer_printf(b, "SAP HANA %s %s, database %s: ", of->system, of->version, of->database);
        if (r >= 0 && is_log(of))
                r = buffer_add_string(b, "backups of its logs since the newest full backup of its data."
                                         "\n\n");
        else if (r >= 0)
                r = buffer_printf(b, "%s data backup %" PRIu64 ", %s.\n\n",
                                  hana_level_to_string(of->how->level), of->id, of->name);
        return r;
}

static int add_pieces(Buffer *b, const HanaRecovery *of) {
        int r = 0;

        for (size_t i = 0; i < of->answer->n_pieces && r >= 0; i++) {
                const HanaPiece *p = of->answer->pieces + i;

                r = buffer_printf(b, "    %-8s %12" PRIu64 " %s %s\n", p->type, p->size,
                                  isempty(p->ebid) ? p->destination : p->ebid, p->path);
        }
        return r < 0 ? r : buffer_add_string(b, "\n");
}

static int add_preparation(Buffer *b, const HanaRecovery *of) {
        int r;

        if (of->how->via == HANA_VIA_BACKINT)
                return buffer_add_string(b, "The pieces are with Backint, which the database asks itself."
                                            "\n\n");
        r = buffer_add_string(b, "Restore these files into a directory of the database's host, here "
                                 "\"" DIRECTORY "\"");
        if (r >= 0 && needs_others(of))
                r = buffer_add_string(b, ", and beside them the newest full backup from before, the "
                                         "incremental or differential ones since then, and the backups of "
                                         "logs");
        if (r >= 0)
                r = buffer_add_string(b, ". They have to belong to the database:\n\n    chown -R ");
        if (r >= 0)
                r = add_user(b, of->system);
        return r < 0 ? r : buffer_add_string(b, ":sapsys " DIRECTORY "\n\n");
}

/* One statement that recovers it; tenant is " FOR …" or "". */
static int add_statement(Buffer *b, const HanaRecovery *of, const char *tenant) {
        if (of->how->via == HANA_VIA_BACKINT && !needs_others(of))
                return buffer_printf(b, "RECOVER DATA%s USING BACKINT ('%s') CLEAR LOG", tenant, of->name);
        if (of->how->via == HANA_VIA_BACKINT)
                return buffer_printf(b, "RECOVER DATABASE%s UNTIL TIMESTAMP '" MOMENT "'", tenant);
        if (!needs_others(of))
                return buffer_printf(b, "RECOVER DATA%s USING FILE ('" DIRECTORY "/%s') CLEAR LOG", tenant,
                                     of->name);
        return buffer_printf(b,
                             "RECOVER DATABASE%s UNTIL TIMESTAMP '" MOMENT "' USING CATALOG PATH"
                             " ('" DIRECTORY "') USING LOG PATH ('" DIRECTORY "') USING DATA PATH"
                             " ('" DIRECTORY "')",
                             tenant);
}

static int add_tenant(Buffer *b, const HanaRecovery *of) {
        char tenant[HANA_WORD_MAX + 16];
        int r;

        (void) snprintf(tenant, sizeof(tenant), " FOR \"%s\"", of->database);
        r = buffer_printf(b,
                          "Then, logged in to " SYSTEM_DATABASE " with BACKUP ADMIN and DATABASE ADMIN:\n\n"
                          "    ALTER SYSTEM STOP DATABASE \"%s\"\n    ",
                          of->database);
        if (r >= 0)
                r = add_statement(b, of, tenant);
        return r < 0 ? r : buffer_add_string(b, "\n");
}

/* It cannot be told by SQL: without it nobody takes any. */
static int add_system(Buffer *b, const HanaRecovery *of) {
        int r;

        r = buffer_add_string(b, "Then, with the system stopped, as ");
        if (r >= 0)
                r = add_user(b, of->system);
        if (r >= 0)
                r = buffer_add_string(b, ":\n\n    HDBSettings.sh recoverSys.py --command=\"");
        if (r >= 0)
                r = add_statement(b, of, "");
        return r < 0 ? r : buffer_add_string(b, "\"\n");
}

int hana_recovery_text(const HanaRecovery *of, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        assert(of && of->how && of->answer);
        assert(of->system && of->version && of->database);
        assert(of->name || is_log(of));
        assert(ret);

        r = add_head(&b, of);
        if (r >= 0)
                r = add_pieces(&b, of);
        if (r >= 0)
                r = add_preparation(&b, of);
        if (r >= 0)
                r = streq(of->database, SYSTEM_DATABASE) ? add_system(&b, of) : add_tenant(&b, of);
        if (r >= 0)
                r = buffer_add_string(&b, "\nLook at SAP's guide on recovery first: CLEAR LOG gives up what "
                                          "is in the logs, and all of it replaces what the database has "
                                          "now.\n");
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}
