#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent under the real daemons: whatever happens to it or its jobs, the run's state tells the truth."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

MIB = 1 << 20


class AgentInSuite(unittest.TestCase):
    """One suite for all tests; each has its own task."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        try:
            cls.suite.start()
            cls.source = cls.suite.folder / 'source'
            cls.source.mkdir()
            # Text of random letters keeps a strong compression busy for seconds, however fast the disk is.
            for i in range(4):
                (cls.source / f'file{i}').write_bytes(base64.b64encode(os.urandom(9 * MIB // 4)))
            # For minutes: no test waits for the end of that.
            cls.unending = cls.suite.folder / 'unending'
            cls.unending.mkdir()
            for i in range(16):
                (cls.unending / f'file{i}').write_bytes(base64.b64encode(os.urandom(6 * MIB)))
            cls.small = cls.suite.folder / 'small'
            (cls.small / 'secret').mkdir(parents=True)
            (cls.small / 'open').write_text('open')
            (cls.small / 'secret' / 'key').write_text('hunter2')
            cls.target = cls.suite.make_target()
        except BaseException:
            cls.suite.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def tearDown(self):
        if not self.suite.processes['agent'].running():
            self.suite.processes.pop('agent')
            self.suite.start_agent()
        (self.suite.folder / 'policy.yaml').unlink(missing_ok=True)

    def begin(self, name, source=None):
        """A run whose job reads, and compresses slowly."""
        slow = {'algorithm': 'zstd', 'level': 17}
        task = self.suite.make_task([source or self.source], [self.target], name=name, compression=slow)
        run = self.suite.run_task(task)
        wait_until(lambda: self.job(run), 60, 'the job of the run')
        wait_until(lambda: self.suite.client.get(f'runs/{run}')['state'] == 'running', 60, 'the run')
        time.sleep(0.3)
        return run

    def connections(self):
        """How many the agent has to the master."""
        agent = pathlib.Path(f'/proc/{self.suite.processes["agent"].process.pid}')
        own = set()
        for fd in agent.joinpath('fd').iterdir():
            try:
                own.add(os.readlink(fd))
            except FileNotFoundError:
                pass  # closed meanwhile
        rows = [line.split() for line in agent.joinpath('net/tcp').read_text().splitlines()[1:]]
        return sum(f'socket:[{row[9]}]' in own and int(row[2].split(':')[1], 16) == self.suite.port for row in rows)

    @unittest.skipUnless(os.environ.get('BACKUPX_TEST_LONG'), 'long rounds: takes half a minute')
    def test_one_connection(self):
        """An idle agent costs the master one: its heartbeats and long polls go over the same. Whoever is late by
        seconds, on a busy machine, is spoken to over another one: then the next heartbeat counts."""
        beats = []

        def quiet_between_beats():
            now = self.suite.node(1)['last_seen']
            if not beats or now != beats[-1]:
                if beats and seen == {1}:
                    return True
                beats.append(now)
                seen.clear()
            seen.add(self.connections())
            return False

        seen = set()
        wait_until(quiet_between_beats, 120, 'two heartbeats with one connection between them', 0.2)

    def job(self, run):
        """The PID of this run's job; None before it is there. What others left may lie there still."""
        for note in (self.suite.agent_state / 'results').glob('*.job'):
            try:
                if json.loads(note.read_text())['run'] == run:
                    return int(note.with_suffix('.lock').read_text() or 0) or None
            except FileNotFoundError:
                pass
        return None

    def archives(self, run):
        """What the run left under final names."""
        return [p for p in (self.suite.storage / 'disk').rglob('manifest*') if f'-{run}-' in str(p)]

    def test_cancel(self):
        """Soon, and nothing is left."""
        run = self.begin('cancel', self.unending)
        start = time.monotonic()
        self.suite.client.post(f'runs/{run}/cancel')
        ended = self.suite.wait_run(run)
        self.assertEqual(ended['state'], 'cancelled')
        self.assertLess(time.monotonic() - start, 50)
        self.assertEqual(self.archives(run), [])

    def test_job_killed(self):
        """Failed, and why."""
        run = self.begin('killed', self.unending)
        os.kill(self.job(run), signal.SIGKILL)
        ended = self.suite.wait_run(run)
        self.assertEqual(ended['state'], 'failed')
        self.assertIn(
            'killed', ended['error']['message'] if isinstance(ended['error'], dict) else ended['error']
        )
        self.assertEqual(self.archives(run), [])

    def test_agent_killed(self):
        """The job goes on; the next agent delivers its result."""
        run = self.begin('agent-killed')
        self.suite.restart('agent', kill=True)
        ended = self.suite.wait_run(run)
        self.assertEqual(ended['state'], 'succeeded', ended)
        self.assertEqual(len(self.archives(run)), 1)

    def test_agent_and_job_killed(self):
        """Known at once, not after ten minutes of silence."""
        run = self.begin('both-killed', self.unending)
        job = self.job(run)
        start = time.monotonic()
        self.suite.processes['agent'].kill()
        os.kill(job, signal.SIGKILL)
        self.suite.restart('agent')
        ended = self.suite.wait_run(run)
        self.assertIn(ended['state'], ('failed', 'interrupted'))
        self.assertLess(time.monotonic() - start, 300)
        self.assertEqual(self.archives(run), [])

    def test_agent_stopped(self):
        """Its own children end with it, and the run says so."""
        run = self.begin('stopped', self.unending)
        self.suite.restart('agent')
        ended = self.suite.wait_run(run)
        self.assertEqual(ended['state'], 'failed')
        self.assertIn('stopped', str(ended['error']))

    def test_queued_while_away(self):
        """A run that finds no agent waits for it."""
        self.suite.processes['agent'].stop()
        task = self.suite.make_task([self.small], [self.target], name='away')
        run = self.suite.run_task(task)
        time.sleep(1)
        self.assertEqual(self.suite.client.get(f'runs/{run}')['state'], 'queued')
        self.suite.processes.pop('agent')
        self.suite.start_agent()
        self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')

    def test_api_away(self):
        """An outage of the API in the middle of a run costs nothing."""
        run = self.begin('api-away')
        self.suite.restart('api', kill=True)
        self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')

    def test_policy(self):
        """Refused with the rule; below an allowed source: left out and not green."""
        (self.suite.folder / 'policy.yaml').write_text(f'backup:\n  deny: [{self.small}/secret]\n')
        denied = self.suite.make_task([self.small / 'secret'], [self.target], name='denied')
        ended = self.suite.backup(denied)
        self.assertEqual(ended['state'], 'failed')
        self.assertIn(f'backup.deny: {self.small}/secret', str(ended['error']))
        around = self.suite.make_task([self.small], [self.target], name='around')
        ended = self.suite.backup(around)
        self.assertEqual(ended['state'], 'partial')
        self.assertIn('secret', self.suite.logs(ended['id']) + str(ended))

    def test_target_test(self):
        """Through a probe; outside of what the host allows it says the command that would help."""
        answer = self.suite.client.post(f'targets/{self.target}/test')
        self.assertIn('free_bytes', str(answer))
        outside = self.suite.folder / 'outside'
        target = self.suite.make_target('outside', outside)
        try:
            answer = str(self.suite.client.post(f'targets/{target}/test'))
        except ApiError as error:
            answer = str(error)
        self.assertIn(f'backupx agent allow-storage {outside}', answer)

    def test_probe_beside_backups(self):
        """Two backups fill the node; a probe is answered all the same."""
        runs = [self.begin('fill-1'), self.begin('fill-2')]
        start = time.monotonic()
        self.suite.client.post(f'targets/{self.target}/test')
        self.assertLess(time.monotonic() - start, 30)
        for run in runs:
            self.assertEqual(self.suite.wait_run(run)['state'], 'succeeded')

    def busctl(self, *arguments):
        """On the private bus."""
        result = subprocess.run(
            ['busctl', f'--address=unix:path={self.suite.run}/bus', *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout

    def test_bus(self):
        """org.backupx.Agent1, for people on the host."""
        name, path = 'org.backupx.Agent1', '/org/backupx/Agent1'
        connected = ('get-property', name, path, name, 'Connected')
        wait_until(lambda: self.busctl(*connected) == 'b true\n', 60, 'contact')
        self.assertEqual(self.busctl('get-property', name, path, name, 'Node'), 's "local"\n')
        self.assertIn(self.suite.server, self.busctl('get-property', name, path, name, 'Master'))
        self.assertIn('"State" s "connected"', self.busctl('call', name, path, name, 'Status'))
        report = self.busctl('call', name, path, name, 'Check')
        self.assertIn('sa(ssss) "ok"', report)
        self.assertIn('"contact" "ok"', report)
        run = self.begin('bus', self.unending)
        self.assertIn('"backup" "running"', self.busctl('call', name, path, name, 'ListJobs'))
        self.suite.client.post(f'runs/{run}/cancel')
        self.suite.wait_run(run)
        self.busctl(
            'set-property',
            name,
            '/org/freedesktop/LogControl1',
            'org.freedesktop.LogControl1',
            'LogLevel',
            's',
            'info',
        )


if __name__ == '__main__':
    unittest.main()
