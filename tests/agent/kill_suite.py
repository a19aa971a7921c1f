#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each program of the suite at random moments during runs.

Whatever is killed and started again: every run that was asked for exists once, ends by itself, has at most one
archive, and its state tells the truth: a green run has its archive, whole and restorable; a run that is not green
says why. What the machine did is read from the database and from the target's directory, not from the API alone.

BACKUPX_TEST_SEED repeats the moments (not the machine's scheduling); BACKUPX_TEST_LONG: 20 rounds of each.
"""

import http.client
import os
import pathlib
import random
import signal
import sqlite3
import sys
import time
import unittest
import urllib.error

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

import trees  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from suite import FINAL_STATES, Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

ROUNDS = 20 if os.environ.get('BACKUPX_TEST_LONG') else 3
SEED = int(os.environ.get('BACKUPX_TEST_SEED') or time.time_ns())
DATA_MIB = 96
# What a client sees while the API is dead.
GONE = (urllib.error.URLError, ConnectionError, http.client.HTTPException, TimeoutError)


def patiently(call, timeout=30):
    """Repeats a harmless request until the API answers."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return call()
        except GONE:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def jobs_of(suite):
    """Process ids of this suite's jobs, whoever is their parent by now."""
    found = []
    mark = f'BACKUPX_AGENT_STATE_DIR={suite.agent_state}'.encode()
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / 'comm').read_text().strip() == 'backupx-job' and \
                    mark in (entry / 'environ').read_bytes().split(b'\0'):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


