#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet on one master: many agents that wait on their long polls, and commands for some of them.

Prints what a waiting agent costs (memory and processor time of the API) and how long a command takes from the
dispatcher's queue to its agent. The agents are sockets of this program.
"""

import argparse
import json
import pathlib
import resource
import selectors
import socket
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position

KEY = 'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj'


class Fleet:
    """Agents that wait."""

    def __init__(self, suite, number):
        self.suite = suite
        self.selector = selectors.DefaultSelector()
        self.arrived = {}
        self.nodes = [suite.client.post('nodes', {'name': f'fleet-{i}'}) for i in range(number)]
        for i, node in enumerate(self.nodes):
            connection = socket.create_connection(('127.0.0.1', suite.port))
            self.send(connection, node, 'heartbeat', {
                'boot_id': 'b', 'agent_id': f'a{i}', 'version': '0', 'os': 'linux', 'arch': 'x',
                'hostname': 'h', 'addresses': [], 'public_key': KEY, 'capacity': 4, 'running': [],
                'free_bytes': 1, 'clock': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'tools': {}})
            answer = connection.recv(65536)
            assert b' 200 ' in answer, answer
            self.send(connection, node, 'commands/claim?wait=55',
                      {'agent_id': f'a{i}', 'capacity': 4, 'holding': []})
            self.selector.register(connection, selectors.EVENT_READ)

    @staticmethod
    def send(connection, node, path, body):
        """One request."""
        data = json.dumps(body).encode()
        connection.sendall(f'POST /api/v1/agent/{path} HTTP/1.1\r\nHost: master\r\n'
                           f'Authorization: Bearer {node["token"]}\r\nContent-Type: application/json\r\n'
                           f'Content-Length: {len(data)}\r\n\r\n'.encode() + data)

    def take(self, timeout):
        """Notes what arrives within the time."""
        for key, _ in self.selector.select(timeout):
            answer, now = key.fileobj.recv(65536), time.time() * 1e6
            body = answer.partition(b'\r\n\r\n')[2]
            for command in json.loads(body)['data']['commands'] if body else []:
                self.arrived[command['id']] = now
            self.selector.unregister(key.fileobj)


def usage(suite):
    """(seconds of processor time, KiB of memory) of the API."""
    process = pathlib.Path(f'/proc/{suite.processes["api"].process.pid}')
    fields = (process / 'stat').read_text().rpartition(')')[2].split()
    memory = next(line for line in (process / 'status').read_text().splitlines() if line.startswith('VmRSS'))
    return (int(fields[11]) + int(fields[12])) / 100, int(memory.split()[1])


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--agents', type=int, default=1000)
    parser.add_argument('--commands', type=int, default=100)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Suite() as suite:
        _, memory_before = usage(suite)
        fleet = Fleet(suite, options.agents)
        time.sleep(2)
        busy, memory = usage(suite)
        time.sleep(5)
        print(f'{options.agents} waiting agents: {(memory - memory_before) / options.agents:.1f} KiB each, '
              f'{(usage(suite)[0] - busy) / 5 * 100:.1f} % of a processor')
        target = suite.make_target()
        step = max(1, options.agents // options.commands)
        tasks = [suite.make_task(['/etc'], [target], f'task-{node["id"]}', node_id=node['id'])
                 for node in fleet.nodes[::step]]
        busy, _ = usage(suite)
        for task in tasks:
            suite.run_task(task)
            fleet.take(0)
        end = time.monotonic() + 30
        while len(fleet.arrived) < len(tasks) and time.monotonic() < end:
            fleet.take(0.2)
        database = sqlite3.connect(f'file:{suite.master_state}/backupx.db?mode=ro', uri=True)
        created = dict(database.execute('SELECT id, created FROM commands').fetchall())
        database.close()
        times = sorted((now - created[command]) / 1000 for command, now in fleet.arrived.items())
        print(f'{len(times)} of {len(tasks)} commands arrived: median {times[len(times) // 2]:.1f} ms, worst '
              f'{times[-1]:.1f} ms; {(usage(suite)[0] - busy) / len(tasks) * 1000:.1f} ms of a processor each')
    return 0 if len(times) == len(tasks) else 1


if __name__ == '__main__':
    sys.exit(main())
