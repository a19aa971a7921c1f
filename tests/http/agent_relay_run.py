#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whole runs through the relay, with the real agent: the API is killed under them, and nothing is lost."""

import filecmp
import os
import time
import unittest

import agent_fake  # noqa: F401 (it makes the modules of tests/lib known)
from client import ApiError
from suite import Suite

SUITE = Suite()
SIZE = 24 << 20
FILES = 4


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Runs(unittest.TestCase):
    """Backup and restore over the master's disk."""

    @classmethod
    def setUpClass(cls):
        cls.source = SUITE.folder / 'source'
        cls.source.mkdir()
        for number in range(FILES):
            (cls.source / f'file-{number}').write_bytes(os.urandom(SIZE))

    def compare(self, run, name):
        """Restores and compares."""
        restored = SUITE.folder / name
        restored.mkdir()
        self.assertEqual(SUITE.restore(run, restored)['state'], 'succeeded')
        names = [f'file-{number}' for number in range(FILES)]
        below = f'{restored}{self.source}'
        _, differ, missing = filecmp.cmpfiles(self.source, below, names, shallow=False)
        self.assertEqual((differ, missing), ([], []))

    def test_killed_api(self):
        target = SUITE.make_target('killed', kind='relay')
        task = SUITE.make_task([self.source], [target], 'killed', encryption='sealed')
        run = SUITE.run_task(task)
        SUITE.wait_run(run, ('running',))
        for _ in range(3):
            time.sleep(0.3)
            SUITE.restart('api', kill=True)
        ended = SUITE.wait_run(run)
        self.assertEqual((ended['state'], ended['error']), ('succeeded', None))
        # One archive, whole, and nothing that was left on the way.
        folder = SUITE.master_state / 'relay' / str(target)
        files = sorted(path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
        self.assertEqual(len(files), 3, files)
        self.assertTrue(all(str(path).startswith('local/killed/') for path in files), files)
        self.compare(run, 'restored-killed')

    def test_cancelled(self):
        """What was uploaded so far is never seen under its name."""
        target = SUITE.make_target('cancelled', kind='relay')
        task = SUITE.make_task([self.source], [target], 'cancelled')
        run = SUITE.run_task(task)
        SUITE.wait_run(run, ('running',))
        SUITE.client.post(f'runs/{run}/cancel')
        self.assertIn(SUITE.wait_run(run)['state'], ('cancelled', 'succeeded'))
        folder = SUITE.master_state / 'relay' / str(target)
        if SUITE.client.get(f'runs/{run}')['state'] == 'cancelled':
            self.assertEqual([p for p in folder.rglob('manifest*') if '.backupx-staging' not in p.parts], [])

    def test_directory_that_is_not_open(self):
        with self.assertRaises(ApiError) as caught:
            SUITE.make_target('closed', kind='relay', directory='/var/tmp')
        self.assertIn('backupx relay allow', caught.exception.message)

    def test_target_test(self):
        target = SUITE.make_target('tested', kind='relay')
        answer = SUITE.client.post(f'targets/{target}/test')
        self.assertTrue(answer['writable'])
        folder = SUITE.master_state / 'relay' / str(target)
        self.assertEqual([path for path in folder.rglob('*') if path.is_file()], [])


if __name__ == '__main__':
    unittest.main()
