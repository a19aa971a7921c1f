# SPDX-License-Identifier: Apache-2.0
"""A booted guest in which the suite of a build is installed, as a package would install it."""

import json
import os
import subprocess
import sys

from guest import Guest, why_not
from processes import Failed
from suite import FINAL_STATES, build_folder

SKIP = 77
SERVER = 'http://127.0.0.1:8340'
DAEMONS = ('api', 'scheduler', 'dispatcher')


def skip_where_impossible():
    """Ends the test program as skipped where no guest can be booted."""
    reason = why_not()
    if reason:
        print(f'no guest: {reason}')
        sys.exit(SKIP)


class InstalledGuest(Guest):
    """A master with its own agent."""

    def __init__(self, name='master', network=None):
        super().__init__(name, network)
        self.token = None

    def boot(self, timeout=180):
        """Installs the suite into the root before it boots."""
        result = subprocess.run(
            [
                'meson',
                'install',
                '-C',
                str(build_folder()),
                '--no-rebuild',
                '--quiet',
                '--destdir',
                str(self.root),
            ],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode != 0:
            raise Failed(f'meson install failed:\n{result.stdout}')
        super().boot(timeout)
        self.run('systemd-sysusers')
        self.run('systemd-tmpfiles', '--create', 'backupx-master.conf', 'backupx-agent.conf')
        self.run('journalctl', '--update-catalog')

    def start_suite(self):
        """Starts the target and its agent, makes the first administrator and an API key."""
        self.run('systemctl', 'enable', '--now', 'backupx.target', 'backupx-agent.service')
        self.wait(lambda: self.curl('/health')[0] == 200, what='an answer of the API')
        self.set_up()
        self.wait(lambda: self.get('nodes/1').get('status') == 'online', what='the agent being online')

    def set_up(self):
        """The first administrator, and a key for the tests."""
        password = {'username': 'admin', 'password': 'a password for tests'}
        self.post('setup', password)
        self.token = self.post('auth/login', password)['token']
        self.token = self.post('api-keys', {'name': 'tests', 'role': 'admin'})['key']

    def curl(self, path, method='GET', body=None):
        """(status, decoded answer) of a request from inside."""
        command = ['curl', '-sS', '-m', '30', '-X', method, '-w', '\n%{http_code}', SERVER + path]
        if self.token:
            command += ['-H', f'Authorization: Bearer {self.token}']
        if body is not None:
            command += ['-H', 'Content-Type: application/json', '--data-binary', '@-']
        result = self.run(*command, check=False, stdin=None if body is None else json.dumps(body))
        text, _, status = result.stdout.rpartition('\n')
        if result.returncode != 0:
            return 0, result.stderr
        try:
            return int(status), json.loads(text) if text else None
        except ValueError:
            return int(status), text

    def call(self, method, path, body=None):
        """The data of a successful answer."""
        status, answer = self.curl(f'/api/v1/{path}', method, body)
        if not 200 <= status < 300:
            raise Failed(f'{method} {path}: {status} {answer}')
        return answer.get('data') if answer else None

    def get(self, path):
        """GET."""
        return self.call('GET', path)

    def post(self, path, body=None):
        """POST."""
        return self.call('POST', path, {} if body is None else body)

    def make_target(self, name, path=None, kind='local', **config):
        """Creates a target below the directory that jobs may write to."""
        if kind == 'local':
            config['path'] = path or f'/var/lib/backupx-agent/storage/{name}'
            if not path:
                self.run('install', '-d', '-o', 'backupx', '-g', 'backupx', '-m', '0700', config['path'])
        return self.post('targets', {'name': name, 'type': kind, 'config': config})['id']

    def make_task(self, name, paths, targets, **more):
        """Creates a task of files on the node local."""
        source = {'paths': list(paths), **more.pop('source', {})}
        return self.post(
            'tasks',
            {
                'name': name,
                'type': 'file',
                'source': source,
                'target_ids': list(targets),
                'format': 'archive',
                'compression': {'algorithm': 'zstd', 'level': 1},
                'encryption': 'none',
                **more,
            },
        )['id']

    def start_run(self, task):
        """Starts a task; the run's number."""
        return self.post(f'tasks/{task}/run')['run_id']

    def wait_run(self, run, states=FINAL_STATES, timeout=240):
        """Waits until a run is in one of the states; the run."""
        found = {}

        def reached():
            status, answer = self.curl(f'/api/v1/runs/{run}')
            if status == 200:
                found.update(answer['data'])
            return found.get('state') in states

        try:
            self.wait(reached, timeout, f'run {run} being {" or ".join(states)}')
        except Failed as error:
            raise Failed(f'{error}; it is {found.get("state")}\n{self.journal("-n", "80")}') from None
        return found

    def restore(self, run, path, **more):
        """Restores a run into a directory of the guest; the run of the restore."""
        body = {'destination': {'node_id': 1, 'path': path}, 'paths': [], 'conflict': 'fail', **more}
        return self.wait_run(self.post(f'runs/{run}/restore', body)['run_id'])

    def main_pid(self, unit):
        """The main process of a unit, as the guest numbers it."""
        return int(self.show(unit, 'MainPID'))

    def path(self, inside):
        """A path of the guest as this machine sees it; below /run, /dev and /tmp the guest has its own."""
        return os.path.join(self.root, inside.lstrip('/'))
