#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups by the real services: several targets, those that fail, sources that do not answer, and the memory of
the job."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import backups
import trees
from suite import Suite
from test_faults import DeadMount

MIB = 1 << 20
LIMIT = 96  # MiB

JOB_WRAPPER = pathlib.Path(__file__).with_name('job_wrapper.py')


class Runs(backups.Case):
    """One suite for all."""

    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix='backupx-runs-'))
        cls.addClassCleanup(backups.remove_tree, cls.shared)
        cls.peaks = cls.shared / 'peaks'
        cls.suite = Suite(wrap={'job': [JOB_WRAPPER, cls.shared]})
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)

    def run_task(self, targets, *, paths=None, state='succeeded', timeout=120, name='', **more):
        name = self.id().rpartition('.')[2] + name
        task = self.suite.make_task(paths or [self.source], targets, name=name, **more)
        run = self.suite.backup(task, timeout=timeout)
        self.assertEqual(run['state'], state, f"{run}\n{self.suite.logs(run['id'])}")
        return run

    def target(self, name, **more):
        return self.suite.make_target(f"{self.id().rpartition('.')[2]}-{name}", **more)

    def check_stock(self, folder):
        """What lies below folder, as tar gives it back."""
        archives = list(pathlib.Path(folder).rglob('data.tar.zst'))
        self.assertEqual(len(archives), 1)
        self.assert_same(self.source, self.extract(folder, archives[0].parent.relative_to(folder)) + self.source)

    def test_everything_to_a_disk_and_through_the_relay(self):
        trees.make_small(self.source)
        if os.geteuid() == 0:
            trees.make_privileged(self.source)
        trees.make_deep(self.source)
        trees.write(self.source + '/random', os.urandom(20 * MIB))
        relay = self.target('relay', kind='relay')
        run = self.run_task([self.target('disk', path=self.suite.storage / 'everything'), relay])
        self.assertEqual([t['state'] for t in run['targets']], ['succeeded', 'succeeded'])
        self.check_stock(self.suite.storage / 'everything')
        self.check_stock(self.suite.master_state / 'relay' / str(relay))

    def test_one_target_is_full(self):
        self.root_only()
        full = self.suite.storage / 'full'
        full.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4M', 'tmpfs', full], check=True)
        self.mounts.append(str(full))
        trees.write(self.source + '/random', os.urandom(12 * MIB))
        run = self.run_task([self.target('full', path=full),
                             self.target('disk', path=self.suite.storage / 'beside')], state='partial')
        self.assertEqual([t['state'] for t in run['targets']], ['failed', 'succeeded'])
        self.assertIn(str(full), str(run['targets'][0]['error']))
        self.assertEqual(os.listdir(full), [])
        self.check_stock(self.suite.storage / 'beside')

    def test_the_only_target_is_full(self):
        self.root_only()
        full = self.suite.storage / 'alone'
        full.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4M', 'tmpfs', full], check=True)
        self.mounts.append(str(full))
        trees.write(self.source + '/random', os.urandom(12 * MIB))
        run = self.run_task([self.target('full', path=full)], state='failed')
        self.assertIn(str(full), str(run['error']))
        self.assertEqual(os.listdir(full), [])

    def test_a_mount_point_that_is_gone(self):
        trees.write(self.source + '/a', b'a')
        DeadMount(self, self.source + '/mnt', gone=True)
        run = self.run_task([self.target('disk')], state='partial')
        self.assertIn(self.source + '/mnt', self.suite.logs(run['id']))

    def test_a_source_that_does_not_answer(self):
        trees.write(self.source + '/a', b'a')
        DeadMount(self, self.path('mnt'))
        run = self.run_task([self.target('disk')], paths=[self.source, self.path('mnt')], state='partial')
        self.assertIn(self.path('mnt'), self.suite.logs(run['id']))

    def test_a_source_that_is_not_there(self):
        run = self.run_task([self.target('disk')], paths=[self.source, self.path('nothing')], state='partial')
        self.assertIn(self.path('nothing'), self.suite.logs(run['id']))

    def test_memory(self):
        if os.geteuid() == 0:
            self.mount_tmpfs('source', '12G')
        files, size = (1000000, 4096) if backups.LONG else (50000, 200)
        for i in range(files // 1000):
            os.makedirs(f'{self.source}/{i % 10}/{i}')
            here = os.open(f'{self.source}/{i % 10}/{i}', os.O_RDONLY)
            for j in range(1000):
                os.close(os.open(f'file-{j:05d}', os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
            os.close(here)
        with open(self.source + '/large', 'wb') as file:
            for _ in range(size):
                file.write(os.urandom(MIB))
        targets = [self.target('disk'), self.target('relay', kind='relay')]
        for kind in ('archive', 'repository') if backups.LONG else ('archive',):
            run = self.run_task(targets, encryption='sealed', timeout=900, format=kind, name=f'-{kind}')
            self.assertEqual(run['files'], files + 1)
            self.check_peaks(f'backup, {kind}', 1)

    def check_peaks(self, what, count):
        """The memory of as many jobs, those that ended last."""
        peaks = [int(line) for line in self.peaks.read_text().split()][-count:]
        print(f'\nmeasured: peak of a job ({what}): {max(peaks)} MiB', flush=True)
        if not backups.SANITIZED:
            self.assertLess(max(peaks), LIMIT)

    def test_memory_and_writes_of_one_large_file(self):
        """Backup and restore, over a disk and through the relay: bounded memory, and no temporary copy, since
        there is no place for one."""
        self.root_only()
        size = (5 * 1024 if backups.LONG else 192) * MIB
        with open(self.source + '/large', 'wb') as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        for kind in ('local', 'relay'):
            for stored in ('archive', 'repository') if backups.LONG else ('archive',):
                with self.subTest(kind=kind, format=stored):
                    self.check_large(kind, size, stored)

    def check_large(self, kind, size, stored):
        name = f'-{kind}-{stored}'
        destination, temporary = self.path(f'restored{name}'), self.path(f'temporary{name}')
        os.mkdir(destination)
        os.mkdir(temporary)
        (self.shared / 'writable').write_text(f'{temporary}\n{self.suite.agent_state}\n{destination}\n')
        self.addCleanup((self.shared / 'writable').unlink, missing_ok=True)
        target = self.target(name, kind=kind)
        run = self.run_task([target], encryption='sealed', timeout=900, name=name, format=stored)
        self.assertGreater(run['bytes_written'], size)
        self.check_peaks(f'backup{name}', 1)
        restored = self.suite.restore(run['id'], destination, timeout=900)
        self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
        self.check_peaks(f'restore{name}', 1)
        same = ['cmp', self.source + '/large', destination + self.source + '/large']
        self.assertEqual(subprocess.run(same, check=False).returncode, 0)
        # The next round needs the room.
        for folder in destination, *self.suite.storage.iterdir(), self.suite.master_state / 'relay' / str(target):
            backups.remove_tree(folder)


if __name__ == '__main__':
    sys.exit(unittest.main(verbosity=2))
