#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each program of the suite at random moments during runs.

Whatever is killed and started again: every run that was asked for exists once, ends by itself, has at most
one archive or snapshot, and its state tells the truth: a green run has it, whole and restorable; a run that is
not green says why. What happened is read from the database and from the target's directory, not from the API
alone; of repositories stock restic says what they are worth.

BACKUPX_TEST_SEED repeats the moments (not the machine's scheduling); BACKUPX_TEST_LONG: 20 rounds of each.
"""

import hashlib
import http.client
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unittest
import urllib.error

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

import trees  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from processes import Failed  # noqa: E402 pylint: disable=wrong-import-position
from suite import FINAL_STATES, Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
ROUNDS = 20 if LONG else 3
SEED = int(os.environ.get('BACKUPX_TEST_SEED') or time.time_ns())
DATA_MIB = 96
# What a client sees while the API is dead.
GONE = (urllib.error.URLError, ConnectionError, http.client.HTTPException, TimeoutError)


def patiently(call, timeout=120):
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


def is_gone(pid):
    """Whether a process and all of its threads have let go of what they held."""
    try:
        state = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        return state in 'ZX' and len(os.listdir(f'/proc/{pid}/task')) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_unseen(pid):
    """Whether it is a job whose end nobody has looked at yet: stock restic takes its lock for held. An orphan's is for
    the first process of the machine, which may take its time."""
    try:
        return '(backupx-job) Z' in pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def restic(repository, password, *arguments):
    """What stock restic prints."""
    done = subprocess.run(['restic', '--no-cache', '-r', repository, *arguments], capture_output=True, check=False,
                          env={**os.environ, 'RESTIC_PASSWORD': password})
    assert done.returncode == 0, done.stderr.decode(errors='replace')
    return done.stdout


class KillCase(unittest.TestCase):
    """One suite for all tests of a class; each kills another program."""

    kind = None  # of the target
    format = 'archive'

    @classmethod
    def setUpClass(cls):
        if not cls.kind:
            raise unittest.SkipTest('only a frame')
        print(f'seed {SEED}, {ROUNDS} rounds', file=sys.stderr)
        cls.random = random.Random(SEED)
        cls.killed = []  # jobs
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()
        cls.source = cls.suite.folder / 'source'
        cls.source.mkdir()
        trees.make_small(cls.source)
        cls.write_large()
        cls.target = cls.suite.make_target('disk', kind=cls.kind)
        cls.storage = cls.suite.storage / 'disk' if cls.kind == 'local' else cls.suite.master_state / 'relay'
        cls.task = cls.suite.make_task([cls.source], [cls.target], 'killed', encryption='sealed', format=cls.format)
        begun = time.monotonic()
        first = cls.suite.backup(cls.task)
        cls.length = time.monotonic() - begun
        assert first['state'] == 'succeeded', first
        cls.first = first['id']
        cls.asked = 1

    @classmethod
    def write_large(cls):
        """A file that takes a while."""
        (cls.source / 'large').write_bytes(cls.random.randbytes(DATA_MIB * 1024 * 1024))

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
        return [path.parent for path in self.storage.glob(f'**/local/killed/*-{run}-*/manifest.json*')]

    def check_target(self, run, target):
        """A green target has what it names."""
        found = self.archives(run)
        self.assertLessEqual(len(found), 1, f'run {run} was done twice: {found}')
        if target['state'] == 'succeeded':
            self.assertEqual(len(found), 1, f'run {run} is green and has no archive')
            self.assertTrue(f'{found[0]}/'.endswith('/' + target['key']), (found, target))

    def check_run(self, run):
        """The run's state against what there is."""
        shown = self.suite.client.get(f'runs/{run}')
        accepted = self.query('SELECT count(*) FROM commands WHERE run_id = ? AND accepted <> 0', run)[0][0]
        self.assertLessEqual(accepted, 1, f'run {run} was accepted {accepted} times')
        (target,) = shown['targets']
        self.check_target(run, target)
        if shown['state'] == 'succeeded':
            self.assertEqual(target['state'], 'succeeded')
        else:
            self.assertNotEqual(target['state'], 'succeeded', f'run {run} is {shown["state"]}')
            self.assertTrue(shown['error'], f'run {run} is {shown["state"]} and does not say why')
        return shown

    def check_restore(self, run):
        """A green run can be restored, whole."""
        where = self.suite.folder / f'restored-{run}-{time.monotonic_ns()}'
        where.mkdir()
        again = self.when_reachable(lambda: self.suite.restore(run, where))
        self.assertEqual(again['state'], 'succeeded', again)
        self.check_content(run, pathlib.Path(f'{where}{self.source}'))

    def check_content(self, _, restored):
        """What was restored is what was saved."""
        self.assertEqual(trees.differences(self.source, restored), [])

    def check_books(self):
        """Nothing is lost, doubled or open."""
        runs = self.query("SELECT id, state FROM runs WHERE kind = 0")
        self.assertEqual(len(runs), type(self).asked, 'a run was lost or doubled')
        self.assertEqual(self.query('SELECT count(*) FROM runs WHERE state < 3')[0][0], 0)
        still = 'SELECT id, run_id, state, settled FROM commands WHERE state < 3 OR settled = 0'
        wait_until(lambda: not self.query(still), what='the end of all commands')
        self.assertEqual(self.query('PRAGMA integrity_check')[0][0], 'ok')

    # --- asking ---

    def ask(self):
        """Starts the task; the run's id."""
        run = self.when_reachable(lambda: self.suite.run_task(self.task))
        type(self).asked += 1
        return run

    @staticmethod
    def when_reachable(call, timeout=60):
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
        page = self.suite.client.get(f'runs?task_id={self.task}&kind=backup&limit=20')
        return [item for item in page['items'] if item['kind'] == 'backup']

    def wait_end(self, run, timeout=240):
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
        """SIGKILL of the job of this moment, to its end; whether there was one."""
        jobs = jobs_of(self.suite)
        for pid in jobs:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: all(map(is_gone, jobs)), what=f'the end of {jobs}')
        self.killed += jobs
        return bool(jobs)

    def rounds(self, kill, allowed=('succeeded',)):
        """Runs that are disturbed at random moments. Where something was killed that a run cannot do without,
        the codes that tell so are allowed; where nothing was, it has to succeed."""
        told = []
        for number in range(ROUNDS):
            pause = self.random.uniform(0, self.length * 1.1)
            with self.subTest(round=number, seed=SEED, pause=round(pause, 3)):
                run = self.ask()
                time.sleep(pause)
                hit = kill()
                self.wait_end(run)
                shown = self.check_run(run)
                told.append(f"{shown['state']}/{shown['error']['code']}" if shown['error'] else shown['state'])
                self.assertIn(told[-1], allowed if hit in (None, True) else ('succeeded',), shown)
        green = [item['id'] for item in self.newest() if item['state'] == 'succeeded']
        self.check_restore(green[0] if green else self.first)
        self.check_books()
        print(f'  {self.id().rsplit(".", 1)[-1]}: {", ".join(told)}', file=sys.stderr)


