#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backup and restore through the real services: everything a file system can hold comes back, sealed or not,
by BackupX and by the distribution's own tools; and what goes wrong is said."""

import base64
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib'), str(ROOT / 'tests' / 'tools')]

import treecmp  # noqa: E402 pylint: disable=wrong-import-position
import trees  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

SMALL_FILES = 100_000
LARGE_MIB = 384
EXTRACT = "tar --numeric-owner --xattrs --xattrs-include='*' --acls --sparse -xpf -"


def write(path, data=b'content\n'):
    """Writes a file and the directories on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def make_everything(folder, small_files):
    """Symlinks, hard links, FIFOs, devices, set-id bits, times, attributes, ACLs, holes, odd names, owners
    without a name, a path of 3,000 bytes, and many small files."""
    trees.make_small(folder)
    trees.make_deep(folder, 3000)
    if os.geteuid() == 0:
        trees.make_privileged(folder)
    for i in range(small_files):
        if i % 1000 == 0:
            below = folder / f'many-{i // 1000}'
            below.mkdir()
        fd = os.open(below / f'file-{i}', os.O_CREAT | os.O_WRONLY, 0o640)
        os.write(fd, b'%d\n' % i)
        os.close(fd)


class Restores(unittest.TestCase):
    """One suite for all."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-restore-', dir='/var/tmp'))
        self.addCleanup(subprocess.run, ['rm', '-rf', self.folder], check=True)
        self.source = self.folder / 'source'
        self.destination = self.folder / 'destination'
        self.source.mkdir()
        self.name = self.id().rsplit('.', 1)[1].replace('_', '-')

    def back_up(self, *targets, **options):
        """Backs the source up; the run."""
        self.targets = targets or [self.suite.make_target(self.name)]
        self.task = self.suite.make_task([self.source], self.targets, self.name, **options)
        run = self.suite.backup(self.task, timeout=900)
        self.assertEqual(run['state'], 'succeeded', f'{run} {self.suite.logs(run["id"])}')
        return run

    def restore(self, run, *paths, state='succeeded', **options):
        """Restores into the destination; the run of the restore."""
        found = self.suite.restore(run['id'], options.pop('path', self.destination), paths, timeout=900,
                                   **options)
        self.assertEqual(found['state'], state, f'{found} {self.suite.logs(found["id"])}')
        return found

    def restored(self):
        """Where the source is in the destination."""
        return self.destination / os.fspath(self.source)[1:]

    def archive(self, run, target=0):
        """The directory of a run's archive in a local target."""
        found = run['targets'][target]
        path = self.suite.client.get(f'targets/{found["target_id"]}')['config']['path']
        return pathlib.Path(path) / found['key']

    def assert_same(self, one, other):
        """Both trees are identical."""
        self.assertEqual(treecmp.differences(one, other), [])

    def node_identity(self):
        """The identity that opens the archives of node 1, by a way that needs no BackupX: the database, the
        dispatcher's key and age."""
        with sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True) as database:
            sealed, = database.execute('SELECT sealed FROM node_identities WHERE node_id = 1').fetchone()
        key = self.folder / 'node-identity'
        opened = subprocess.run(['age', '-d', '-i', self.suite.folder / 'keys' / 'dispatcher-identity'],
                                input=base64.b64decode(sealed), capture_output=True, check=True)
        key.touch(mode=0o600)
        key.write_bytes(opened.stdout + b'\n')
        return key

    def test_everything_sealed(self):
        """Restored by BackupX and by age, zstd and tar: both are what was there."""
        make_everything(self.source, SMALL_FILES)
        before = treecmp.Tree(self.source)
        run = self.back_up(encryption='sealed')
        self.restore(run)
        self.assertEqual(treecmp.compare(before, treecmp.Tree(self.restored())), [])
        subprocess.run(['rm', '-rf', self.destination], check=True)

        data = self.archive(run) / 'data.tar.zst.age'
        self.assertEqual(data.read_bytes()[:22], b'age-encryption.org/v1\n')
        stock = self.folder / 'stock'
        stock.mkdir()
        subprocess.run(f'age -d -i {self.node_identity()} {data} | zstd -dc | {EXTRACT} -C {stock}',
                       shell=True,
                       check=True, stderr=subprocess.DEVNULL)
        self.assertEqual(treecmp.compare(before, treecmp.Tree(stock / os.fspath(self.source)[1:])), [])

    def test_everything_plain(self):
        make_everything(self.source, 1000)
        run = self.back_up()
        self.restore(run)
        self.assert_same(self.source, self.restored())
        stock = self.folder / 'stock'
        stock.mkdir()
        subprocess.run(f'zstd -dc {self.archive(run)}/data.tar.zst | {EXTRACT} -C {stock}', shell=True,
                       check=True,
                       stderr=subprocess.DEVNULL)
        self.assert_same(self.source, stock / os.fspath(self.source)[1:])

    def test_relay_sealed(self):
        """The same through the master."""
        make_everything(self.source, 1000)
        run = self.back_up(self.suite.make_target(self.name, kind='relay'), encryption='sealed')
        self.restore(run)
        self.assert_same(self.source, self.restored())

    def test_chosen_paths(self):
        for name in ('a/1', 'a/2', 'b/3'):
            write(self.source / name, name.encode())
        os.makedirs(os.fsencode(self.source) + b'/caf\xe9')
        run = self.back_up(encryption='sealed')
        found = self.restore(run, self.source / 'a' / '2', self.source / 'b')
        self.assertEqual(sorted(p.name for p in self.restored().rglob('*')), ['2', '3', 'a', 'b'])
        self.assertEqual(found['files'], 2)
        found = self.restore(run, self.source / 'nothing', state='failed', conflict='overwrite')
        self.assertIn('/nothing', str(found['error']))

    def test_in_place(self):
        write(self.source / 'lost', b'found again')
        write(self.source / 'kept', b'old')
        run = self.back_up(encryption='sealed')
        (self.source / 'lost').unlink()
        (self.source / 'kept').write_bytes(b'new')

        def in_place(conflict):
            body = {'destination': 'in_place', 'paths': [], 'conflict': conflict}
            again = self.suite.client.post(f'runs/{run["id"]}/restore', body)['run_id']
            return self.suite.wait_run(again)

        found = in_place('fail')
        self.assertEqual(found['state'], 'failed')
        self.assertIn('kept', str(found['error']))
        self.assertFalse((self.source / 'lost').exists())
        self.assertEqual(in_place('skip')['state'], 'succeeded')
        self.assertEqual((self.source / 'lost').read_bytes(), b'found again')
        self.assertEqual((self.source / 'kept').read_bytes(), b'new')
        self.assertEqual(in_place('overwrite')['state'], 'succeeded')
        self.assertEqual((self.source / 'kept').read_bytes(), b'old')

    def test_conflict(self):
        write(self.source / 'x', b'archive')
        run = self.back_up()
        write(self.restored() / 'x', b'mine')
        found = self.restore(run, state='failed')
        self.assertIn('exist already', str(found['error']))
        self.assertEqual((self.restored() / 'x').read_bytes(), b'mine')
        self.restore(run, conflict='skip')
        self.assertEqual((self.restored() / 'x').read_bytes(), b'mine')
        self.restore(run, conflict='overwrite')
        self.assertEqual((self.restored() / 'x').read_bytes(), b'archive')

    def test_entries(self):
        for name in ('dir/1', 'dir/2', 'top'):
            write(self.source / name)
        run = self.back_up(encryption='sealed')
        entries = list(self.suite.client.items(f'runs/{run["id"]}/entries?path={self.source}'))
        self.assertEqual([(e['name'], e['type']) for e in entries], [('dir', 'directory'), ('top', 'file')])
        entries = list(self.suite.client.items(f'runs/{run["id"]}/entries?path={self.source}/dir&limit=1'))
        self.assertEqual([e['name'] for e in entries], ['1', '2'])

    def test_damaged_archive(self):
        """Nothing is written from it, and the object is named."""
        write(self.source / 'x', os.urandom(1 << 20))
        for encryption in ('none', 'sealed'):
            self.name = f'damaged-{encryption}'
            run = self.back_up(encryption=encryption)
            for path in sorted(self.archive(run).iterdir()):
                before = path.read_bytes()
                changed = bytearray(before)
                changed[len(changed) // 2] ^= 1
                path.write_bytes(changed)
                found = self.restore(run, state='failed')
                self.assertIn(path.name, str(found['error']))
                self.assertFalse(self.destination.exists())
                path.unlink()
                found = self.restore(run, state='failed')
                self.assertIn(path.name, str(found['error']))
                self.assertFalse(self.destination.exists())
                path.write_bytes(before)
            self.restore(run)
            self.assert_same(self.source, self.restored())
            shutil.rmtree(self.destination)

    def test_other_copy(self):
        """Two targets, the first one damaged: the second one serves."""
        make_everything(self.source, 100)
        run = self.back_up(self.suite.make_target('copy-one'), self.suite.make_target('copy-two'),
                           encryption='sealed')
        data = self.archive(run, 0) / 'data.tar.zst.age'
        changed = bytearray(data.read_bytes())
        changed[len(changed) // 2] ^= 1
        data.write_bytes(changed)
        self.restore(run)
        self.assert_same(self.source, self.restored())
        shutil.rmtree(self.destination)
        shutil.rmtree(self.archive(run, 0))
        found = self.restore(run)
        self.assert_same(self.source, self.restored())
        self.assertIn('copy', self.suite.logs(found['id']))

    @unittest.skipUnless(os.geteuid() == 0, 'needs root')
    def test_full_disk(self):
        for i in range(8):
            write(self.source / str(i), os.urandom(256 << 10))
        run = self.back_up()
        self.destination.mkdir()
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'x', self.destination],
                                 check=False)
        if mounted.returncode:
            self.skipTest('mount is not possible here')
        try:
            found = self.restore(run, state='failed')
            self.assertIn('MiB free', str(found['error']))
            self.assertEqual(list(self.destination.iterdir()), [])
            found = self.restore(run, state='failed', conflict='overwrite')
            self.assertIn('No space left', str(found['error']))
            for path in self.restored().iterdir():
                self.assertEqual(path.read_bytes(), (self.source / path.name).read_bytes())
        finally:
            subprocess.run(['umount', self.destination], check=True)

    def commands(self, run):
        """The numbers of a run's commands."""
        with sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True) as database:
            return [row[0] for row in database.execute('SELECT id FROM commands WHERE run_id = ?', (run,))]

    def jobs(self):
        """Process ids of the suite's jobs."""
        found = []
        mark = f'BACKUPX_AGENT_STATE_DIR={self.suite.agent_state}'.encode()
        for entry in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if (entry / 'comm').read_text() != 'backupx-job\n':
                    continue
                if mark in (entry / 'environ').read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def start_slow_restore(self):
        """Starts a restore and stops its job in its middle; its run, and the job."""
        for i in range(20):
            (self.source / f'{i:02}').write_bytes(b'x' * 100)
        with open(self.source / 'large', 'wb') as file:
            for _ in range(LARGE_MIB):
                file.write(os.urandom(1 << 20))
        run = self.back_up(encryption='sealed')
        # On a machine that gave us no time while the disk was fast it was done before it was stopped: once more.
        for number in range(20):
            wait_until(lambda: not self.jobs(), what='the end of earlier jobs')
            path = self.destination / str(number)
            body = {'destination': {'node_id': 1, 'path': str(path)}, 'paths': [], 'conflict': 'fail'}
            again = self.suite.client.post(f'runs/{run["id"]}/restore', body)['run_id']
            below = path / os.fspath(self.source)[1:]
            job, = wait_until(self.jobs, 120, what='the job of the restore')
            wait_until((below / '19').exists, 120, what='the restore writing')
            try:
                os.kill(job, signal.SIGSTOP)
                wait_until(lambda: self.process_state(job) in 'TZ', what='the job being stopped')
            except (FileNotFoundError, ProcessLookupError):
                continue
            if self.process_state(job) == 'T' and not (below / 'large').exists():
                self.restored_to = below
                self.addCleanup(self.let_go, job)
                return again, job
            self.let_go(job)
            self.suite.wait_run(again)
            shutil.rmtree(path)
        return self.fail('no restore could be stopped in its middle')

    @staticmethod
    def process_state(pid):
        """The letter of its state."""
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]

    @staticmethod
    def let_go(pid):
        """Lets a stopped process go on."""
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def assert_only_whole_files(self):
        """What is there under a final name is whole."""
        for path in self.restored_to.rglob('*'):
            if path.is_file() and not path.name.startswith('.backupx-restore-'):
                self.assertEqual(path.stat().st_size, (self.source / path.name).stat().st_size)

    def test_cancel(self):
        run, job = self.start_slow_restore()
        self.suite.client.post(f'runs/{run}/cancel')
        # Held until the agent has heard of it with a heartbeat: a fast disk would be done before.
        log = self.suite.processes['agent'].log
        command, = self.commands(run)
        wait_until(lambda: f'Cancelling command {command}' in log.read_text(), what='the agent hearing of it')
        self.let_go(job)
        self.assertEqual(self.suite.wait_run(run)['state'], 'cancelled')
        self.assert_only_whole_files()
        self.assertEqual(list(self.restored_to.rglob('.backupx*')), [])

    def test_killed_job(self):
        run, job = self.start_slow_restore()
        os.kill(job, signal.SIGKILL)
        found = self.suite.wait_run(run)
        self.assertEqual(found['state'], 'failed')
        self.assertIn('JOB_KILLED', str(found))
        self.assert_only_whole_files()

    def test_master_restarts(self):
        """A restore does not care."""
        run, job = self.start_slow_restore()
        for name in ('api', 'dispatcher', 'scheduler'):
            self.suite.restart(name, kill=True)
        self.suite.restart('agent', kill=True)
        self.let_go(job)
        found = self.suite.wait_run(run)
        self.assertEqual(found['state'], 'succeeded', f'{found} {self.suite.tails()}')
        self.assert_same(self.source, self.restored_to)


if __name__ == '__main__':
    unittest.main(verbosity=2)
