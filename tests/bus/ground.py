# SPDX-License-Identifier: Apache-2.0
"""Private ground for the scheduler and the dispatcher: a bus, sockets, a store, and tools to act as
the API and as an agent."""

import contextlib
import json
import os
import pathlib
import select
import sqlite3
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests' / 'lib'))

from processes import Failed, clean_environment  # noqa: E402
from suite import Suite, wait_until  # noqa: E402

KEYS = {
    # Recipients of identities that nobody keeps: what is sealed to them is not opened here.
    'first': 'age1597gkqgrxumvqvd8hlcl7k2s4rzkcedgvw7j7c54kymfttzwxf0s2rewxs',
    'second': 'age14rw4a09kfyz562ss7seksyndhlkk3csw8g00qeqw4pvzkn5k0fhqhf32yx',
}

SCHEDULER = ('org.backupx.Scheduler1', '/org/backupx/Scheduler1')
DISPATCHER = ('org.backupx.Dispatcher1', '/org/backupx/Dispatcher1')


class Ground(Suite):
    """The scheduler and the dispatcher alone."""

    def __init__(self, **more):
        super().__init__(agent=False, **more)

    def start(self, daemons=('scheduler', 'dispatcher')):
        """Starts the bus and the daemons that are named."""
        for folder in (self.run, self.master_state, self.folder / 'keys'):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.start_bus()
        self.make_keys()
        self.store('init')
        for name in daemons:
            self.start_daemon(name)
        return self

    def stop(self):
        """Ends the daemons; each has to end well: so a sanitizer says that it found nothing."""
        daemons = [p for name, p in self.processes.items() if name != 'bus' and p.running()]
        super().stop()
        for process in daemons:
            if process.process.returncode != 0:
                raise Failed(f'{process.name} ended with status {process.process.returncode}:\n'
                             f'{process.tail()}')

    def tool(self, name, *arguments, check=True, **more):
        """Runs one of the tools of this folder; its output."""
        result = subprocess.run([self.build / 'tests' / 'bus' / name, *map(str, arguments)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                                timeout=180, env=clean_environment(), **more)
        if check and result.returncode != 0:
            raise Failed(f'{name} {arguments}: {result.stdout}{result.stderr}\n{self.tails()}')
        return result.stdout.strip()

    def store(self, verb, *arguments, check=True):
        """Acts on the store; what it printed, parsed."""
        text = self.tool('store-tool', self.master_state / 'backupx.db', verb, *arguments, check=check)
        return json.loads(text) if text else None

    def door(self, daemon, interface, member, signature='', *arguments, check=True):
        """Calls through a private door; the values as text."""
        name = 'scheduler' if daemon is SCHEDULER else 'dispatcher'
        extra = [signature, *arguments] if signature else []
        return self.tool('bus-door', self.run / f'{name}.sock', 'call', daemon[1], interface, member, *extra,
                         check=check)

    def busctl(self, *arguments, check=True, **more):
        """Runs busctl on the private bus."""
        result = subprocess.run(['busctl', f'--address=unix:path={self.run}/bus', *map(str, arguments)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                timeout=120, **more)
        if check and result.returncode != 0:
            raise Failed(f'busctl {arguments}: {result.stdout}')
        return result.stdout.strip()

    def property(self, daemon, name):
        """A property on the private bus, with its type."""
        return self.busctl('get-property', *daemon, daemon[0], name)

    def call(self, daemon, member, *arguments, interface=None, check=True, **more):
        """Calls a method on the private bus."""
        return self.busctl('call', daemon[0], daemon[1], interface or daemon[0], member, *arguments,
                           check=check, **more)

    @contextlib.contextmanager
    def watch(self, daemon, seconds=300):
        """Collects the signals of a private door; gives a list that grows."""
        name = 'scheduler' if daemon is SCHEDULER else 'dispatcher'
        command = [self.build / 'tests' / 'bus' / 'bus-door', self.run / f'{name}.sock', 'watch',
                   str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        try:
            assert process.stdout.readline() == b'ready\n'
            yield Signals(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    # --- situations ---

    def make_task_row(self, name='etc', node=1, encryption='none', schedule=(), target=None):
        """A task with its target; its id."""
        if target is None:
            target = self.store('target', f'disk-of-{name}', 'local', '{"path":"/srv/backup"}')
        return self.store('task', name, node, target, encryption, *schedule)

    def pin(self, node=1, key='first'):
        """Offers a key for a node; whether it is pinned."""
        answer = self.door(DISPATCHER, 'org.backupx.Internal.Dispatcher1', 'PinKey', 'ts', node,
                           KEYS.get(key, key))
        return answer == 'true'

    def queue(self, task=None, **request):
        """Asks for a run as the API does, of a task or a restore; its id."""
        request = {'by': {'user_id': 0, 'username': 'ann', 'address': '::1'}, **request}
        request.update({'kind': 'backup', 'task_id': task} if task else {'kind': 'restore'})
        return int(self.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'QueueRun', 's',
                             json.dumps(request)))

    def sql(self, statement, *values):
        """Changes a row behind everybody's back."""
        with contextlib.closing(sqlite3.connect(self.master_state / 'backupx.db', timeout=60)) as database:
            with database:
                return database.execute(statement, values).fetchall()

    def state(self, run):
        """The state of a run."""
        return self.store('run', run)['state']

    def wait_state(self, run, *states, timeout=120):
        """Waits until a run is in one of the states; the run."""
        with_tails = f'run {run} being {" or ".join(states)}'
        try:
            wait_until(lambda: self.state(run) in states, timeout, with_tails)
        except Failed as error:
            raise Failed(f'{error}; it is {self.store("run", run)}\n{self.tails()}') from None
        return self.store('run', run)

    def claim(self, node=1, timeout=120):
        """Claims what waits for a node, and waits for something to wait."""
        return wait_until(lambda: self.store('claim', node), timeout, f'a command for node {node}')

    def finish(self, command, state='succeeded', targets=None, code='', error='', **result):
        """Ends a claimed command with a result that fits its spec."""
        spec = json.loads(command['spec'])
        digest = '00' * 32
        if targets is None and command['kind'] == 'backup':
            targets = [{'target_id': t['id'], 'state': 'succeeded', 'size': 9, 'sha256': digest,
                        'key': f'{t["prefix"]}{command["attempt"]}/'} for t in spec['targets']]
        body = {'bytes_read': 1, 'bytes_written': 1, 'files': 1, 'skipped': 0, 'errors': [],
                'errors_total': 0, 'objects': [], 'manifest_sha256': digest, 'targets': targets or [],
                **result}
        self.store('finish', command['node'], command['id'], command['attempt'], state, code, error,
                   json.dumps(body))


class Signals:
    """Signals as they come."""

    def __init__(self, process):
        self.process = process
        self.rest = b''
        self.seen = []

    def wait(self, *expected, timeout=120):
        """Waits for signals that are like these lines, in any order."""
        end = time.monotonic() + timeout
        while not all(line in self.seen for line in expected):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f'waited for {expected}, saw {self.seen}')
            *lines, self.rest = (self.rest + os.read(self.process.stdout.fileno(), 65536)).split(b'\n')
            self.seen += [line.decode().strip() for line in lines]
        return self.seen
