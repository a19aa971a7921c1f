/* SPDX-License-Identifier: Apache-2.0 */

/* "backupx recovery-kit", "self-backup" and "self-restore": root on the master itself, without a login and
 * whether the daemons run or not. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "cli/master-stopped.h"
#include "cli/prompt.h"
#include "cli/verbs.h"
#include "crypto/seal.h"
#include "recovery/kit.h"
#include "recovery/self-restore.h"
#include "store/audit.h"
#include "store/kit-state.h"
#include "sys/daemon.h"
#include "wire/names.h"

#define CREDSTORE "/etc/credstore.encrypted"
#define AGENT_STATE "/var/lib/backupx-agent"
#define KEY_FILE_MAX (64U << 10)
#define IDENTITIES_MAX 64U

static MasterPlaces master_places(const Arguments *a) {
        const char *agent = getenv("BACKUPX_AGENT_STATE_DIR");

        return (MasterPlaces){
                .state = daemon_state_directory(),
                .agent_state = isempty(agent) ? AGENT_STATE : agent,
                .plain = arguments_value(a, "plain"),
                .credstore = CREDSTORE,
                .root = "",
        };
}

/* --- Files of keys ---------------------------------------------------------------------------------- */

typedef int (*TakeKey)(Cli *c, const char *line, void *userdata);

