/* SPDX-License-Identifier: Apache-2.0 */

/* Forgets and prunes in a repository of a folder (or @FILE, see tool-storage.h), without daemons; the
 * password is in $RESTIC_PASSWORD:
 *
 *   prune-tool [options] FOLDER forget RULE…   rules are last=3, daily=7, within=1d, within-weekly=2m
 *   prune-tool [options] FOLDER prune
 *
 *   --dry-run  --delay MS  --host NAME  --path P  --tag T  --keep-tag T  --group host,paths,tags
 *   --lock-times MS MS MS                of a refresh, after one that failed, until it is given up
 *   --unused PERCENT  --repack BYTES  --empty
 *   --hook PHASE COMMAND-OF-THE-SHELL    is run when the phase of a prune begins
 *   --cancel PHASE                       cancels there
 *
 * The result as JSON goes to stdout; exit status 0, or 2 with "[CODE] sentence" on stderr, also then. */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "repository/forget-run.h"
#include "repository/prune.h"
#include "tests/repository/tool-storage.h"

typedef struct Tool {
        RepositoryForgetArgs forget;
        RepositoryPruneArgs prune;
        ForgetPolicy policy;
        char **paths, **tags, **keep_tags;
        const char *hook_phase, *hook, *cancel_phase;
        atomic_bool cancel;
        Storage *storage;
        Repository *repository;
} Tool;

static int report(const Failure *f, int r) {
        if (r < 0)
                fprintf(stderr, "[%s] %s\n", f->code, failure_message(f, r));
        return r < 0 ? 2 : 0;
}

static uint64_t number(const char *s) {
        uint64_t n;

        if (parse_u64(s, 0, UINT64_MAX, &n) < 0)
                exit(3);
        return n;
}

static void extend(char ***list, const char *s) {
        if (strv_extend(list, s) < 0)
                exit(3);
}

static void set_group(Tool *t, const char *s) {
        t->forget.group_by = (strstr(s, "host") ? FORGET_GROUP_HOST : 0U) |
                        (strstr(s, "paths") ? FORGET_GROUP_PATHS : 0U) |
                        (strstr(s, "tags") ? FORGET_GROUP_TAGS : 0U);
}

static void set_lock_times(Tool *t, char *argv[]) {
        RepoLockTimes *l = &t->prune.lock_times;

        l->refresh = number(optarg) * USEC_PER_MSEC;
        l->retry = number(argv[optind++]) * USEC_PER_MSEC;
        l->give_up = number(argv[optind++]) * USEC_PER_MSEC;
        t->forget.lock_times = *l;
}

static void parse_filter(Tool *t, int c) {
        switch (c) {
        case 'h':
                t->forget.hostname = optarg;
                break;
        case 'p':
                extend(&t->paths, optarg);
                break;
        case 't':
                extend(&t->tags, optarg);
                break;
        case 'k':
                extend(&t->keep_tags, optarg);
                break;
        case 'g':
                set_group(t, optarg);
                break;
        }
}

static void parse_option(Tool *t, int c, char *argv[]) {
        switch (c) {
        case 'n':
                t->forget.dry_run = t->prune.dry_run = true;
                break;
        case 'd':
                t->forget.listing_delay = t->prune.listing_delay = number(optarg) * USEC_PER_MSEC;
                break;
        case 'u':
                t->prune.unused_percent = (unsigned) number(optarg);
                break;
        case 'r':
                t->prune.repack_max = number(optarg);
                break;
        case 'e':
                t->prune.allow_empty = true;
                break;
        case 'H':
                t->hook_phase = optarg;
                t->hook = argv[optind++];
                break;
        case 'L':
                set_lock_times(t, argv);
                break;
        case 'C':
                t->cancel_phase = optarg;
                break;
        case '?':
                exit(3);
        default:
                parse_filter(t, c);
                break;
        }
}

