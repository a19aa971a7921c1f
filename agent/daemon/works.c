/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/launch.h"
#include "agent/daemon/works.h"
#include "base/alloc.h"
#include "wire/agent.h"

Work *works_find(Work *first, WorkName name) {
        for (Work *w = first; w; w = w->next)
                if (w->name.command == name.command && w->name.attempt == name.attempt)
                        return w;
        return NULL;
}

bool works_has_attempt(const Work *first, WorkName name) {
        for (const Work *w = first; w; w = w->next)
                if (w->name.command == name.command && w->name.attempt >= name.attempt)
                        return true;
        return false;
}

bool works_has_lost(const Work *first) {
        for (const Work *w = first; w; w = w->next)
                if (w->state == WORK_LOST)
                        return true;
        return false;
}

unsigned works_count_jobs(const Work *first) {
        unsigned n = 0;

        for (const Work *w = first; w; w = w->next)
                if (work_state_takes_place(w->state))
                        n++;
        return n;
}

unsigned works_count_heavy(const Work *first) {
        unsigned n = 0;

        for (const Work *w = first; w; w = w->next)
                if (work_state_takes_place(w->state) && !launch_is_probe(w->kind))
                        n++;
        return n;
}

AgentPlaces works_places_left(const Work *first, AgentPlaces places) {
        for (const Work *w = first; w; w = w->next) {
                unsigned *place = launch_is_probe(w->kind) ? &places.probes : &places.heavy;

                if (work_state_takes_place(w->state) && *place > 0)
                        (*place)--;
        }
        return places;
}

bool works_hold_up_exit(const Work *first) {
        for (const Work *w = first; w; w = w->next)
                if (w->pid > 0 || (w->state == WORK_REPORTING && w->stopped))
                        return true;
        return false;
}

static int add_name(json_t *list, const Work *w) {
        json_int_t command = (json_int_t) w->name.command, attempt = (json_int_t) w->name.attempt;

        if (json_array_size(list) >= AGENT_HOLDING_MAX)
                return 0;
        return json_append(list, json_pack("{s:I, s:I}", "command", command, "attempt", attempt));
}

json_t *works_to_json(const Work *first, WorkStateFilter which) {
        _cleanup_json_ json_t *list = json_array();

        assert(which);

        for (const Work *w = first; list && w; w = w->next)
                if (which(w->state) && add_name(list, w) < 0)
                        return NULL;
        return TAKE_PTR(list);
}

json_t *works_unstarted_to_json(const Work *first) {
        _cleanup_json_ json_t *list = json_array();

        for (const Work *w = first; list && w; w = w->next)
                if (w->state == WORK_LOST && w->unstarted && add_name(list, w) < 0)
                        return NULL;
        return TAKE_PTR(list);
}