class LocalKillTest(KillCase):
    """The job writes to a disk of its own machine."""

    kind = 'local'

    def test_api(self):
        """The agent retries, the run does not notice."""
        self.rounds(lambda: self.kill_program('api'))

    def test_scheduler(self):
        """Its runs are in the store."""
        self.rounds(lambda: self.kill_program('scheduler'))

    def test_dispatcher(self):
        """What it had not done yet it finds in the store."""
        self.rounds(lambda: self.kill_program('dispatcher'))

    def test_agent(self):
        """A job outlives its agent; what was not begun is begun by the next one."""
        self.rounds(lambda: self.kill_program('agent'))

    def test_job(self):
        """A dead job is a failed run, unless it was done before."""
        self.rounds(self.kill_job, ('succeeded', 'failed/JOB_KILLED'))

    def test_node(self):
        """Agent and jobs at once, as when the machine goes down: what ran is told as interrupted. (An agent
        that starts while a killed job still holds its lock sees it end: that one is told as killed.)"""
        def kill():
            self.suite.processes['agent'].kill()
            hit = self.kill_job()
            self.suite.restart('agent')
            return hit
        self.rounds(kill, ('succeeded', 'interrupted/AGENT_RESTARTED'))

    def test_all_masters(self):
        """The three daemons at once: as a power cut of the master, whose disk survives."""
        def kill():
            for name in ('api', 'scheduler', 'dispatcher'):
                self.suite.processes[name].kill()
            for name in ('dispatcher', 'api', 'scheduler'):
                self.suite.restart(name)
        self.rounds(kill)


