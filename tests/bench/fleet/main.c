/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

#include "tests/bench/fleet/fleet.h"

static int usage(void) {
        fprintf(stderr, "bench-fleet nodes DATABASE NUMBER\n"
                        "bench-fleet runs DATABASE FIRST-TASK LAST-TASK\n"
                        "bench-fleet play HOST PORT TOKENS AGENTS INTERVAL [tls]\n");
        return EXIT_FAILURE;
}

static int end(int r) {
        if (r != 0)
                fprintf(stderr, "bench-fleet: %s\n", r < 0 ? strerror(-r) : "the store refused it");
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int play(char *argv[]) {
        FleetOptions o = { .host = argv[0], .tokens = argv[2], .tls = argv[5] };
        uint32_t port, agents, interval;

        if (parse_u32(argv[1], 1, UINT16_MAX, &port) < 0 || parse_u32(argv[3], 1, 100000, &agents) < 0 ||
            parse_u32(argv[4], 1, 3600, &interval) < 0)
                return usage();
        o.port = (uint16_t) port;
        o.agents = agents;
        o.interval = interval;
        return end(fleet_play(&o));
}

int main(int argc, char *argv[]) {
        uint64_t first, last;
        uint32_t n;

        if (argc == 4 && strcmp(argv[1], "nodes") == 0 && parse_u32(argv[3], 1, 100000, &n) >= 0)
                return end(fleet_add_nodes(argv[2], n));
        if (argc == 5 && strcmp(argv[1], "runs") == 0 && parse_u64(argv[3], 1, INT64_MAX, &first) >= 0 &&
            parse_u64(argv[4], first, INT64_MAX, &last) >= 0)
                return end(fleet_queue_runs(argv[2], first, last));
        if ((argc == 7 || (argc == 8 && strcmp(argv[7], "tls") == 0)) && strcmp(argv[1], "play") == 0)
                return play(argv + 2);
        return usage();
}
