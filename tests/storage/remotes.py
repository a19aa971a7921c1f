# SPDX-License-Identifier: Apache-2.0
"""What the tests of storage over the network share."""

import json
import os
import shutil
import subprocess
import time

import backups
import servers
import trees

MIB = 1 << 20
STORAGE_DO = os.path.join(backups.BUILD, 'tests', 'storage', 'storage-do')
TEMP = '.backupx-tmp'


class RemoteCase(backups.Case):
    """Targets of a server, through the tools."""

    NEEDS = ()

    def setUp(self):
        super().setUp()
        self.root_only()
        self.needs(*self.NEEDS)
        # The server's user has to get there.
        os.chmod(self.folder, 0o755)

    def needs(self, *programs):
        if not servers.have(*programs):
            self.skipTest(f'needs {", ".join(programs)}')

    def write_target(self, target):
        path = self.path('target.json')
        servers.write(path, json.dumps(target), 0o600)
        return path

    def command(self, target, *words, stall=0, cancel_after=0):
        return [STORAGE_DO, '--stall', str(stall), '--cancel-after', str(cancel_after),
                self.write_target(target), *words]

    def do(self, target, *words, data=b'', code=None, field=None, says='', **options):
        """One operation; its output, or the failure that was expected."""
        done = subprocess.run(self.command(target, *words, **options), input=data, capture_output=True, check=False,
                              timeout=240)
        error = done.stderr.decode()
        if code is None:
            self.assertEqual(done.returncode, 0, error)
            return done.stdout
        self.assertEqual(done.returncode, 1, error)
        self.assertEqual(error.split()[0], code, error)
        if field:
            self.assertEqual(error.split()[1], field)
        self.assertIn(says, error)
        return error

    def begin(self, target, *words, **options):
        """An operation that goes on."""
        process = subprocess.Popen(self.command(target, *words, **options), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for pipe in (process.stdin, process.stdout, process.stderr):
            self.addCleanup(pipe.close)
        return process

    def kill_put(self, target, root):
        """Kills a put of x when its first bytes are at the server, which keeps its files below root."""
        put = self.begin(target, 'put', 'x')
        put.stdin.write(b'a' * (6 * MIB))
        put.stdin.flush()
        folder = os.path.join(root, TEMP)
        self.wait_for('the first bytes', lambda: os.path.isdir(folder) and os.listdir(folder))
        put.kill()
        put.wait()

    def wait_for(self, what, condition, timeout=120):
        end = time.monotonic() + timeout
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def tree(self, directory):
        """Every file below, by its path there."""
        return sorted(os.path.relpath(os.path.join(top, name), directory)
                      for top, _, names in os.walk(directory) for name in names)

    def read(self, path):
        """The bytes of a file."""
        with open(path, 'rb') as file:
            return file.read()

    def leftover(self, directory, name, age_days, owner=servers.UID):
        """What a put that was killed so long ago left."""
        folder = os.path.join(directory, TEMP)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        trees.write(path, b'left')
        for each in (directory, folder, path):
            shutil.chown(each, owner)
        then = time.time() - age_days * 86400
        os.utime(path, (then, then))
        return path

    def create_target(self, suite, name, target):
        """With the command line client, settings as texts, secrets from files; its number."""
        words = ['targets', 'create', name, '--type', target['type']]
        for key, value in target['config'].items():
            words += ['--path', value] if key == 'path' else ['--config', f'{key}={value}']
        for key, value in target['secrets'].items():
            path = self.path(key)
            servers.write(path, value, 0o600)
            words += ['--secret', f'{key}={path}']
        suite.cli(*words)
        return next(t['id'] for t in suite.client.items('targets') if t['name'] == name)


class Leftovers:
    """For a RemoteCase with a server whose files are below self.root."""

    #: Whose they are.
    owner = servers.UID

    def test_leftovers(self):
        """What a put left that was killed goes when it is old."""
        old = self.leftover(self.root, 'old.part', 2, owner=self.owner)
        new = self.leftover(self.root, 'new.part', 0.5, owner=self.owner)
        self.do(self.server.target(), 'put', 'x', data=b'x')
        self.assertFalse(os.path.exists(old))
        self.assertTrue(os.path.exists(new))
        self.assertEqual(self.do(self.server.target(), 'list'), b'1 x\n')