class RelayKillTest(KillCase):
    """The job writes through the API."""

    kind = 'relay'

    def test_api(self):
        """The job sends again what was not acknowledged."""
        self.rounds(lambda: self.kill_program('api'))

    def test_job(self):
        """What a dead job had sent is no archive."""
        self.rounds(self.kill_job, ('succeeded', 'failed/JOB_KILLED'))


class RepositoryKillCase(KillCase):
    """The same for a task of format repository: all runs write to the one repository, and each has something new
    to store."""

    format = 'repository'
    digests = {}  # run -> of its large file

    @classmethod
    def setUpClass(cls):
        if not LONG:
            raise unittest.SkipTest('long rounds: those of archives show it, and chaos has tasks of both formats')
        cls.digests = {}
        super().setUpClass()
        cls.digests[cls.first] = trees.digest(cls.source / 'large')

    @property
    def repository(self):
        """Its directory."""
        config, = self.storage.rglob('config')
        return config.parent

    def snapshots(self):
        """Names of all that are there."""
        return os.listdir(self.repository / 'snapshots')

    def ask(self):
        self.write_large()
        digest = trees.digest(self.source / 'large')
        run = super().ask()
        self.digests[run] = digest
        return run

    def check_target(self, run, target):
        if target['state'] == 'succeeded':
            self.assertIn(target['snapshot_id'], self.snapshots(), f'run {run} is green and has no snapshot')

    def check_content(self, run, restored):
        self.assertEqual(trees.differences(self.source, restored, ['large']), [])
        self.assertEqual(trees.digest(restored / 'large'), self.digests[run])

    def check_books(self):
        """Stock restic finds nothing wrong, and every green run, from the first to the last."""
        super().check_books()
        green = self.query('SELECT r.id, t.snapshot FROM runs r JOIN run_targets t ON t.run_id = r.id'
                           ' WHERE r.kind = 0 AND r.state = 3 AND t.target_id = ?', self.target)
        there = self.snapshots()
        self.assertEqual(len({snapshot for _, snapshot in green}), len(green), 'two runs share a snapshot')
        self.assertLessEqual({snapshot for _, snapshot in green}, set(there))
        self.assertLessEqual(len(there), type(self).asked, 'a run was done twice')
        password = self.suite.repository_password(self.target)
        wait_until(lambda: not any(map(is_unseen, self.killed)), what='somebody to see the end of what was killed')
        restic(self.repository, password, 'unlock')
        restic(self.repository, password, 'check', '--read-data')
        for run, snapshot in green:
            out = restic(self.repository, password, 'dump', snapshot, self.source / 'large')
            self.assertEqual(hashlib.sha256(out).hexdigest(), self.digests[run], f'run {run}')


