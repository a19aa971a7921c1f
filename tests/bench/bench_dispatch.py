#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast the suite reacts, through the real daemons from the build tree.

First: from POST tasks/{id}/run to the job's first byte read, for a task of one small file (goal: median
under 50 ms). Second: from the moment the dispatcher has queued a command to its arrival at an agent that
waits on its long poll (goal: 99 of 100 under 10 ms); this agent is a plain client, so that its own work does
not count.

Prints the distributions. With --strict a goal that was missed is a failure; without, a busy machine is none.
"""

import argparse
import http.client
import json
import pathlib
import sqlite3
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

GOAL_FIRST_READ_MS = 50
GOAL_DELIVERY_MS = 10


def quantile(values, part):
    """The value that this part of the values does not exceed."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def report(what, values, goal, part):
    """Prints one distribution; whether the goal was met."""
    met = quantile(values, part) < goal
    print(f'{what}: median {quantile(values, 0.5):.1f} ms, p90 {quantile(values, 0.9):.1f} ms, '
          f'p99 {quantile(values, 0.99):.1f} ms, worst {max(values):.1f} ms, {len(values)} times; '
          f'goal p{part * 100:.0f} < {goal} ms: {"met" if met else "MISSED"}', flush=True)
    return met


def query(suite, sql, *parameters):
    """Rows of the master's database."""
    database = sqlite3.connect(f'file:{suite.master_state}/backupx.db?mode=ro', uri=True)
    try:
        return database.execute(sql, parameters).fetchall()
    finally:
        database.close()


def measure_first_read(suite, rounds):
    """Milliseconds from the request to the first byte."""
    source = suite.folder / 'source'
    source.mkdir()
    (source / 'file').write_bytes(b'x' * 4096)
    task = suite.make_task([source], [suite.make_target()], 'first-read')
    times, steps = [], []
    for _ in range(rounds):
        asked = time.time() * 1e6
        run = suite.run_task(task)
        suite.wait_run(run)
        row = query(suite, 'SELECT r.first_read, r.queued, c.created, c.dispatched, c.accepted FROM runs r'
                           ' JOIN commands c ON c.id = r.command_id WHERE r.id = ?', run)[0]
        times.append((row[0] - asked) / 1000)
        moments = (asked, *row[1:], row[0])
        steps.append([(after - before) / 1000 for before, after in zip(moments, moments[1:])])
    names = ('queued', 'command added', 'claimed', 'accepted', 'first byte')
    print('  medians of the steps: ' + ', '.join(
        f'{name} +{quantile([step[i] for step in steps], 0.5):.1f} ms' for i, name in enumerate(names)))
    return times


class WaitingAgent(threading.Thread):
    """Speaks the agent's protocol for a node of its own: waits, accepts, reports, and notes the arrivals."""

    def __init__(self, suite, token):
        super().__init__(daemon=True)
        self.address = suite.server.removeprefix('http://')
        self.headers = {'Authorization': f'Bearer {token}', 'Content-Type': 'application/json'}
        self.arrived = {}
        self.stopping = False
        self.ready = threading.Event()

    def call(self, connection, path, body):
        """One request over the connection that is kept; (status, data)."""
        connection.request('POST', f'/api/v1/agent/{path}', json.dumps(body), self.headers)
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data).get('data') if data else None

    def beat(self, connection, key):
        """The heartbeat that makes the node online."""
        return self.call(connection, 'heartbeat', {
            'boot_id': 'b', 'agent_id': 'bench', 'version': '0', 'os': 'linux', 'arch': 'x',
            'hostname': 'bench', 'addresses': [], 'public_key': key, 'capacity': 4, 'running': [],
            'free_bytes': 1, 'clock': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'tools': {}})

    def run(self):
        waiting, other = (http.client.HTTPConnection(self.address, timeout=90) for _ in range(2))
        key = 'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj'
        self.beat(other, key)
        self.ready.set()
        while not self.stopping:
            status, data = self.call(waiting, 'commands/claim?wait=20',
                                     {'agent_id': 'bench', 'capacity': 4, 'holding': []})
            now = time.time() * 1e6
            if status != 200:
                continue
            for command in data['commands']:
                self.arrived[command['id']] = now
                ref = {'attempt': command['attempt']}
                self.call(other, f'commands/{command["id"]}/accept', ref)
                self.call(other, f'commands/{command["id"]}/result',
                          {**ref, 'status': 'failed', 'error': {'code': 'BENCH', 'message': 'no work'},
                           'result': {}})


def measure_delivery(suite, rounds):
    """Milliseconds from the command's row to its arrival."""
    made = suite.client.post('nodes', {'name': 'bench'})
    agent = WaitingAgent(suite, made['token'])
    agent.start()
    agent.ready.wait(10)
    suite.wait_online(made['id'])
    target = suite.client.get('targets')['items'][0]['id']
    task = suite.make_task(['/etc'], [target], 'delivery', node_id=made['id'])
    for _ in range(rounds):
        suite.wait_run(suite.run_task(task))
        time.sleep(0.005)  # the agent waits again
    wait_until(lambda: len(agent.arrived) >= rounds, what='all deliveries')
    agent.stopping = True
    created = dict(query(suite, 'SELECT id, created FROM commands'))
    return [(arrived - created[command]) / 1000 for command, arrived in agent.arrived.items()]


def main():
    """Runs both measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--strict', action='store_true', help='fail when a goal is missed')
    parser.add_argument('--rounds', type=int, default=100)
    options = parser.parse_args()
    with Suite() as suite:
        met = report('tasks run to first byte', measure_first_read(suite, options.rounds),
                     GOAL_FIRST_READ_MS, 0.5)
        met = report('queued command to waiting agent', measure_delivery(suite, 2 * options.rounds),
                     GOAL_DELIVERY_MS, 0.99) and met
    return 0 if met or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
