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
from suite import Suite, build_folder
from test_faults import DeadMount

MIB = 1 << 20
LIMIT = 96  # MiB

# Stands in for the job, runs it, and notes its peak memory.
WRAPPER = '''#!/usr/bin/python3
import os, subprocess, sys
with subprocess.Popen([{job!r}] + sys.argv[1:], close_fds=False) as process:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
with open({peaks!r}, 'a') as file:
    file.write('%d\\n' % (usage.ru_maxrss // 1024))
sys.exit(process.returncode)
'''


class MeasuredSuite(Suite):
    """Its jobs note their peak memory."""
    wrapper = None

    def program(self, name):
        return self.wrapper if name == 'job' else super().program(name)


class Runs(backups.Case):
    """One suite for all."""

    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix='backupx-runs-'))
        cls.addClassCleanup(backups.remove_tree, cls.shared)
        cls.peaks = cls.shared / 'peaks'
        wrapper = cls.shared / 'job'
        job = build_folder() / 'agent' / 'backupx-job'
        wrapper.write_text(WRAPPER.format(job=str(job), peaks=str(cls.peaks)))
        wrapper.chmod(0o755)
        cls.suite = MeasuredSuite()
        cls.suite.wrapper = wrapper
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)

    def run_task(self, targets, *, paths=None, state='succeeded', timeout=120, **more):
        name = self.id().rpartition('.')[2]
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
        run = self.run_task([self.target('disk'), self.target('relay', kind='relay')], encryption='sealed',
                            timeout=900)
        self.assertEqual(run['files'], files + 1)
        peak = max(int(line) for line in self.peaks.read_text().split())
        print(f'peak of a job: {peak} MiB', flush=True)
        self.assertLess(peak, LIMIT)


if __name__ == '__main__':
    sys.exit(unittest.main(verbosity=2))