class LocalRepositoryKillTest(RepositoryKillCase, LocalKillTest):
    """The repository is on a disk of the job's machine."""

    def test_first_run(self):
        """Killed while the repository is made: the next run goes on with what there is of it."""
        for number in range(ROUNDS):
            name = f'first-{number}'
            pause = self.random.uniform(0, 0.6)
            with self.subTest(round=number, seed=SEED, pause=round(pause, 3)):
                target = self.suite.make_target(name)
                task = self.suite.make_task([self.source / 'documents'], [target], name, format='repository')
                run = self.suite.run_task(task)
                time.sleep(pause)
                self.kill_job()
                self.wait_end(run)
                again = self.suite.backup(task)
                type(self).asked += 2
                self.assertEqual(again['state'], 'succeeded', self.suite.logs(again['id']))
                config, = (self.suite.storage / name).rglob('config')
                password = self.suite.repository_password(target)
                restic(config.parent, password, 'unlock')
                restic(config.parent, password, 'check', '--read-data')


class RelayRepositoryKillTest(RepositoryKillCase, RelayKillTest):
    """The repository is written through the API."""


class ChaosTest(unittest.TestCase):
    """Everything at once: several tasks of both kinds of targets, cancellations and restores, while all
    programs are killed again and again. Then quiet, and the books are compared."""

    TASKS = 5
    REPOSITORIES = (3, 4)  # of the tasks; one on each target
    SECONDS = 180 if ROUNDS == 20 else 15

    def setUp(self):
        self.random = random.Random(SEED)
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.suite.start()
        self.lock = threading.Lock()
        self.told = set()      # runs that the API said exist
        self.restores = {}     # run of a restore -> (directory, task)
        self.tasks = {}        # task -> source
        self.targets = targets = [self.suite.make_target('disk'), self.suite.make_target('relay', kind='relay')]
        for number in range(self.TASKS):
            source = self.suite.folder / f'source-{number}'
            source.mkdir()
            trees.make_small(source)
            (source / 'large').write_bytes(self.random.randbytes(8 * 1024 * 1024))
            task = self.suite.make_task([source], [targets[number % 2]], f'task-{number}', encryption='sealed',
                                        format='repository' if number in self.REPOSITORIES else 'archive')
            self.tasks[task] = source
        self.end = time.monotonic() + self.SECONDS

    def ask(self, task, number):
        """Asks for runs of one task, cancels some, restores some, until the time is over."""
        chance = random.Random(SEED + number)
        while time.monotonic() < self.end:
            if number in self.REPOSITORIES:  # something new to store, also while it is read
                (self.tasks[task] / 'noise').write_bytes(chance.randbytes(1 << 20))
            try:
                run = self.suite.run_task(task)
                with self.lock:
                    self.told.add(run)
                time.sleep(chance.uniform(0, 0.8))
                if chance.random() < 0.15:
                    self.suite.client.post(f'runs/{run}/cancel')
                elif chance.random() < 0.3:
                    page = self.suite.client.get(f'runs?task_id={task}&kind=backup&state=succeeded&limit=5')
                    if page['items']:
                        self.restore(page['items'][0]['id'], task)
            except GONE:
                time.sleep(0.05)
            except ApiError as error:
                # It overlaps; it has ended before it could be cancelled; a daemon is away.
                if error.status not in (409, 503):
                    raise
                time.sleep(0.05)

    def restore(self, run, task):
        """Asks for a restore into a directory of its own."""
        where = self.suite.folder / f'restored-{run}-{time.monotonic_ns()}'
        where.mkdir()
        answer = self.suite.client.post(f'runs/{run}/restore', {
            'destination': {'node_id': 1, 'path': str(where)}, 'paths': [], 'conflict': 'fail'})
        with self.lock:
            self.told.add(answer['run_id'])
            self.restores[answer['run_id']] = (where, task)

    def kill_some(self):
        """Kills one program after the other; the count."""
        kills = 0
        while time.monotonic() < self.end:
            time.sleep(self.random.uniform(0.2, 1.5))
            victim = self.random.choice(['api', 'scheduler', 'dispatcher', 'agent', 'job'])
            if victim == 'job':
                for pid in jobs_of(self.suite)[:1]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass  # it has just ended
            else:
                self.suite.restart(victim, kill=True)
            kills += 1
        return kills

    def rows(self, sql):
        """Rows of the master's database."""
        database = sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def archives(self, run):
        """Committed archives of a run, wherever."""
        return [path for folder in (self.suite.storage, self.suite.master_state / 'relay')
                for path in folder.glob(f'**/local/*/*-{run}-*/manifest.json*')]

    def check(self):
        """What everybody was told, the database and the disks must agree."""
        states = dict(self.rows('SELECT id, state FROM runs'))
        self.assertEqual(self.told - set(states), set(), 'runs that were told and lost')
        for run, kind, state, error in self.rows('SELECT id, kind, state, error FROM runs'):
            if state not in (3, 6):
                self.assertTrue(error, f'run {run} is in state {state} and does not say why')
            if kind == 0:
                self.assertLessEqual(len(self.archives(run)), 1, f'run {run} was done twice')
                named = f"SELECT 1 FROM run_targets WHERE run_id = {run} AND snapshot <> ''"
                if state == 3 and not self.rows(named):
                    self.assertEqual(len(self.archives(run)), 1, f'run {run} is green and has no archive')
            elif state == 3 and run in self.restores:
                where, task = self.restores[run]
                source = self.tasks[task]
                found = trees.differences(source, pathlib.Path(f'{where}{source}'), ['noise'])
                self.assertEqual(found, [], f'run {run}')
        self.assertEqual(self.rows('SELECT run_id FROM commands WHERE accepted <> 0 AND run_id IS NOT NULL'
                                   ' GROUP BY run_id HAVING count(*) > 1'), [])
        self.assertEqual(self.rows("SELECT r.run_id FROM run_targets r JOIN runs x ON x.id = r.run_id"
                                   " WHERE r.state = 0 OR (r.state = 1 AND x.state NOT IN (3, 4))"), [])
        self.assertEqual(self.rows('PRAGMA integrity_check')[0][0], 'ok')

    def check_repositories(self):
        """Stock restic finds nothing wrong, and no run lost or doubled."""
        for target, folder, task in zip(self.targets, [self.suite.storage, self.suite.master_state / 'relay'],
                                        [self.REPOSITORIES[1], self.REPOSITORIES[0]]):
            there = set()
            for config in folder.rglob('config'):  # none yet, where everything is slow
                password = self.suite.repository_password(target)
                restic(config.parent, password, 'unlock', '--remove-all')
                restic(config.parent, password, 'check', '--read-data')
                there.update(path.name for path in config.parent.glob('snapshots/*'))
            rows = self.rows('SELECT r.state, t.snapshot FROM runs r JOIN run_targets t ON t.run_id = r.id WHERE'
                             f' r.kind = 0 AND t.target_id = {target} AND r.task_id = {list(self.tasks)[task]}')
            self.assertLessEqual({snapshot for state, snapshot in rows if state == 3}, there)
            self.assertLessEqual(len(there), len(rows), 'a run was done twice')

    def test_chaos(self):
        """Nothing is lost, doubled, unfinished or green without reason."""
        print(f'seed {SEED}, {self.SECONDS} s', file=sys.stderr)
        threads = [threading.Thread(target=self.ask, args=[task, number])
                   for number, task in enumerate(self.tasks)]
        for thread in threads:
            thread.start()
        kills = self.kill_some()
        for thread in threads:
            thread.join()
        try:
            wait_until(lambda: not self.rows('SELECT id FROM runs WHERE state < 3') and
                       not self.rows('SELECT id FROM commands WHERE settled = 0'), 300, 'the end of all runs')
        except Failed:
            print(self.rows('SELECT id, kind, state, command_id FROM runs WHERE state < 3'),
                  self.rows('SELECT id, run_id, state, attempt, cancel FROM commands WHERE settled = 0'),
                  self.suite.tails(), file=sys.stderr)
            raise
        self.check()
        self.check_repositories()
        counts = self.rows('SELECT kind, state, error_code, count(*) FROM runs GROUP BY 1, 2, 3')
        print(f'  {kills} kills; runs by kind, state, reason: {counts}', file=sys.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
