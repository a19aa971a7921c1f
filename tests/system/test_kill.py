#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each service at random moments during runs, under the service manager: it restarts what died,
keeps the jobs' sockets for the agent, and starts jobs by their socket. tests/agent/kill_suite.py has the
same without it.
"""

import os
import random
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from installed_guest import FINAL_STATES, InstalledGuest, skip_where_impossible  # noqa: E402
from processes import Failed  # noqa: E402

LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
ROUNDS = 20 if LONG else 2
SEED = int(os.environ.get('BACKUPX_TEST_SEED') or time.time_ns())
SOURCE = '/srv/source'

skip_where_impossible()
guest = InstalledGuest('kill')
chance = random.Random(SEED)
world = {}


def setUpModule():
    """A guest with a task whose run takes a while."""
    guest.make_root()
    guest.boot()
    guest.start_suite()
    guest.shell(f'mkdir {SOURCE}; head -c 64M /dev/urandom >{SOURCE}/large; cp -r /etc {SOURCE}')
    world['task'] = guest.make_task('killed', [SOURCE], [guest.make_target('disk')], encryption='sealed')
    begun = time.monotonic()
    first = guest.wait_run(guest.start_run(world['task']))
    world['length'] = time.monotonic() - begun
    assert first['state'] == 'succeeded', first


def tearDownModule():
    """Ends it."""
    guest.close()


def patiently(call, timeout=120):
    """Repeats a request while a daemon is being started again."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return call()
        except Failed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Kill(unittest.TestCase):
    """Another victim a test."""

    def archives(self, run):
        """Manifests of a run on the disk."""
        found = guest.run('find', '/var/lib/backupx-agent/storage', '-path', f'*/killed/*-{run}-*/manifest*')
        return found.stdout.split()

    def rounds(self, unit, allowed, part=1):
        """Kills the unit's processes during runs; each run must end, once, and tell the truth."""
        print(f'seed {SEED}', file=sys.stderr)
        told = []
        for number in range(ROUNDS):
            pause = chance.uniform(0, part * world['length'])
            with self.subTest(round=number, pause=round(pause, 3)):
                run = patiently(lambda: guest.start_run(world['task']))
                time.sleep(pause)
                guest.run('systemctl', 'kill', '-s', 'KILL', unit, check=False)
                shown = guest.wait_run(run, FINAL_STATES)
                found = self.archives(run)
                self.assertLessEqual(len(found), 1, f'run {run} was done twice')
                if shown['state'] == 'succeeded':
                    self.assertEqual(len(found), 1, f'run {run} is green and has no archive')
                else:
                    self.assertTrue(shown['error'], shown)
                if shown['state'] == 'interrupted':
                    jobs = guest.run('systemctl', 'list-units', '--no-legend', 'backupx-backup@*').stdout
                    self.assertEqual((found, jobs), ([], ''), f'run {run} goes on')
                self.assertIn(shown['state'], allowed, shown['error'])
                told.append(shown['error']['code'] if shown['error'] else shown['state'])
        print(f'  {unit}: {", ".join(told)}', file=sys.stderr)

    def test_01_api(self):
        """The run does not notice."""
        self.rounds('backupx-api.service', ['succeeded'])

    def test_02_scheduler(self):
        """The run does not notice."""
        self.rounds('backupx-scheduler.service', ['succeeded'])

    def test_03_dispatcher(self):
        """The run does not notice."""
        self.rounds('backupx-dispatcher.service', ['succeeded'])

    def test_04_agent(self):
        """The job's socket waits at the service manager for the next agent, and what was not begun is given
        back to the master, which delivers it again."""
        self.rounds('backupx-agent.service', ['succeeded'])

    def test_05_job(self):
        """A job that was killed is a failed run."""
        self.rounds('backupx-backup@*.service', ['succeeded', 'failed'], part=0.6)

    @unittest.skipUnless(LONG, 'long rounds: archives show it, and tests/agent/kill_suite.py')
    def test_06_job_of_a_repository(self):
        """What a killed job has stored is used by the next one, whose cache may be half written."""
        task = guest.make_task('snapshots', [SOURCE], [guest.make_target('repository')], format='repository')
        told = []
        for number in range(ROUNDS):
            guest.shell(f'head -c 64M /dev/urandom >{SOURCE}/large')
            pause = chance.uniform(0, 0.6 * world['length'])
            with self.subTest(round=number, pause=round(pause, 3)):
                run = patiently(lambda: guest.start_run(task))
                time.sleep(pause)
                guest.run('systemctl', 'kill', '-s', 'KILL', 'backupx-backup@*.service', check=False)
                shown = guest.wait_run(run, FINAL_STATES)
                self.assertIn(shown['state'], ['succeeded', 'failed'], shown['error'])
                told.append(shown['error']['code'] if shown['error'] else shown['state'])
        print(f'  a repository: {", ".join(told)}', file=sys.stderr)
        run = guest.wait_run(guest.start_run(task))
        self.assertEqual(run['state'], 'succeeded', run)
        again = guest.restore(run['id'], '/srv/of-repository')
        self.assertEqual(again['state'], 'succeeded', again)
        self.assertEqual(guest.run('diff', '-r', SOURCE, f'/srv/of-repository{SOURCE}', check=False).stdout, '')

    def test_07_restorable(self):
        """After all that the newest archive comes back whole."""
        run = guest.wait_run(patiently(lambda: guest.start_run(world['task'])))
        self.assertEqual(run['state'], 'succeeded', run)
        again = patiently(lambda: guest.restore(run['id'], '/srv/back'))
        self.assertEqual(again['state'], 'succeeded', again)
        self.assertEqual(guest.run('diff', '-r', SOURCE, f'/srv/back{SOURCE}', check=False).stdout, '')
        database = sqlite3.connect(f'file:{guest.path("/var/lib/backupx/backupx.db")}?mode=ro', uri=True)
        self.assertEqual(database.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
        self.assertEqual(database.execute('SELECT id FROM runs WHERE state < 3').fetchall(), [])
        database.close()


if __name__ == '__main__':
    unittest.main(verbosity=2)
