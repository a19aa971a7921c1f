#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an administrator does to a node while its agent works: limits, new tokens, switching it off."""

import contextlib
import json
import os
import pathlib
import random
import sqlite3
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

MIB = 1 << 20
# The smallest bandwidth: with it a job of the large sources lasts for minutes, however fast everything else is.
SLOWEST = 64 << 10


class NodeSuite(unittest.TestCase):
    """The node local with a real agent and real jobs; one suite for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        try:
            cls.suite.start()
            cls.relay = cls.suite.make_target('relay', kind='relay')
            cls.tasks = [cls.make_task(f'source{i}', 3 * MIB) for i in range(2)]
            cls.large = [cls.make_task(f'large{i}', 15 * MIB) for i in range(2)]
        except BaseException:
            cls.suite.close()
            raise

    @classmethod
    def make_task(cls, name, size):
        """A task with so much to send."""
        source = cls.suite.folder / name
        source.mkdir()
        (source / 'noise').write_bytes(os.urandom(size))
        return cls.suite.make_task([source], [cls.relay], name=name)

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def tearDown(self):
        self.put(enabled=True)
        self.limit()

    def put(self, **settings):
        """Changes the node."""
        return self.suite.client.put('nodes/1', settings)

    def limit(self, **limits):
        """Limits the node, and waits until its agent knows: each start of it brings a heartbeat."""
        self.put(limits=limits)
        if 'agent' in self.suite.processes:
            self.suite.restart('agent')
        else:
            self.suite.start_agent()
        wanted = {'jobs': 0, 'bandwidth': 0, 'cpu_weight': 0, 'io_weight': 0, **limits}
        file = self.suite.agent_state / 'limits'
        wait_until(lambda: self.kept(file) == wanted, what=f'the limits {wanted}')
        self.suite.wait_online()

    @staticmethod
    def kept(file):
        """The limits that the agent keeps; none where it was never told any."""
        text = file.read_text() if file.exists() else '{}'
        values = json.loads(text)
        return {name: values.get(name, 0) for name in ('jobs', 'bandwidth', 'cpu_weight', 'io_weight')}

    def database(self, statement):
        """Reads the database."""
        path = self.suite.master_state / 'backupx.db'
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
            return connection.execute(statement).fetchall()

    def state(self, run):
        """The state of a run."""
        return self.suite.client.get(f'runs/{run}')['state']

    def job(self, run):
        """The PID of this run's job, as text; None before it is there. Results of others may lie there still."""
        for note in (self.suite.agent_state / 'results').glob('*.job'):
            try:
                if json.loads(note.read_text())['run'] == run:
                    return note.with_suffix('.lock').read_text().strip() or None
            except FileNotFoundError:
                pass
        return None

    def test_bandwidth(self):
        """All jobs of the node together send no faster than it may."""
        self.limit(bandwidth=MIB)
        start = time.monotonic()
        runs = [self.suite.run_task(task) for task in self.tasks]
        for run in runs:
            self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')
        # 6 MiB; what may follow at once after a pause is a quarter of a second's, of each job.
        self.assertGreater(time.monotonic() - start, 5)

    @unittest.skipUnless(os.environ.get('BACKUPX_TEST_LONG'), 'long rounds: takes a minute')
    def test_limit_goes(self):
        """A job that runs hears of its new share."""
        self.limit(bandwidth=256 << 10)
        runs = [self.suite.run_task(task) for task in self.tasks]
        for run in runs:
            wait_until(lambda run=run: self.state(run) == 'running', 60, 'the run')
        start = time.monotonic()
        self.put(limits={})
        for run in runs:
            self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')
        # With its old share of 128 KiB a second each would take 24 s; the news come within 15.
        self.assertLess(time.monotonic() - start, 22)

    def test_jobs(self):
        """One at a time; the other waits and says for what."""
        self.limit(jobs=1, bandwidth=SLOWEST)
        runs = [self.suite.run_task(task) for task in self.large]
        waits = wait_until(
            lambda: [
                item['waits_for']
                for item in self.suite.client.get('queue')['items']
                if 'free place' in (item['waits_for'] or '')
            ],
            60,
            'the one that waits',
        )
        self.assertIn('1 of 1', waits[0])
        wait_until(lambda: 'running' in [self.state(run) for run in runs], what='one of them running')
        self.assertEqual(sorted(self.state(run) for run in runs), ['queued', 'running'])
        first, second = runs if self.state(runs[0]) == 'running' else reversed(runs)
        self.suite.client.post(f'runs/{first}/cancel')
        self.assertEqual(self.suite.wait_run(first)['state'], 'cancelled')
        self.suite.wait_run(second, ('running',))
        self.suite.client.post(f'runs/{second}/cancel')
        self.assertEqual(self.suite.wait_run(second)['state'], 'cancelled')
        first, second = (self.suite.client.get(f'runs/{run}') for run in (first, second))
        self.assertGreaterEqual(second['started_at'], first['finished_at'])

    def test_weights(self):
        """A job that no unit gives a place steps back behind others."""
        self.limit(bandwidth=SLOWEST, cpu_weight=20, io_weight=10)
        run = self.suite.run_task(self.large[0])
        job = wait_until(lambda: self.job(run), what='the job')
        wait_until(lambda: self.state(run) == 'running', 60, 'the run')
        threads = pathlib.Path(f'/proc/{job}/task')
        wait_until(lambda: len(list(threads.iterdir())) > 1, 60, 'the threads of the job')
        nice = []
        for thread in threads.iterdir():
            try:
                nice.append(int((thread / 'stat').read_text().rpartition(')')[2].split()[16]))
            except (FileNotFoundError, ProcessLookupError):
                pass  # it ended meanwhile
        self.assertGreater(len(nice), 1)
        self.assertEqual(set(nice), {7})
        priority = subprocess.run(['ionice', '-p', job], stdout=subprocess.PIPE, check=True, text=True).stdout
        self.assertEqual(priority.strip(), 'best-effort: prio 7')
        self.suite.client.post(f'runs/{run}/cancel')
        self.suite.wait_run(run)

    def test_client(self):
        """The command line: lists, and each act with one sentence."""
        self.suite.client.post('nodes', {'name': 'web-7'})
        run = self.suite.cli
        self.assertIn('web-7: disabled', run('nodes', 'disable', 'web-7').stdout)
        self.assertIn('web-7: enabled', run('nodes', 'enable', 'web-7').stdout)
        self.assertIn('nothing new', run('nodes', 'drain', 'web-7').stdout)
        self.assertIn('work again', run('nodes', 'undrain', 'web-7').stdout)
        self.assertIn('another key', run('nodes', 'reset-identity', 'web-7').stdout)
        rotated = run('nodes', 'rotate-token', 'web-7')
        self.assertTrue(rotated.stdout.startswith('bxn_'))
        self.assertIn('No key of this node', rotated.stderr)
        run('nodes', 'edit', 'web-7', '--label', 'db', '--label', 'eu', '--max-jobs', '3')
        run('nodes', 'edit', 'web-7', '--bandwidth', '1000000')
        shown = json.loads(run('nodes', 'show', 'web-7', '--json').stdout)
        self.assertEqual((shown['labels'], shown['limits']['jobs']), (['db', 'eu'], 3))
        self.assertEqual(shown['limits']['bandwidth'], 1000000)
        reason = 'No agent has been seen yet'
        listed = wait_until(lambda: reason in (text := run('nodes', 'list').stdout) and text, what='the reason')
        for word in ('PENDING', 'TIMEOUTS', 'LAST ERROR', 'db, eu'):
            self.assertIn(word, listed)
        run('nodes', 'edit', 'web-7', '--label', '')
        self.assertEqual(self.suite.client.get(f'nodes/{shown["id"]}')['labels'], [])
        run('nodes', 'edit', 'web-7', '--label', 'db')
        source = self.suite.folder / 'source0'
        run('tasks', 'create', 'pooled', '--node-label', 'db', '--path', str(source), '--target', 'relay')
        run('tasks', 'run', 'pooled')
        why = "an online node with the label 'db'"
        wait_until(lambda: why in run('queue').stdout, what='the reason in the queue')
        self.assertIn('pooled', run('queue').stdout)
        self.assertNotIn('pooled', run('queue', '--node', 'local').stdout)

    def test_rotation_during_a_backup(self):
        """The job uploads, reports and ends while the agent takes a new token over."""
        self.limit(bandwidth=SLOWEST)
        run = self.suite.run_task(self.large[0])
        wait_until(lambda: self.state(run) == 'running', 60, 'the run')
        before = self.database('SELECT max(id) FROM node_tokens WHERE node_id = 1')[0][0]
        self.assertTrue(self.suite.client.post('nodes/1/rotate-token')['handed_over'])
        used = f'SELECT first_used FROM node_tokens WHERE node_id = 1 AND valid_until = 0 AND id > {before}'
        wait_until(lambda: self.database(used)[0][0] > 0, 60, 'the use of the new token', 0.2)
        self.assertEqual(self.state(run), 'running')
        self.put(limits={})  # it hears of that with the next heartbeat
        self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')
        self.assertEqual(self.suite.client.get(f'runs/{run}')['attempt'], 1)
        # What the master was given at its first start does not come back with a restart of it.
        self.suite.restart('api')
        self.suite.restart('agent')
        self.suite.wait_online()
        run = self.suite.run_task(self.tasks[0])
        self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')

    def test_killed_at_the_hand_over(self):
        """Whenever it dies, the next agent is known to the master."""
        dice = random.Random(7)
        self.suite.processes.pop('agent').stop()
        for _ in range(30 if os.environ.get('BACKUPX_TEST_LONG') else 6):
            self.suite.client.post('nodes/1/rotate-token')
            self.suite.start_agent()
            time.sleep(dice.uniform(0, 0.12))
            killed = self.suite.processes.pop('agent')
            killed.kill()
            killed.stop()
        self.suite.start_agent()
        newest = 'SELECT first_used FROM node_tokens WHERE node_id = 1 AND valid_until = 0'
        wait_until(lambda: self.database(newest)[0][0] > 0, 60, 'the use of the newest token', 0.2)
        run = self.suite.run_task(self.tasks[0])
        self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')

    def test_disabled(self):
        """What runs is interrupted, here and there; enabled again it works on."""
        self.limit(bandwidth=SLOWEST)
        run = self.suite.run_task(self.large[0])
        wait_until(lambda: self.state(run) == 'running', 60, 'the run')
        job = wait_until(lambda: self.job(run), what='the job')
        self.put(enabled=False)
        ended = self.suite.wait_run(run)
        self.assertEqual((ended['state'], ended['error']['code']), ('interrupted', 'NODE_DISABLED'))
        log = self.suite.processes['agent'].log
        wait_until(lambda: 'This node was disabled' in log.read_text(), 60, 'the agent saying so')
        wait_until(lambda: not pathlib.Path(f'/proc/{job}').exists(), 60, 'the end of the job')
        # It keeps quiet, once the answers of what it had asked before have come.
        for _ in range(3):
            told = log.read_text().count('No contact with')
            time.sleep(3)
            if log.read_text().count('No contact with') == told:
                break
        else:
            self.fail(log.read_text()[-5000:])
        self.put(enabled=True)
        self.limit()
        run = self.suite.run_task(self.tasks[0])
        self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')


if __name__ == '__main__':
    unittest.main()
