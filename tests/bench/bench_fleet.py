#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet on one master: thousands of agents that beat and wait on their long polls, and commands for them.

Prints what a waiting agent costs (memory and processor time of the daemons), how long one command takes from
the dispatcher's queue to its agent, how long a thousand take that are queued at once, and how long a scrape
of the metrics takes, during which everybody else waits. bench-fleet plays the agents.

With --strict a goal that was missed is a failure; without, a busy machine is none.
"""

import argparse
import pathlib
import queue
import resource
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from suite import (  # noqa: E402 pylint: disable=wrong-import-position
    DAEMONS,
    Suite,
    TlsSuite,
    build_folder,
    wait_until,
)

GOAL_KIB = {False: 12, True: 20}
GOAL_PROCESSOR = 10
GOAL_DELIVERY_MS = 10
GOAL_BURST_MS = 1000
BURST = 1000
# The master's own descriptors beside its connections, see FILES_RESERVED of the API.
DESCRIPTORS_RESERVED = 256
PROGRAM = 'tests/bench/bench-fleet'


def quantile(values, part):
    """The value that this part of the values does not exceed."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


class Fleet:
    """The program that plays the agents, and what it told so far."""

    def __init__(self, suite, options):
        self.program = build_folder() / PROGRAM
        self.database = suite.master_state / 'backupx.db'
        self.tokens = suite.folder / 'tokens'
        begun = time.monotonic()
        with open(self.tokens, 'wb') as tokens:
            subprocess.run([self.program, 'nodes', self.database, str(options.agents)], stdout=tokens, check=True)
        self.nodes = [int(line.split()[0]) for line in self.tokens.read_text().splitlines()]
        print(f'{options.agents} nodes were added in {time.monotonic() - begun:.1f} s', flush=True)
        self.arrived = {}
        self.states = queue.Queue()
        self.state = [0] * 7
        command = [self.program, 'play', '127.0.0.1', str(suite.port), self.tokens, str(options.agents),
                   str(options.interval)] + (['tls'] if options.tls else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Takes what the program tells."""
        for line in self.process.stdout:
            kind, _, rest = line.strip().partition(' ')
            if kind == 'arrived':
                command, moment = rest.split()
                self.arrived.setdefault(int(command), int(moment))
            elif kind == 'state':
                self.state = [int(field) for field in rest.split()]
                self.states.put(self.state)
            else:
                print(f'  {line.strip()}', flush=True)

    def wait_waiting(self, number, timeout=300):
        """Waits until this many long polls wait."""
        wait_until(lambda: self.state[0] >= number, timeout, f'{number} waiting agents', 0.1)

    def close(self):
        """Ends the program."""
        self.process.stdin.close()
        self.process.wait(60)


class Meter:
    """Processor time and memory of the master's daemons."""

    def __init__(self, suite):
        self.suite = suite

    def processor(self):
        """Seconds of processor time, by daemon."""
        times = {}
        for name in DAEMONS:
            stat = pathlib.Path(f'/proc/{self.suite.processes[name].process.pid}/stat').read_text()
            fields = stat.rpartition(')')[2].split()
            times[name] = (int(fields[11]) + int(fields[12])) / 100
        return times

    def memory(self, name='api'):
        """KiB that are resident."""
        status = pathlib.Path(f'/proc/{self.suite.processes[name].process.pid}/status').read_text()
        return int(next(line for line in status.splitlines() if line.startswith('VmRSS')).split()[1])

    def load(self, seconds):
        """Percent of one processor that each daemon takes, over a time."""
        before = self.processor()
        time.sleep(seconds)
        return {name: (value - before[name]) / seconds * 100 for name, value in self.processor().items()}


class Goals:
    """What was measured against what was wanted."""

    def __init__(self):
        self.missed = 0

    def tell(self, what, value, goal, unit):
        """Prints one."""
        met = value < goal
        self.missed += not met
        print(f'{what}: {value:.1f} {unit}; goal < {goal} {unit}: {"met" if met else "MISSED"}', flush=True)


def query(suite, sql):
    """Rows of the master's database."""
    database = sqlite3.connect(f'file:{suite.master_state}/backupx.db?mode=ro', uri=True)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def deliveries(suite, fleet, first=0):
    """Milliseconds from each command's row to its arrival."""
    created = dict(query(suite, f'SELECT id, created FROM commands WHERE id > {first}'))
    return [(fleet.arrived[command] - moment) / 1000 for command, moment in created.items()
            if command in fleet.arrived]


def measure_single(suite, fleet, tasks, goals):
    """One command after the other, each to another node."""
    for task in tasks:
        before = len(fleet.arrived)
        suite.run_task(task)
        wait_until(lambda count=before: len(fleet.arrived) > count, 20, 'the delivery', 0.001)
    times = deliveries(suite, fleet)
    print(f'{len(times)} single commands: median {quantile(times, 0.5):.1f} ms, p90 {quantile(times, 0.9):.1f} '
          f'ms, worst {max(times):.1f} ms')
    goals.tell('one command to one of them, p99', quantile(times, 0.99), GOAL_DELIVERY_MS, 'ms')


def measure_burst(suite, fleet, tasks, goals):
    """All at once: runs, as a schedule makes them."""
    last = max(fleet.arrived)
    wait_until(lambda: not query(suite, 'SELECT 1 FROM runs WHERE state < 3 LIMIT 1'), 20, 'the end of all runs')
    before = Meter(suite).processor()
    told = subprocess.run([fleet.program, 'runs', fleet.database, str(tasks[0]), str(tasks[-1])],
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    subprocess.run(['busctl', f'--address=unix:path={suite.run}/bus', 'call', 'org.backupx.Dispatcher1',
                    '/org/backupx/Dispatcher1', 'org.backupx.Dispatcher1', 'Kick'], check=True)
    wait_until(lambda: len([c for c in fleet.arrived if c > last]) >= len(tasks), 60, 'all deliveries')
    arrivals = sorted(moment for command, moment in fleet.arrived.items() if command > last)
    times = deliveries(suite, fleet, last)
    queued = int(told.split()[1])
    used = {name: value - before[name] for name, value in Meter(suite).processor().items()}
    print(f'{len(times)} at once: from command to agent median {quantile(times, 0.5):.0f} ms, worst '
          f'{max(times):.0f} ms; first arrival {(arrivals[0] - queued) / 1000:.0f} ms after the runs were queued; '
          + ', '.join(f'{name} {value:.2f} s' for name, value in used.items()) + ' of a processor')
    goals.tell(f'{len(times)} runs at once, to the last arrival', (arrivals[-1] - queued) / 1000, GOAL_BURST_MS,
               'ms')
    wait_until(lambda: not query(suite, 'SELECT 1 FROM runs WHERE state < 3 LIMIT 1'), 60, 'the end of all runs')


def measure_scrapes(suite):
    """How long everybody waits while metrics are written."""
    times = []
    for _ in range(5):
        begun = time.monotonic()
        status, _, data = suite.client.raw('GET', '/metrics')
        assert status == 200, status
        times.append((time.monotonic() - begun) * 1000)
    print(f'a scrape of the metrics: {len(data) / 1024:.0f} KiB, median {quantile(times, 0.5):.0f} ms, worst '
          f'{max(times):.0f} ms', flush=True)


def measure(suite, options, goals):
    """Everything, in order."""
    meter = Meter(suite)
    before = meter.memory()
    fleet = Fleet(suite, options)
    try:
        begun = time.monotonic()
        fleet.wait_waiting(options.agents * 0.999)  # a few are between two polls at any moment
        print(f'{options.agents} agents came in {time.monotonic() - begun:.1f} s, '
              f'{meter.processor()["api"]:.1f} s of a processor of the API', flush=True)
        time.sleep(2 * options.interval)
        fleet.wait_waiting(options.agents * 0.99)
        goals.tell(f'{options.agents} waiting agents with {fleet.state[6]} connections, memory of the API each',
                   (meter.memory() - before) / options.agents, GOAL_KIB[options.tls], 'KiB')
        load = meter.load(2 * options.interval)
        print('processors: ' + ', '.join(f'{name} {value:.1f} %' for name, value in load.items())
              + f'; a heartbeat is answered in {fleet.state[4] / 1000:.1f} ms')
        goals.tell('processor of the API while idle', load['api'], GOAL_PROCESSOR, '%')
        target = suite.make_target()
        step = max(1, options.agents // BURST)
        tasks = [suite.make_task(['/etc'], [target], f'task-{node}', node_id=node)
                 for node in fleet.nodes[::step][:BURST]]
        measure_single(suite, fleet, tasks[:options.commands], goals)
        measure_burst(suite, fleet, tasks, goals)
        measure_scrapes(suite)
        wait_until(lambda: fleet.state[6] <= options.agents, 120, 'the end of second connections', 0.5)
        goals.tell('the same when all of them wait again, memory of the API each',
                   (meter.memory() - before) / options.agents, GOAL_KIB[options.tls], 'KiB')
        print(f'errors of agents: {fleet.state[3]}')
        goals.missed += fleet.state[3] > 0
    finally:
        fleet.close()


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--strict', action='store_true', help='fail when a goal is missed')
    parser.add_argument('--agents', type=int, default=1000)
    parser.add_argument('--interval', type=int, default=15, help='seconds between two heartbeats')
    parser.add_argument('--commands', type=int, default=200, help='that are sent one by one')
    parser.add_argument('--tls', action='store_true')
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = options.agents + BURST  # those that have something to do take a second one
    if connections > hard - DESCRIPTORS_RESERVED:
        parser.error(f'{hard} open files are allowed here: too few')
    goals = Goals()
    environment = {'BACKUPX_LOG_LEVEL': 'notice',
                   'BACKUPX_SERVER_CONNECTIONS': connections + 200}
    with (TlsSuite if options.tls else Suite)(agent=False, environment=environment) as suite:
        measure(suite, options, goals)
    return 0 if goals.missed == 0 or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
