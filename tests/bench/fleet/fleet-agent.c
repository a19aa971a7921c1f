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

static unsigned per_agent(const Agent *a) {
        return a->fleet->options.connections;
}

static Link *poll_link(Agent *a) {
        return &a->links[0];
}

static Link *talk_link(Agent *a) {
        return &a->links[per_agent(a) - 1];
}

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
        char body[BODY_MAX], path[64];
        uint64_t wait = WAIT_SEC;
        size_t n;

        if (per_agent(a) == 1)
                wait = (usec_sub(a->beat_due, now) + USEC_PER_SEC - 1) / USEC_PER_SEC;
        (void) snprintf(path, sizeof(path), "commands/claim?wait=%" PRIu64, wait);
        n = (size_t) snprintf(body, sizeof(body),
                              "{\"agent_id\":\"fleet-%" PRIu64 "\",\"capacity\":2,\"holding\":[", a->node);
        for (unsigned i = 0; i < a->n_work; i++)
                n += (size_t) snprintf(body + n, sizeof(body) - n,
                                       "%s{\"command\":%" PRIu64 ",\"attempt\":%" PRIu64 "}",
                                       i > 0 ? "," : "",
                                       a->work[i].command, a->work[i].attempt);
        (void) snprintf(body + n, sizeof(body) - n, "]}");
        a->fleet->claims++;
        link_ask(l, ASKED_CLAIM, path, body);
}

static void say_work(Agent *a, Link *l) {
        char body[BODY_MAX], path[64];
        const Work *w = &a->work[0];

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
        link_ask(l, w->is_accepted ? ASKED_RESULT : ASKED_ACCEPT, path, body);
}

void agent_go_on(Agent *a, usec_t now) {
        Link *talk = talk_link(a), *polls = poll_link(a);

        if (is_idle(talk) && (!a->beaten || now >= a->beat_due))
                say_beat(a, talk);
        if (is_idle(talk) && a->n_work > 0)
                say_work(a, talk);
        if (is_idle(polls) && a->beaten)
                say_claim(a, polls, now);
}

void agent_start(Agent *a) {
        for (unsigned i = 0; i < per_agent(a); i++)
                link_open(&a->links[i]);
}

void agent_failed(Link *l, const char *why) {
        Agent *a = l->agent;

        a->fleet->errors++;
        if (a->fleet->errors <= FAILURES_TOLD)
                printf("error node %" PRIu64 ": %s\n", a->node, why);
        link_close(l);
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
                agent_failed(poll_link(a), "the answer is no JSON");
                return;
        }
        commands = json_object_get(json_object_get(json, "data"), "commands");
        json_array_foreach(commands, i, command) {
                note_work(a, command, wall);
        }
}

static void end_work(Agent *a) {
        a->n_work--;
        memmove(a->work, a->work + 1, a->n_work * sizeof(Work));
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
                a->work[0].is_accepted = true;
                break;
        case ASKED_RESULT:
                end_work(a);
                break;
        case ASKED_NOTHING:
        case ASKED_CONNECT:
                break;
        }
        agent_go_on(a, now);
}
