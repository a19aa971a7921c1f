/* SPDX-License-Identifier: Apache-2.0 */

/* What one agent says next. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "wire/json.h"

#include "tests/bench/fleet/fleet.h"

#define WAIT_SEC 50U
#define FAILURES_TOLD 10U
#define BODY_MAX 4096U
#define RETRY_USEC USEC_PER_SEC
/* As the agent has it: how early a heartbeat takes its chance, how late it takes a connection of its own,
 * and how long one is kept that nothing is said over. */
#define SOON_USEC (1200 * USEC_PER_MSEC)
#define PATIENCE_USEC USEC_PER_SEC
#define KEPT_USEC (10 * USEC_PER_SEC)
/* A job takes a time between these. */
#define JOB_MIN_USEC (500 * USEC_PER_MSEC)
#define JOB_MAX_USEC (4 * USEC_PER_SEC)

/* What the real agent does with its connections (agent/daemon/claim.h): one for everything while nothing
 * runs, and a second one for what is said while a long poll waits. */
static bool is_idle(const Link *l) {
        return l->fd >= 0 && l->asked == ASKED_NOTHING;
}

static void say_beat(Agent *a, Link *l) {
        char body[BODY_MAX], clock[RFC3339_MAX];

        (void) snprintf(body, sizeof(body),
                        "{\"boot_id\":\"0f7b1c4e-3ad1-4a0e-9c31-%012" PRIx64
                        "\",\"agent_id\":\"fleet-%" PRIu64
                        "\",\"version\":\"" BACKUPX_VERSION "\",\"os\":\"linux\",\"arch\":\"amd64\","
                        "\"hostname\":\"host-%" PRIu64 "\",\"addresses\":[\"192.0.2.17\",\"2001:db8::17\"],"
                        "\"public_key\":\"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\","
                        "\"capacity\":2,\"running\":[],\"free_bytes\":%" PRIu64
                        ",\"clock\":\"%s\",\"tools\":{\"mysqldump\":\"10.11.6\","
                        "\"pg_dump\":\"15.6\"}}",
                        a->node, a->node, a->node, UINT64_C(100000000000) + a->fleet->beats * 4096,
                        format_rfc3339(clock, now_usec(CLOCK_REALTIME)));
        a->beat_due = now_usec(CLOCK_MONOTONIC) + a->fleet->options.interval * USEC_PER_SEC;
        link_ask(l, ASKED_BEAT, "heartbeat", body);
}

static void say_claim(Agent *a, Link *l, usec_t now) {
        uint64_t wait = usec_sub(a->beat_due, now) / USEC_PER_SEC;
        char body[BODY_MAX], path[64];
        size_t n;

        (void) snprintf(path, sizeof(path), "commands/claim?wait=%" PRIu64,
                        CLAMP(wait, UINT64_C(1), (uint64_t) WAIT_SEC));
        n = (size_t) snprintf(body, sizeof(body),
                              "{\"agent_id\":\"fleet-%" PRIu64 "\",\"capacity\":2,\"holding\":[", a->node);
        for (unsigned i = 0; i < a->n_work; i++)
                n += (size_t) snprintf(body + n, sizeof(body) - n,
                                       "%s{\"command\":%" PRIu64 ",\"attempt\":%" PRIu64 "}",
                                       i > 0 ? "," : "", a->work[i].command, a->work[i].attempt);
        (void) snprintf(body + n, sizeof(body) - n, "]}");
        a->fleet->claims++;
        link_ask(l, ASKED_CLAIM, path, body);
}

static Work *find_work(Agent *a, uint64_t command) {
        for (unsigned i = 0; i < a->n_work; i++)
                if (a->work[i].command == command)
                        return &a->work[i];
        return NULL;
}

/* What is to be accepted, or has ended by now; NULL: nothing. */
static Work *next_work(Agent *a, bool accepted, usec_t now) {
        for (unsigned i = 0; i < a->n_work; i++) {
                Work *w = &a->work[i];

                if (!w->is_said && w->is_accepted == accepted && (!accepted || now >= w->ends))
                        return w;
        }
        return NULL;
}

static void say_work(Link *l, Work *w) {
        char body[BODY_MAX], path[64];

        (void) snprintf(path, sizeof(path), "commands/%" PRIu64 "/%s", w->command,
                        w->is_accepted ? "result" : "accept");
        if (w->is_accepted)
                (void) snprintf(body, sizeof(body),
                                "{\"attempt\":%" PRIu64
                                ",\"status\":\"failed\",\"error\":{\"code\":\"BENCH\","
                                "\"message\":\"no work\"},\"result\":{}}",
                                w->attempt);
        else
                (void) snprintf(body, sizeof(body), "{\"attempt\":%" PRIu64 "}", w->attempt);
        w->is_said = true;
        l->command = w->command;
        link_ask(l, w->is_accepted ? ASKED_RESULT : ASKED_ACCEPT, path, body);
}

/* While the long poll waits. */
static void go_on_beside(Agent *a, Link *l, usec_t now) {
        bool beat = a->beaten && now >= a->beat_due + PATIENCE_USEC;
        Work *w = next_work(a, /* accepted= */ true, now);

        if (!w && !beat)
                return;
        if (l->fd < 0 && now >= l->retry_at)
                link_open(l);
        if (!is_idle(l))
                return;
        if (beat)
                say_beat(a, l);
        else
                say_work(l, w);
}

