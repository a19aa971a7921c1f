#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a person who looks at a directory of a node waits: from the request to the whole answer, through
the real daemons, the real agent and a job for each. On an idle node, and while backups fill the node
(goals: median under 250 ms idle, 99 of 100 under 1 s while backups run).

Prints the distributions. With --strict a goal that was missed is a failure; without, a busy machine is none.
"""

import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from bench_dispatch import report  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position

GOAL_IDLE_MS = 250
GOAL_BUSY_MS = 1000
MIB = 1 << 20


def ask(suite, path='/etc'):
    """Milliseconds of one listing."""
    start = time.monotonic()
    page = suite.client.get(f'nodes/1/directories?path={path}')
    took = (time.monotonic() - start) * 1000
    assert page['items']
    return took


def fill(suite, size):
    """Runs that take all places of the node and last: all of them, once they run."""
    source = suite.folder / 'source'
    source.mkdir()
    block = os.urandom(MIB)
    with open(source / 'file', 'wb') as file:
        for _ in range(size):
            file.write(block)
    target = suite.make_target()
    slow = {'algorithm': 'zstd', 'level': 19}
    tasks = [
        suite.make_task([source], [target], f'fill-{i}', compression=slow)
        for i in range(suite.node()['host']['capacity'])
    ]
    runs = [suite.run_task(task) for task in tasks]
    for run in runs:
        suite.wait_run(run, states=('running',))
    return runs


def main():
    """Both measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--strict', action='store_true', help='fail when a goal is missed')
    parser.add_argument('--rounds', type=int, default=200)
    parser.add_argument('--size', type=int, default=256, help='MiB of each backup')
    options = parser.parse_args()
    with Suite() as suite:
        idle = [ask(suite) for _ in range(options.rounds)]
        met = report('directory of an idle node', idle, GOAL_IDLE_MS, 0.5)
        runs = fill(suite, options.size)
        busy = []
        while len(busy) < options.rounds:
            busy.append(ask(suite))
            states = {suite.client.get(f'runs/{run}')['state'] for run in runs}
            if states != {'running'}:
                print(f'  a backup ended after {len(busy)} rounds: take a larger --size')
                busy.pop()
                break
        met = report(f'directory while {len(runs)} backups run', busy, GOAL_BUSY_MS, 0.99) and met
        for run in runs:
            suite.client.post(f'runs/{run}/cancel')
        for run in runs:
            suite.wait_run(run)
    return 0 if met or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