class KillTest(unittest.TestCase):
    """One suite for all; each test kills another program."""

    @classmethod
    def setUpClass(cls):
        print(f'seed {SEED}, {ROUNDS} rounds', file=sys.stderr)
        cls.random = random.Random(SEED)
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()
        cls.source = cls.suite.folder / 'source'
        cls.source.mkdir()
        trees.make_small(cls.source)
        (cls.source / 'large').write_bytes(cls.random.randbytes(DATA_MIB * 1024 * 1024))
        cls.storage = cls.suite.storage / 'disk'
        target = cls.suite.make_target('disk', cls.storage)
        cls.task = cls.suite.make_task([cls.source], [target], 'killed', encryption='sealed')
        begun = time.monotonic()
        first = cls.suite.backup(cls.task)
        cls.length = time.monotonic() - begun
        assert first['state'] == 'succeeded', first
        cls.asked = 1

    # --- what happened, from the database and the disk ---

    def query(self, sql, *parameters):
        """Rows of the master's database."""
        database = sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True)
        try:
            return database.execute(sql, parameters).fetchall()
        finally:
            database.close()

    def archives(self, run):
        """Committed archives of a run on the target: those with a manifest."""
        return [path.parent for path in self.storage.glob(f'local/killed/*-{run}-*/manifest.json*')]

    def check_run(self, run):
        """The run's state against what there is."""
        shown = self.suite.client.get(f'runs/{run}')
        found = self.archives(run)
        self.assertLessEqual(len(found), 1, f'run {run} was done twice: {found}')
        accepted = self.query('SELECT count(*) FROM commands WHERE run_id = ? AND accepted <> 0', run)[0][0]
        self.assertLessEqual(accepted, 1, f'run {run} was accepted {accepted} times')
        (target,) = shown['targets']
        if shown['state'] == 'succeeded':
            self.assertEqual(len(found), 1, f'run {run} is green and has no archive')
            self.assertEqual(target['state'], 'succeeded')
            self.assertEqual(str(found[0].relative_to(self.storage)) + '/', target['key'])
        else:
            self.assertNotEqual(target['state'], 'succeeded', f'run {run} is {shown["state"]}')
            self.assertTrue(shown['error'], f'run {run} is {shown["state"]} and does not say why')
        return shown

    def check_restore(self, run):
        """A green run can be restored, whole."""
        where = self.suite.folder / f'restored-{run}'
        where.mkdir()
        again = self.when_reachable(lambda: self.suite.restore(run, where))
        self.assertEqual(again['state'], 'succeeded', again)
        self.assertEqual(trees.differences(self.source, pathlib.Path(f'{where}{self.source}')), [])

    def check_books(self):
        """Nothing is lost, doubled or open."""
        runs = self.query("SELECT id, state FROM runs WHERE kind = 0")
        self.assertEqual(len(runs), type(self).asked, 'a run was lost or doubled')
        self.assertEqual(self.query('SELECT count(*) FROM runs WHERE state < 3')[0][0], 0)
        self.assertEqual(self.query('SELECT count(*) FROM commands WHERE state < 3 OR settled = 0')[0][0], 0)
        self.assertEqual(self.query('PRAGMA integrity_check')[0][0], 'ok')

    # --- asking ---

    def ask(self):
        """Starts the task; the run's id."""
        run = self.when_reachable(lambda: self.suite.run_task(self.task))
        type(self).asked += 1
        return run

    @staticmethod
    def when_reachable(call, timeout=10):
        """Repeats what was refused because a daemon that was just started does not know its siblings yet."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return call()
            except ApiError as error:
                if error.status != 503 or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def newest(self):
        """The newest runs of the task."""
        page = self.suite.client.get(f'runs?task_id={self.task}&limit=20')
        return page['items'] if isinstance(page, dict) else page

    def wait_end(self, run, timeout=60):
        """Waits until the run has ended; tells the logs when it does not."""
        def ended():
            return patiently(lambda: self.suite.client.get(f'runs/{run}'))['state'] in FINAL_STATES
        try:
            wait_until(ended, timeout, f'run {run} having ended')
        except Exception:
            print(self.suite.tails(), file=sys.stderr)
            raise

    # --- killing ---

    def kill_program(self, name):
        """SIGKILL and a new start, as Restart=always does it."""
        self.suite.restart(name, kill=True)

    def kill_job(self):
        """SIGKILL of the job of this moment, if there is one."""
        for pid in jobs_of(self.suite):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def rounds(self, kill):
        """Runs that are disturbed at random moments; the states they ended in."""
        states, told = [], []
        for number in range(ROUNDS):
            pause = self.random.uniform(0, self.length * 1.1)
            with self.subTest(round=number, seed=SEED, pause=round(pause, 3)):
                run = self.ask()
                time.sleep(pause)
                kill()
                self.wait_end(run)
                shown = self.check_run(run)
                states.append(shown['state'])
                told.append(shown['error']['code'] if shown['error'] else shown['state'])
        green = [item['id'] for item in self.newest() if item['state'] == 'succeeded']
        self.check_restore(green[0])
        self.check_books()
        print(f'  {self.id().rsplit(".", 1)[-1]}: {", ".join(told)}', file=sys.stderr)
        return states

    def test_api(self):
        """The agent retries, the run does not notice."""
        states = self.rounds(lambda: self.kill_program('api'))
        self.assertEqual(set(states), {'succeeded'})

    def test_scheduler(self):
        """Its runs are in the store."""
        states = self.rounds(lambda: self.kill_program('scheduler'))
        self.assertEqual(set(states), {'succeeded'})

    def test_dispatcher(self):
        """What it had not done yet it finds in the store."""
        states = self.rounds(lambda: self.kill_program('dispatcher'))
        self.assertEqual(set(states), {'succeeded'})

    def test_agent(self):
        """A job outlives its agent; one that is proved gone is told as such."""
        states = self.rounds(lambda: self.kill_program('agent'))
        self.assertLessEqual(set(states), {'succeeded', 'interrupted', 'failed'})

    def test_job(self):
        """A dead job is a failed run, unless it was done before."""
        states = self.rounds(self.kill_job)
        self.assertLessEqual(set(states), {'succeeded', 'failed', 'interrupted'})

    def test_node(self):
        """Agent and jobs at once, as when the machine goes down: what was running is told as interrupted."""
        def kill():
            self.suite.processes['agent'].kill()
            self.kill_job()
            self.suite.restart('agent')
        states = self.rounds(kill)
        self.assertLessEqual(set(states), {'succeeded', 'interrupted', 'failed'})

    def test_all_masters(self):
        """The three daemons at once: as a power cut of the master, whose disk survives."""
        def kill():
            for name in ('api', 'scheduler', 'dispatcher'):
                self.suite.processes[name].kill()
            for name in ('dispatcher', 'api', 'scheduler'):
                self.suite.restart(name)
        states = self.rounds(kill)
        self.assertEqual(set(states), {'succeeded'})


if __name__ == '__main__':
    unittest.main(verbosity=2)