static void parse_argv(Tool *t, int argc, char *argv[]) {
        static const struct option options[] = {
                { "dry-run", no_argument, NULL, 'n' },
                { "delay", required_argument, NULL, 'd' },
                { "host", required_argument, NULL, 'h' },
                { "path", required_argument, NULL, 'p' },
                { "tag", required_argument, NULL, 't' },
                { "keep-tag", required_argument, NULL, 'k' },
                { "group", required_argument, NULL, 'g' },
                { "unused", required_argument, NULL, 'u' },
                { "lock-times", required_argument, NULL, 'L' },
                { "repack", required_argument, NULL, 'r' },
                { "empty", no_argument, NULL, 'e' },
                { "hook", required_argument, NULL, 'H' },
                { "cancel", required_argument, NULL, 'C' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0)
                parse_option(t, c, argv);
        if (argc - optind < 2)
                exit(3);
}

/* "daily=7", "within=1d", "within-daily=1m". */
static void add_rule(ForgetPolicy *p, char *text) {
        char *value = strchr(text, '=');
        const char *within = startswith(text, "within");
        ForgetRule rule = FORGET_LAST;

        if (!value)
                exit(3);
        *value++ = 0;
        if (!streq(text, "within"))
                rule = forget_rule_from_string(within ? text + STRLEN("within-") : text);
        if (rule < 0 || (within && forget_span_parse(value, &p->within[rule], NULL) < 0))
                exit(3);
        if (!within)
                p->keep[rule] = (uint32_t) number(value);
}

static void on_phase(void *userdata, PrunePhase phase) {
        Tool *t = userdata;
        const char *name = prune_phase_to_string(phase);

        fprintf(stderr, "phase %s\n", name);
        if (t->hook_phase && streq(t->hook_phase, name) && system(t->hook) != 0)
                exit(4);
        if (t->cancel_phase && streq(t->cancel_phase, name))
                atomic_store(&t->cancel, true);
}

static int run_forget(Tool *t, char **rules) {
        _cleanup_(repository_forget_result_done) RepositoryForgetResult r = REPOSITORY_FORGET_RESULT_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int k;

        for (; *rules; rules++)
                add_rule(&t->policy, *rules);
        t->forget.policy = &t->policy;
        t->forget.paths = t->paths;
        t->forget.tags = t->tags;
        t->forget.keep_tags = t->keep_tags;
        t->forget.now = moment_now();
        k = repository_forget(&t->forget, &r, &f);
        printf("{\"kept\":%" PRIu64 ",\"removed\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"items\":[", r.kept,
               r.removed, r.refused);
        for (size_t i = 0; i < r.n_items; i++) {
                char hex[ID_HEX_SIZE], group[ID_HEX_SIZE];

                printf("%s{\"id\":\"%s\",\"group\":\"%s\",\"reasons\":%" PRIu32 ",\"removed\":%s}",
                       i > 0 ? "," : "", id_to_hex(&r.items[i].id, hex), id_to_hex(&r.items[i].group, group),
                       r.items[i].reasons, r.items[i].removed ? "true" : "false");
        }
        puts("]}");
        return report(&f, k);
}

static void print_number(const char *name, uint64_t n) {
        printf("\"%s\":%" PRIu64 ",", name, n);
}

static int run_prune(Tool *t) {
        _cleanup_(repository_prune_result_done) RepositoryPruneResult r = REPOSITORY_PRUNE_RESULT_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        struct rusage usage = {};
        int k;

        k = repository_prune(&t->prune, &r, &f);
        (void) getrusage(RUSAGE_SELF, &usage);
        printf("{");
        print_number("snapshots", r.snapshots);
        print_number("blobs_used", r.blobs_used);
        print_number("blobs_unused", r.blobs_unused);
        print_number("blobs_duplicate", r.blobs_duplicate);
        print_number("packs_kept", r.packs_kept);
        print_number("bytes_kept", r.bytes_kept);
        print_number("bytes_kept_unused", r.bytes_kept_unused);
        print_number("packs_repacked", r.packs_repacked);
        print_number("bytes_repacked", r.bytes_repacked);
        print_number("packs_unindexed", r.packs_unindexed);
        print_number("packs_removed", r.packs_removed);
        print_number("bytes_removed", r.bytes_removed);
        print_number("packs_hidden", r.packs_hidden);
        print_number("bytes_hidden", r.bytes_hidden);
        print_number("packs_refused", r.packs_refused);
        print_number("bytes_refused", r.bytes_refused);
        print_number("indexes_written", r.indexes_written);
        print_number("indexes_removed", r.indexes_removed);
        print_number("indexes_refused", r.indexes_refused);
        print_number("bytes_written", r.bytes_written);
        printf("\"refused\":%s,\"peak\":%ld}\n", r.refusal ? "true" : "false", usage.ru_maxrss);
        return report(&f, k);
}

static int open_all(Tool *t, const char *folder, Failure *f) {
        RepositoryArgs args = { .prefix = "", .password = getenv("RESTIC_PASSWORD") };
        int r;

        r = tool_storage_open(folder, 1, &t->cancel, &t->storage, f);
        args.storage = t->storage;
        return r < 0 ? r : repository_open(&args, &t->repository, f);
}

int main(int argc, char *argv[]) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        Tool t = { .forget.group_by = FORGET_GROUP_DEFAULT, .prune.repack_max = UINT64_MAX };
        int status;

        t.prune.unused_percent = PRUNE_UNUSED_PERCENT_DEFAULT;
        parse_argv(&t, argc, argv);
        status = report(&f, open_all(&t, argv[optind], &f));
        t.forget.repository = t.prune.repository = t.repository;
        t.forget.cancel = t.prune.cancel = &t.cancel;
        t.prune.on_phase = on_phase;
        t.prune.userdata = &t;
        if (status == 0)
                status = streq(argv[optind + 1], "forget") ? run_forget(&t, argv + optind + 2) :
                                                             run_prune(&t);
        repository_free(t.repository);
        storage_free(t.storage);
        strv_free(t.paths);
        strv_free(t.tags);
        strv_free(t.keep_tags);
        return status;
}
