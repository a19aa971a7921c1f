#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A day of a schedule with the real daemons, agent and jobs: their clocks are moved on from hour to hour
(clock-shim), each task runs once an hour, and no program grows. BACKUPX_TEST_LONG: ten days."""

import contextlib
import datetime
import os
import pathlib
import sqlite3
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from suite import DAEMONS, Suite, build_folder, wait_until  # noqa: E402 pylint: disable=wrong-import-position

HOUR = 3600
HOURS = 240 if os.environ.get('BACKUPX_TEST_LONG') else 24
# By now every cache and every buffer was filled once.
SETTLED = 12
TASKS = 3
SUCCEEDED = 3
# Pages that come and go between two looks: with sanitizers freed memory is kept for a while.
SLACK_KIB = 256 if 'ASAN_OPTIONS' not in os.environ else 64 << 10


class Day(unittest.TestCase):
    """One suite, one long day."""

    def setUp(self):
        self.suite = Suite(environment={})
        self.clock = self.suite.folder / 'clock'
        self.suite.added |= {
            'LD_PRELOAD': build_folder() / 'tests' / 'bus' / 'libclock-shim.so',
            'BACKUPX_TEST_CLOCK': self.clock,
            'BACKUPX_LOG_LEVEL': 'notice',
            'ASAN_OPTIONS': 'verify_asan_link_order=0',
        }
        self.offset = 0
        self.set_offset(0)
        self.addCleanup(self.suite.close)
        self.suite.start()

    def set_offset(self, offset):
        """In one step: the programs may look at any time."""
        self.offset = offset
        fresh = self.clock.with_suffix('.new')
        fresh.write_text(str(offset))
        fresh.rename(self.clock)

    def to_next_hour(self):
        """Just behind the next full hour; the scheduler looks at its clock now and not some seconds later."""
        now = int(time.time()) + self.offset
        self.set_offset(self.offset + HOUR - now % HOUR)
        subprocess.run(
            ['busctl', f'--address=unix:path={self.suite.run}/bus', 'call', 'org.backupx.Scheduler1',
             '/org/backupx/Scheduler1', 'org.backupx.Scheduler1', 'Reload'],
            check=True,
        )
        return datetime.datetime.fromtimestamp(now - now % HOUR + HOUR, datetime.timezone.utc)

    def query(self, statement, *values):
        """Rows of the master's database."""
        path = f'file:{self.suite.master_state}/backupx.db?mode=ro'
        with contextlib.closing(sqlite3.connect(path, uri=True, timeout=60)) as database:
            return database.execute(statement, values).fetchall()

    def sizes(self):
        """Of each program: KiB of memory of its own, and open files."""
        found = {}
        for name in (*DAEMONS, 'agent'):
            process = pathlib.Path(f'/proc/{self.suite.processes[name].process.pid}')
            status = process.joinpath('status').read_text()
            memory = int(next(line for line in status.splitlines() if line.startswith('RssAnon')).split()[1])
            found[name] = (memory, len(os.listdir(process / 'fd')))
        return found

    def test_day(self):
        """Each hour its runs, each with its end, for an hour that was; and at the end what was in the middle."""
        source = self.suite.folder / 'source'
        source.mkdir()
        source.joinpath('file').write_bytes(os.urandom(65536))
        target = self.suite.make_target()
        schedule = {'expression': 'hourly', 'timezone': 'UTC', 'catch_up': False}
        for i in range(TASKS):
            self.suite.make_task([source], [target], f'task-{i}', schedule=schedule)
        settled = None
        for hour in range(1, HOURS + 1):
            moment = self.to_next_hour()
            wait_until(
                lambda: self.query('SELECT count(*) FROM runs WHERE state = ? AND scheduled_for = ?', SUCCEEDED,
                                   int(moment.timestamp()) * 1000000)[0][0] == TASKS,
                60, f'the runs of {moment}')
            if hour == SETTLED:
                settled = self.sizes()
        self.assertEqual(self.query('SELECT state, count(*) FROM runs GROUP BY state'), [(SUCCEEDED, HOURS * TASKS)])
        self.assertEqual(self.query('SELECT state, health FROM nodes'), [(1, 0)])
        wait_until(lambda: self.sizes()['agent'][1] <= settled['agent'][1], 60, 'the end of what the last job needed')
        for name, (memory, files) in self.sizes().items():
            print(f'{name}: {settled[name][0]} KiB after {SETTLED} hours, {memory} KiB after {HOURS}', flush=True)
            self.assertLessEqual(memory, settled[name][0] + SLACK_KIB, name)
            self.assertLessEqual(files, settled[name][1], name)


if __name__ == '__main__':
    unittest.main()
