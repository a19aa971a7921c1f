#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The disk of the master's state is full for a while, with a run under way: nobody dies, what cannot be stored is
refused and says so, reading goes on, and when there is room again the run ends and the suite works as before."""

import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position

SKIP = 77
INSIDE = 'BACKUPX_TEST_OWN_MOUNTS'


def enter_own_mounts():
    """Starts this program again where its mounts are its own."""
    if os.environ.get(INSIDE):
        return
    if subprocess.run(['unshare', '--mount', 'true'], check=False, capture_output=True).returncode != 0:
        print('a file system of limited size needs root and unshare --mount')
        sys.exit(SKIP)
    os.environ[INSIDE] = '1'
    os.execvp('unshare', ['unshare', '--mount', sys.executable, *sys.argv])


class FullMaster(unittest.TestCase):
    """One suite whose state lies on 3 MiB."""

    def setUp(self):
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.suite.master_state.mkdir(parents=True)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m,mode=0700', 'tmpfs', self.suite.master_state],
                       check=True)
        self.addCleanup(subprocess.run, ['umount', self.suite.master_state], check=True)
        self.addCleanup(self.suite.stop)
        self.suite.start()

    def fill(self):
        """Takes what is left of the disk; gives the path of what took it."""
        path = self.suite.master_state / 'fill'
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while True:
                os.write(fd, b'x' * 4096)
        except OSError:
            pass
        finally:
            os.close(fd)
        return path

    def test_full(self):
        """Full while a run is on its way."""
        suite = self.suite
        source = suite.folder / 'source'
        source.mkdir()
        (source / 'file').write_bytes(os.urandom(1 << 20))
        task = suite.make_task([source], [suite.make_target()], encryption='sealed')
        self.assertEqual(suite.backup(task)['state'], 'succeeded')
        run = suite.run_task(task)
        fill = self.fill()
        for number in range(3):
            with self.assertRaises(ApiError) as refused:
                suite.make_target(f'more-{number}')
            self.assertEqual((refused.exception.status, refused.exception.code), (507, 'STORAGE_FULL'))
            self.assertEqual(suite.client.get('targets')['items'][0]['id'], 1)
            time.sleep(1)
        # Longer than the API's sign of life lasts: that it could not be written must not make anybody offline.
        time.sleep(6)
        self.assertEqual([name for name, process in suite.processes.items() if not process.running()], [])
        fill.unlink()
        self.assertEqual(suite.wait_run(run)['state'], 'succeeded', suite.tails())
        self.assertEqual(suite.node()['status'], 'online')
        self.assertEqual(suite.backup(task)['state'], 'succeeded')
        self.assertEqual(len(suite.client.get('targets')['items']), 1)


if __name__ == '__main__':
    enter_own_mounts()
    unittest.main(verbosity=2)