/* As age has them: comments, and a key a line. */
static int read_keys(Cli *c, const char *path, TakeKey take, void *userdata) {
        _cleanup_(erase_and_freep) char *text = NULL;
        char *save = NULL;
        int r;

        assert(c);
        assert(take);

        r = read_file(AT_FDCWD, path, KEY_FILE_MAX, &text, NULL);
        if (r < 0)
                return failure_set(&c->failure, r, "FILE", "'%s' cannot be read: %m", path);
        for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
                r = line[0] == '#' ? 0 : take(c, line, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Sealing ---------------------------------------------------------------------------------------- */

typedef struct Seal {
        AgeRecipient recipients[AGE_RECIPIENTS_MAX];
        char *passphrase;
        Sealing sealing; /* of the two */
} Seal;

static void seal_done(Seal *s) {
        erase_and_free(s->passphrase);
}

static bool is_sealed_by_passphrase(const Arguments *a) {
        return arguments_has(a, "passphrase") || arguments_has(a, "password-file");
}

static int add_recipient(Cli *c, const char *text, void *userdata) {
        Seal *s = ASSERT_PTR(userdata);

        if (s->sealing.n_recipients == ELEMENTSOF(s->recipients) ||
            age_recipient_parse(text, s->recipients + s->sealing.n_recipients) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "'%s' is not a public key of age (age1…), or there are too many.", text);
        s->sealing.n_recipients++;
        return 0;
}

static int read_recipients(Cli *c, const Arguments *a, Seal *s) {
        const char *file = arguments_value(a, "recipients-file");
        int r = 0;

        assert(s);

        for (size_t i = 0; i < a->n_given && r >= 0; i++)
                if (streq(a->given[i].option->name, "recipient"))
                        r = add_recipient(c, a->given[i].value, s);
        if (r >= 0 && file) {
                r = read_keys(c, file, add_recipient, s);
                if (r >= 0 && s->sealing.n_recipients == 0)
                        r = failure_set(&c->failure, -EINVAL, "USAGE", "There is no key in '%s'.", file);
        }
        s->sealing.recipients = s->recipients;
        return r;
}

static int read_sealing(Cli *c, const Arguments *a, Seal *s) {
        int r;

        assert(s);

        r = read_recipients(c, a, s);
        if (r < 0 || !is_sealed_by_passphrase(a))
                return r;
        if (s->sealing.n_recipients > 0)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "It is sealed to recipients or with a passphrase, not both.");
        r = prompt_password(c, a, "Passphrase", /* is_new= */ true, &s->passphrase);
        if (r >= 0 && isempty(s->passphrase))
                r = failure_set(&c->failure, -EINVAL, "USAGE", "The passphrase is empty.");
        s->sealing.passphrase = s->passphrase;
        return r;
}

/* --- The kit ---------------------------------------------------------------------------------------- */

static int database_path(Cli *c, const MasterPlaces *places, char **ret) {
        int r;

        r = asprintf_safe(ret, "%s/" FILE_DATABASE, places->state);
        if (r >= 0 && access(*ret, R_OK | W_OK) < 0)
                r = failure_set(&c->failure, -errno, "DATABASE",
                                "'%s' cannot be opened: %m. Is this the master?", *ret);
        return r;
}

static KitContent content_of(const RecoveryData *d, usec_t written) {
        return (KitContent){
                .written = written,
                .repository = d->n_repositories > 0 ? d->repositories[d->n_repositories - 1].id : 0,
                .identities = d->n_identities,
        };
}

static int make_kit(Cli *c, const MasterPlaces *places, Buffer *out, size_t *ret_unreadable,
                    KitContent *ret) {
        _cleanup_(recovery_data_done) RecoveryData data = RECOVERY_DATA_NULL;
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_(freep) char *path = NULL;
        char host[256] = "";
        KitInfo info = {
                .hostname = host,
                .state = places->state,
                .now = now_usec(CLOCK_REALTIME),
                .identity = &identity,
                .data = &data,
        };
        int r;

        assert(c);

        (void) gethostname(host, sizeof(host) - 1);
        r = database_path(c, places, &path);
        if (r >= 0)
                r = master_identity(places, &identity, &c->failure);
        if (r >= 0)
                r = store_open(path, STORE_RECOVERY, &store, &c->failure);
        if (r >= 0)
                r = recovery_data_read(store, &data);
        if (r < 0)
                return r;
        *ret = content_of(&data, info.now);
        return kit_format(&info, out, ret_unreadable);
}

/* As the API, which notes what people did. */
static int open_to_note(Cli *c, const MasterPlaces *places, Store **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(c);

        r = database_path(c, places, &path);
        return r < 0 ? r : store_open(path, STORE_API, ret, &c->failure);
}

/* That all keys left the machine is for the audit log. */
static int note_kit(Cli *c, const MasterPlaces *places) {
        _cleanup_(store_closep) Store *store = NULL;
        AuditEntry entry = {
                .at = now_usec(CLOCK_REALTIME),
                .username = (char *) "root",
                .address = (char *) "local",
                .action = (char *) "recovery_kit.write",
        };
        int r;

        assert(c);

        r = open_to_note(c, places, &store);
        return r < 0 ? r : audit_add(store, &entry);
}

/* What it has, so that it is known when another one is due. */
static int note_content(Cli *c, const MasterPlaces *places, const KitContent *kit) {
        _cleanup_(store_closep) Store *store = NULL;
        int r;

        r = open_to_note(c, places, &store);
        return r < 0 ? r : kit_state_note(store, kit);
}

static int read_kit_state(Cli *c, const MasterPlaces *places, KitState *ret) {
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(c);

        r = database_path(c, places, &path);
        if (r >= 0)
                r = store_open(path, STORE_READONLY, &store, &c->failure);
        return r < 0 ? r : kit_state_read(store, ret);
}

static int describe_old(const KitState *state, char **ret) {
        char time[RFC3339_MAX];

        if (state->written == 0)
                return asprintf_safe(ret,
                                     "No recovery kit was written yet. Write one: backupx recovery-kit "
                                     "FILE");
        return asprintf_safe(ret,
                             "The recovery kit of %s does not have all that restoring needs. New or changed "
                             "since then: repositories %" PRIu64 ", keys of sealed archives %" PRIu64
                             ", targets %" PRIu64 ". Write another one: backupx recovery-kit FILE",
                             format_rfc3339(time, state->written), state->repositories, state->identities,
                             state->targets);
}

static int check_kit(Cli *c, const MasterPlaces *places) {
        _cleanup_(freep) char *text = NULL;
        char time[RFC3339_MAX];
        KitState state;
        int r;

        assert(c);

        r = read_kit_state(c, places, &state);
        if (r < 0)
                return failure_set(&c->failure, r, "DATABASE", "What the last kit has cannot be read: %m");
        if (kit_state_is_old(&state)) {
                r = describe_old(&state, &text);
                return r < 0 ? r : failure_set(&c->failure, -ESTALE, "KIT_OLD", "%s", text);
        }
        if (!c->quiet && state.written > 0)
                printf("The recovery kit of %s has all that restoring needs.\n",
                       format_rfc3339(time, state.written));
        else if (!c->quiet)
                printf("There is nothing yet that a recovery kit would have.\n");
        return 0;
}

/* The master may be copied every night by a timer; the kit is written by hand. */
static void warn_of_old_kit(Cli *c, const MasterPlaces *places) {
        _cleanup_(freep) char *text = NULL;
        KitState state;

        if (read_kit_state(c, places, &state) >= 0 && kit_state_is_old(&state) &&
            describe_old(&state, &text) >= 0)
                (void) fprintf(stderr, "backupx: warning: %s\n", text);
}

static int write_kit(const Seal *s, OutFile *f, const Buffer *text) {
        _cleanup_(age_writer_freep) AgeWriter *age = NULL;
        int r;

        assert(s);

        if (!sealing_is_set(&s->sealing))
                return outfile_sink(f, text->data, text->size);
        r = sealing_writer(&s->sealing, outfile_sink, f, &age);
        if (r >= 0)
                r = age_writer_write(age, text->data, text->size);
        return r < 0 ? r : age_writer_finish(age);
}

static int finish_kit(Cli *c, const MasterPlaces *places, const char *path, size_t unreadable,
                      const KitContent *content) {
        int r;

        assert(c);

        if (unreadable > 0)
                return failure_set(&c->failure, -EKEYREJECTED, "KIT_INCOMPLETE",
                                   "The recovery kit was written, but the master's key does not open %zu "
                                   "of the secrets: what they are is said in it in capitals.",
                                   unreadable);
        r = note_content(c, places, content);
        if (r < 0)
                return failure_set(&c->failure, r, "DATABASE",
                                   "The recovery kit was written, but that could not be noted: %m");
        if (!c->quiet && !streq(path, "-"))
                printf("The recovery kit is in %s. Whoever has it can read every backup: take it off this "
                       "machine, and keep it safe.\n",
                       path);
        return 0;
}

static int place_of_kit(Cli *c, const Arguments *a) {
        bool is_given = arguments_operand(a, 0) != NULL;

        if (is_given != arguments_has(a, "check"))
                return 0;
        return failure_set(&c->failure, -EINVAL, "USAGE",
                           "A kit is written to a FILE (- is the standard output), or --check asks "
                           "whether one is due.");
}

int verb_recovery_kit(Cli *c, const Arguments *a) {
        const char *path = arguments_operand(a, 0);
        _cleanup_(unseal_buffer_done) Buffer text = BUFFER_NULL;
        _cleanup_(outfile_done) OutFile f = OUTFILE_NULL;
        _cleanup_(seal_done) Seal s = {};
        MasterPlaces places = master_places(a);
        KitContent content;
        size_t unreadable = 0;
        int r;

        assert(c);

        r = place_of_kit(c, a);
        if (r >= 0)
                r = dropin_need_root("write the recovery kit", &c->failure);
        if (r >= 0 && !path)
                return check_kit(c, &places);
        if (r >= 0)
                r = read_sealing(c, a, &s);
        if (r >= 0)
                r = make_kit(c, &places, &text, &unreadable, &content);
        if (r >= 0)
                r = outfile_open(path, arguments_has(a, "force"), sealing_is_set(&s.sealing), &f,
                                 &c->failure);
        if (r >= 0)
                r = note_kit(c, &places);
        if (r >= 0)
                r = write_kit(&s, &f, &text);
        if (r >= 0)
                r = outfile_commit(&f, &c->failure);
        if (r < 0)
                return failure_set(&c->failure, r, "KIT_FAILED", "The recovery kit was not written: %m");
        return finish_kit(c, &places, path, unreadable, &content);
}

/* --- The master itself ------------------------------------------------------------------------------ */

int verb_self_backup(Cli *c, const Arguments *a) {
        const char *path = arguments_operand(a, 0);
        _cleanup_(outfile_done) OutFile f = OUTFILE_NULL;
        _cleanup_(seal_done) Seal s = {};
        MasterPlaces places = master_places(a);
        int r;

        assert(c);

        r = dropin_need_root("copy the master", &c->failure);
        if (r >= 0)
                r = read_sealing(c, a, &s);
        if (r >= 0)
                r = outfile_open(path, arguments_has(a, "force"), sealing_is_set(&s.sealing), &f,
                                 &c->failure);
        if (r >= 0)
                r = self_backup(&places, &s.sealing, &f, &c->failure);
        if (r >= 0)
                r = outfile_commit(&f, &c->failure);
        if (r < 0)
                return failure_set(&c->failure, r, "COPY_FAILED", "The copy was not written: %m");
        warn_of_old_kit(c, &places);
        if (!c->quiet && !streq(path, "-"))
                printf("The copy of the master is in %s%s.\n", path,
                       sealing_is_set(&s.sealing) ? ", sealed" : ". Whoever has it can read every backup");
        return 0;
}

typedef struct Openers {
        AgeIdentity identities[IDENTITIES_MAX];
        char *passphrase;
        AgeKeys keys;
} Openers;

static void openers_done(Openers *o) {
        erase_and_free(o->passphrase);
        explicit_bzero(o->identities, sizeof(o->identities));
}

/* No message quotes what may be a key. */
static int add_identity(Cli *c, const char *line, void *userdata) {
        Openers *o = ASSERT_PTR(userdata);

        if (o->keys.n_identities == IDENTITIES_MAX ||
            age_identity_parse(line, o->identities + o->keys.n_identities) < 0)
                return failure_set(&c->failure, -EINVAL, "IDENTITY",
                                   "The file of identities has a line that is no identity of age "
                                   "(AGE-SECRET-KEY-1…), or too many of them.");
        o->keys.n_identities++;
        return 0;
}

static int read_openers(Cli *c, const Arguments *a, Openers *o) {
        const char *file = arguments_value(a, "identity");
        int r = 0;

        assert(o);

        o->keys.identities = o->identities;
        if (file)
                r = read_keys(c, file, add_identity, o);
        if (r >= 0 && is_sealed_by_passphrase(a))
                r = prompt_password(c, a, "Passphrase", /* is_new= */ false, &o->passphrase);
        o->keys.passphrase = o->passphrase;
        return r;
}

static int open_input(Cli *c, const char *path) {
        int fd;

        if (streq(path, "-"))
                return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? failure_set(&c->failure, -errno, "FILE", "'%s' cannot be read: %m", path) : fd;
}

int verb_self_restore(Cli *c, const Arguments *a) {
        _cleanup_(self_restored_done) SelfRestored done = SELF_RESTORED_NULL;
        _cleanup_(openers_done) Openers openers = {};
        MasterPlaces places = master_places(a);
        SelfRestore args = { .places = &places, .keys = &openers.keys, .force = arguments_has(a, "force") };
        _cleanup_close_ int fd = -EBADF;
        char time[RFC3339_MAX];
        int r;

        assert(c);

        r = dropin_need_root("restore the master", &c->failure);
        if (r >= 0)
                r = places.plain ? 0 : master_need_stopped(&c->failure);
        if (r >= 0)
                r = read_openers(c, a, &openers);
        if (r >= 0)
                r = fd = open_input(c, arguments_operand(a, 0));
        args.fd = fd;
        (void) umask(0);
        if (r >= 0)
                r = self_restore(&args, &done, &c->failure);
        if (r < 0)
                return failure_set(&c->failure, r, "RESTORE_FAILED", "The master was not restored: %m");
        if (!c->quiet)
                printf("The master %s of %s is on this machine now (%zu files). Start it:\n"
                       "systemctl enable --now backupx.target backupx-agent.service\n",
                       strempty(done.hostname), format_rfc3339(time, done.created), done.n_files);
        return 0;
}