void agent_go_on(Agent *a, usec_t now) {
        Link *main = &a->links[0], *side = &a->links[1];
        Work *w;

        if (!is_idle(main)) {
                if (main->asked == ASKED_CLAIM)
                        go_on_beside(a, side, now);
                return;
        }
        if (side->asked == ASKED_NOTHING && side->fd >= 0 && now >= side->since + KEPT_USEC)
                link_close(side);
        w = next_work(a, /* accepted= */ false, now) ?: next_work(a, /* accepted= */ true, now);
        if (w)
                say_work(main, w);
        else if (!a->beaten || now + SOON_USEC >= a->beat_due)
                say_beat(a, main);
        else if (side->asked == ASKED_NOTHING || side->asked == ASKED_CONNECT)
                say_claim(a, main, now);
}

void agent_look(Agent *a, usec_t now) {
        if (a->links[0].fd < 0 && now >= a->links[0].retry_at) {
                if (a->fleet->connecting < FLEET_CONNECTING_MAX)
                        link_open(&a->links[0]);
                return;
        }
        if (a->beaten && (a->n_work > 0 || now >= a->beat_due))
                agent_go_on(a, now);
}

void agent_start(Agent *a) {
        link_open(&a->links[0]);
}

void agent_failed(Link *l, const char *why) {
        Agent *a = l->agent;

        a->fleet->errors++;
        if (a->fleet->errors <= FAILURES_TOLD)
                printf("error node %" PRIu64 ": %s\n", a->node, why);
        link_close(l);
        if (find_work(a, l->command))
                find_work(a, l->command)->is_said = false;
        l->retry_at = now_usec(CLOCK_MONOTONIC) + RETRY_USEC;
}

/* --- Answers -------------------------------------------------------------------------------------- */

static void note_work(Agent *a, const json_t *command, usec_t wall) {
        uint64_t id = (uint64_t) json_integer_value(json_object_get(command, "id"));
        Work *grown;

        printf("arrived %" PRIu64 " %" PRIu64 "\n", id, wall);
        if (a->n_work >= FLEET_WORK_MAX)
                return;
        grown = realloc(a->work, (a->n_work + 1) * sizeof(Work));
        if (!grown)
                return;
        a->work = grown;
        a->work[a->n_work++] = (Work){
                .command = id,
                .attempt = (uint64_t) json_integer_value(json_object_get(command, "attempt")),
        };
}

static void take_commands(Agent *a, const char *body, size_t n) {
        usec_t wall = now_usec(CLOCK_REALTIME);
        _cleanup_json_ json_t *json = NULL;
        const json_t *commands, *command;
        size_t i;

        if (json_parse_strict(body, n, JSON_DEPTH_DEFAULT, &json, NULL) < 0) {
                agent_failed(&a->links[0], "the answer is no JSON");
                return;
        }
        commands = json_object_get(json_object_get(json, "data"), "commands");
        json_array_foreach(commands, i, command) {
                note_work(a, command, wall);
        }
}

static void note_accepted(Agent *a, uint64_t command, usec_t now) {
        Work *w = find_work(a, command);

        if (!w)
                return;
        w->is_accepted = true;
        w->is_said = false;
        w->ends = now + JOB_MIN_USEC + (uint64_t) rand() % (JOB_MAX_USEC - JOB_MIN_USEC);
}

static void end_work(Agent *a, uint64_t command) {
        Work *w = find_work(a, command);

        if (!w)
                return;
        *w = a->work[--a->n_work];
        if (a->n_work == 0)
                a->work = mfree(a->work);
}

static void note_beat(Agent *a, usec_t took) {
        Fleet *f = a->fleet;

        if (!a->beaten) /* spread over the interval, as a fleet that was not started at once */
                a->beat_due = now_usec(CLOCK_MONOTONIC) +
                                (uint64_t) rand() % (f->options.interval * USEC_PER_SEC) + USEC_PER_SEC;
        a->beaten = true;
        f->beats++;
        f->beats_told++;
        f->beat_sum += took;
        f->beat_worst = MAX(f->beat_worst, took);
}

void agent_answered(Link *l, Asked asked, unsigned status, const char *body, size_t n) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        Agent *a = l->agent;

        if (status != 200 && status != 204) {
                char text[128];

                (void) snprintf(text, sizeof(text), "status %u (%.*s)", status,
                                (int) MIN(n, (size_t) 80), body);
                agent_failed(l, text);
                return;
        }
        switch (asked) {
        case ASKED_BEAT:
                note_beat(a, now - l->since);
                break;
        case ASKED_CLAIM:
                if (status == 200)
                        take_commands(a, body, n);
                break;
        case ASKED_ACCEPT:
                note_accepted(a, l->command, now);
                break;
        case ASKED_RESULT:
                end_work(a, l->command);
                break;
        case ASKED_NOTHING:
        case ASKED_CONNECT:
                break;
        }
        agent_go_on(a, now);
}
