#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sources that change or fail while the real services back them up: the state of the run, what it names, what the
target holds. test_faults.py looks at the archives more closely, without services."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import backups
import trees
from suite import Suite

MIB = 1 << 20
SIZE = 4 * MIB
JOB_WRAPPER = pathlib.Path(__file__).with_name('job_wrapper.py')


SHARED = {}


def setUpModule():
    """One suite for all; faults are injected into the job's system calls."""
    if not backups.has_strace():
        raise unittest.SkipTest('needs strace')
    SHARED['folder'] = pathlib.Path(tempfile.mkdtemp(prefix='backupx-faults-'))
    unittest.addModuleCleanup(backups.remove_tree, SHARED['folder'])
    SHARED['suite'] = Suite(wrap={'job': [JOB_WRAPPER, SHARED['folder']]})
    unittest.addModuleCleanup(SHARED['suite'].close)
    SHARED['suite'].start()


class Sources(backups.Case):
    """Backups into archives."""

    format = 'archive'

    def setUp(self):
        super().setUp()
        self.suite, self.shared = SHARED['suite'], SHARED['folder']
        self.source = self.path('source')
        os.mkdir(self.source)
        trees.write(self.source + '/a', b'before\n')
        trees.write(self.source + '/z', b'after\n')
        self.name = '-'.join(self.id().split('.')[-2:])
        self.storage = self.suite.storage / self.name
        self.inject()

    def inject(self, *words, then=()):
        """What strace does to the next jobs, and what else they are started with."""
        before = self.shared / 'before'
        before.unlink(missing_ok=True)
        if words:
            then = ['strace', '-f', '-qq', '-o', '/dev/null', *words, *then]
        if then:
            before.write_text('\n'.join(then))

    def start(self):
        """Starts a backup of the source."""
        task = self.suite.make_task([self.source], [self.suite.make_target(self.name)], name=self.name,
                                    format=self.format)
        return self.suite.run_task(task)

    def run_while_read(self, path, change, strace=()):
        """A run that stands still in the middle of one file, and what is done meanwhile."""
        held = backups.Hold(path, self.folder)
        self.addCleanup(held.let_go)
        self.inject(*strace, then=held.prefix)
        run = self.start()
        held.wait()
        change()
        held.let_go()
        return self.suite.wait_run(run)

    def check(self, run, state, codes):
        """State, the paths that result and log name, and a whole archive with everything else."""
        log = self.suite.logs(run['id'])
        self.assertEqual(run['state'], state, f'{run}\n{log}')
        self.assertEqual({e['path']: e['code'] for e in run['errors']}, codes, log)
        self.assertEqual(run['errors_total'], len(codes))
        for path in codes:
            self.assertIn(f'{path}: ', log)
        if state == 'partial':
            self.assertEqual(run['error']['code'], 'FILES_LOST')
            self.assertIn(next(iter(codes)), run['error']['message'])
        else:
            self.assertIsNone(run['error'])
        self.assertEqual([t['state'] for t in run['targets']], ['succeeded'])
        out = self.opened(run) + self.source
        self.assertEqual(pathlib.Path(out, 'z').read_bytes(), b'after\n')
        return out

    def opened(self, _):
        """What stock tools make of the archive."""
        manifest, = self.storage.rglob('manifest.json.zst')
        return self.extract(self.storage, manifest.parent.relative_to(self.storage))

    def big(self, name='log', size=SIZE):
        path = f'{self.source}/{name}'
        trees.write(path, b'x' * size)
        return path

    def test_grows(self):
        path = self.big()

        def grow():
            with open(path, 'ab') as file:
                file.write(b'y' * MIB)
        out = self.check(self.run_while_read(path, grow), 'succeeded', {path: 'GREW'})
        self.assertEqual(pathlib.Path(out, 'log').read_bytes(), b'x' * SIZE)

    def test_changes(self):
        path = self.big()

        def change():
            with open(path, 'r+b') as file:
                file.write(b'y')
        self.check(self.run_while_read(path, change), 'succeeded', {path: 'CHANGED'})

    def test_shrinks(self):
        path = self.big()
        run = self.run_while_read(path, lambda: os.truncate(path, 100))
        out = self.check(run, 'partial', {path: 'SHRANK'})
        self.assertEqual(os.stat(out + '/log').st_size, SIZE)

    def test_vanishes_before_its_turn(self):
        path, gone = self.big(), self.source + '/m'
        trees.write(gone, b'x')
        out = self.check(self.run_while_read(path, lambda: os.unlink(gone)), 'succeeded', {gone: 'VANISHED'})
        self.assertFalse(os.path.exists(out + '/m'))

    def test_is_removed_while_it_is_read(self):
        """Whoever has it open reads it to its end."""
        path = self.big()
        out = self.check(self.run_while_read(path, lambda: os.unlink(path)), 'succeeded', {})
        self.assertEqual(pathlib.Path(out, 'log').read_bytes(), b'x' * SIZE)

    def test_read_error(self):
        path = self.big('bad', 8 * MIB)
        self.inject('-P', path, '-e', 'trace=pread64', '-e', 'inject=pread64:error=EIO:when=3')
        run = self.suite.wait_run(self.start())
        out = self.check(run, 'partial', {path: 'UNREADABLE'})
        self.assertIn('Input/output error', run['errors'][0]['message'])
        self.assertEqual(os.stat(out + '/bad').st_size, 8 * MIB)

    def test_unreadable_directory(self):
        path = self.source + '/dir'
        os.mkdir(path)
        trees.write(path + '/x')
        self.inject('-P', path, '-e', 'trace=getdents64', '-e', 'inject=getdents64:error=EIO')
        self.check(self.suite.wait_run(self.start()), 'partial', {path: 'UNREADABLE'})

    def test_many(self):
        """A hundred are named, all are counted; those that are lost before those that are not."""
        path = self.big()
        os.mkdir(self.source + '/n')
        for i in range(150):
            trees.write(f'{self.source}/m{i:03d}')
            trees.write(f'{self.source}/n/{i:03d}')
        broken = ['-P', self.source + '/n', '-e', 'trace=openat,openat2', '-e', 'inject=openat,openat2:error=EIO']

        def remove():
            for i in range(150):
                os.unlink(f'{self.source}/m{i:03d}')
        run = self.run_while_read(path, remove, broken)
        log = self.suite.logs(run['id'])
        self.assertEqual((run['state'], run['errors_total']), ('partial', 300), log)
        self.assertEqual({e['code'] for e in run['errors']}, {'UNREADABLE'})
        self.assertEqual(len(run['errors']), 100)
        self.assertIn('150', run['error']['message'])
        for i in range(100):
            self.assertIn(f'{self.source}/m{i:03d}: ', log)
            self.assertIn(f'{self.source}/n/{i:03d}: ', log)
        self.assertLess(len(log.splitlines()), 220)


class RepositorySources(Sources):
    """The same into repositories."""

    format = 'repository'

    def setUp(self):
        if not backups.LONG and self.id().rpartition('.')[2] not in ('test_shrinks', 'test_unreadable_directory'):
            self.skipTest('long rounds: tests/repository has these without services')
        super().setUp()

    def opened(self, run):
        """What stock restic makes of the snapshot."""
        config, = self.storage.rglob('config')
        target, = run['targets']
        environment = {**os.environ, 'RESTIC_PASSWORD': self.suite.repository_password(target['target_id'])}
        out = self.path('out')
        for words in (['check', '--read-data'], ['restore', target['snapshot_id'], '--target', out]):
            done = subprocess.run(['restic', '--no-cache', '-r', config.parent, *words], env=environment,
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        return out


if __name__ == '__main__':
    sys.exit(unittest.main(verbosity=2))
