#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of a node: what they find, where it is shown, and that it goes away when it is mended."""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

BUS = ('org.backupx.Agent1', '/org/backupx/Agent1', 'org.backupx.Agent1')


def put_tool(folder, name, script):
    """A program of the host, in one piece: one that is being written cannot be started."""
    new = folder / f'.{name}'
    new.write_text(f'#!/bin/sh\n{script}\n')
    new.chmod(0o755)
    new.rename(folder / name)


class CheckSuite(unittest.TestCase):
    """One suite for all tests; its tools are scripts in a folder, its agent's clock can be set."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix='backupx-tools-')
        cls.tools = pathlib.Path(cls.place.name)
        put_tool(cls.tools, 'pg_dump', 'echo "pg_dump (PostgreSQL) 15.6"')
        cls.suite = Suite(environment={'BACKUPX_AGENT_TOOLS_PATH': cls.tools})
        cls.clock = cls.suite.folder / 'clock'
        try:
            cls.suite.start()
        except BaseException:
            cls.suite.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()
        cls.place.cleanup()

    def setUp(self):
        self.policy = self.suite.folder / 'policy.yaml'
        self.policy.unlink(missing_ok=True)

    def tearDown(self):
        self.policy.unlink(missing_ok=True)

    def check(self):
        """(report, items by name)."""
        report = self.suite.client.post('nodes/1/check')
        return report, {item['name']: item for item in report['items']}

    def bus_check(self):
        """By somebody on the host."""
        address = f'--address=unix:path={self.suite.run}/bus'
        result = subprocess.run(
            ['busctl', address, '--json=short', 'call', *BUS, 'Check'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        self.assertEqual(result.returncode, 0, result.stdout)
        state, items = json.loads(result.stdout)['data']
        return state, {item[0]: item[1:] for item in items}

    def wait_node(self, condition, what, timeout=120):
        """Waits for what the node shows."""
        wait_until(lambda: condition(self.suite.node()), timeout, what)

    def test_well(self):
        report, items = self.check()
        self.assertEqual((report['state'], report['summary'], report['source']), ('ok', None, 'master'))
        for name in ('contact', 'tls', 'token', 'clock', 'policy', 'state', 'jobs', 'results', 'tools'):
            self.assertEqual(items[name]['state'], 'ok', items[name])
        self.assertEqual(report['tools']['pg_dump'], '15.6')
        node = self.suite.node()
        self.assertEqual(node['last_check'], report)
        self.wait_node(lambda node: node['health'] == 'healthy', 'health')

    def test_cli(self):
        answer = self.suite.cli('nodes', 'check', 'local')
        self.assertIn('pg_dump 15.6', answer.stdout)
        self.assertRegex(answer.stdout, r'ok +contact +http')
        report = json.loads(self.suite.cli('nodes', 'check', '--json', 'local').stdout)
        self.assertEqual(report['state'], 'ok')
        self.policy.write_text('backup: [\n')
        answer = self.suite.cli('nodes', 'check', 'local', check=False)
        self.assertEqual(answer.returncode, 1)
        self.assertIn('policy', answer.stderr)
        self.policy.unlink()
        self.check()

    def test_policy(self):
        """Told with file and line, though nothing else may be done under such a policy."""
        self.policy.write_text('backup:\n  allow: [/etc]\nlisting: nonsense\n')
        report, items = self.check()
        self.assertEqual((report['state'], items['policy']['state']), ('error', 'error'))
        self.assertIn(f'{self.policy}:3', items['policy']['text'])
        self.assertIn('Correct the file', items['policy']['hint'])
        with self.assertRaises(ApiError):
            self.suite.client.get('nodes/1/directories')
        self.wait_node(lambda node: node['health'] == 'degraded', 'degraded health')
        self.assertIn('check', str(self.suite.node()['health_reason']))
        self.policy.unlink()
        self.assertEqual(self.check()[0]['state'], 'ok')
        self.wait_node(lambda node: node['health'] == 'healthy', 'health')
        self.assertIsNone(self.suite.node()['health_reason'])

    def test_storage(self):
        """A disk that is not mounted, with the command that helps."""
        self.policy.write_text('storage:\n  allow: [/nowhere/disk]\n')
        report, _ = self.check()
        bad = [item for item in report['items'] if item['state'] == 'error']
        self.assertEqual([item['name'] for item in bad], ['storage'])
        self.assertIn('/nowhere/disk', bad[0]['text'])
        self.assertIn('backupx agent allow-storage /nowhere/disk', bad[0]['hint'])
        self.assertIn('1 error: storage', report['summary'])
        self.policy.unlink()
        self.check()

    def test_on_the_host(self):
        """Over the bus: the same report, and the master has it, too."""
        self.policy.write_text('nonsense: 1\n')
        state, items = self.bus_check()
        self.assertEqual((state, items['policy'][0]), ('error', 'error'))
        self.assertEqual(items['reading'][0], 'ok')
        self.wait_node(lambda node: node['last_check']['source'] == 'agent', 'the report')
        self.wait_node(lambda node: node['health'] == 'degraded', 'degraded health')
        self.policy.unlink()
        self.assertEqual(self.bus_check()[0], 'ok')
        self.wait_node(lambda node: node['health'] == 'healthy', 'health')

    def local_check(self, *arguments):
        """backupx agent check."""
        return self.suite.cli(
            'agent', 'check', *arguments,
            check=False,
            environment={
                'DBUS_SYSTEM_BUS_ADDRESS': f'unix:path={self.suite.run}/bus',
                'BACKUPX_LIBEXECDIR': str(self.suite.build / 'agent'),
            },
        )

    def test_command_on_the_host(self):
        answer = self.local_check()
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertRegex(answer.stdout, r'(?m)^ok +contact +http')
        self.assertIn('found no error', answer.stderr)
        self.policy.write_text('nonsense: 1\n')
        answer = self.local_check('--instance', 'default')
        self.assertEqual(answer.returncode, 1)
        self.assertRegex(answer.stdout, r'(?m)^error +policy .*\n +Correct the file')
        self.assertIn('found 1 error', answer.stderr)
        self.policy.unlink()
        answer = self.local_check('--instance', 'other')
        self.assertEqual(answer.returncode, 1)
        self.assertIn('No agent is at org.backupx.Agent1.i_other', answer.stderr)
        self.check()

    def test_instance(self):
        """The agent of a further master has a name of its own."""
        self.suite.processes.pop('agent').stop()
        self.suite.start_agent(BACKUPX_AGENT_INSTANCE='second-one')
        try:
            self.suite.wait_online()
            answer = self.local_check('--instance', 'second-one')
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertIn('org.backupx.Agent1.i_second_2done', answer.stderr)
            self.assertEqual(self.local_check().returncode, 1)
        finally:
            self.suite.processes.pop('agent').stop()
            self.suite.start_agent()
            self.suite.wait_online()

    def test_tools(self):
        """A program that is replaced, comes or goes is seen without anybody asking; one that hangs is told."""
        self.wait_node(lambda node: node['host']['tools'] == {'pg_dump': '15.6'}, 'the tools')
        put_tool(self.tools, 'pg_dump', 'echo "pg_dump (PostgreSQL) 16.1"')
        put_tool(self.tools, 'restic', 'echo restic 0.14.0')
        self.bus_check()  # with a heartbeat
        self.wait_node(
            lambda node: node['host']['tools'] == {'pg_dump': '16.1', 'restic': '0.14.0'}, 'the tools'
        )
        put_tool(self.tools, 'restic', 'exec sleep 1000')
        report, items = self.check()
        self.assertEqual(items['tools']['state'], 'warning')
        self.assertEqual(report['tools'], {'pg_dump': '16.1', 'restic': '?'})
        self.assertEqual(report['state'], 'warning')
        (self.tools / 'restic').unlink()
        put_tool(self.tools, 'pg_dump', 'echo "pg_dump (PostgreSQL) 15.6"')
        self.bus_check()
        self.wait_node(lambda node: node['host']['tools'] == {'pg_dump': '15.6'}, 'the tools')

    def test_jobs_that_do_not_start(self):
        """The answer comes all the same, and says so."""
        job = self.suite.agent_environment()['BACKUPX_AGENT_JOB']
        self.suite.processes.pop('agent').stop()
        self.suite.start_agent(BACKUPX_AGENT_JOB='/bin/false')
        try:
            self.suite.wait_online()
            state, items = self.bus_check()
            self.assertEqual((state, items['probe'][0]), ('error', 'error'))
            self.assertIn('No job answered', items['probe'][1])
        finally:
            self.suite.processes.pop('agent').stop()
            self.suite.start_agent(BACKUPX_AGENT_JOB=job)
            self.suite.wait_online()
            self.check()

    def test_offline(self):
        node = self.suite.client.post('nodes', {'name': 'away'})['id']
        with self.assertRaises(ApiError) as caught:
            self.suite.client.post(f'nodes/{node}/check')
        self.assertEqual(caught.exception.code, 'NODE_OFFLINE')
        self.assertIsNone(self.suite.node(node)['last_check'])

    def test_clock(self):
        """An hour off is told, on both sides; and it changes nothing else."""
        source = self.suite.folder / 'source'
        source.mkdir()
        (source / 'file').write_text('content')
        task = self.suite.make_task([source], [self.suite.make_target()], name='clock')
        self.suite.processes.pop('agent').stop()
        self.clock.write_text('3600')
        self.suite.start_agent(
            LD_PRELOAD=self.suite.build / 'tests' / 'bus' / 'libclock-shim.so',
            BACKUPX_TEST_CLOCK=self.clock,
        )
        try:
            self.wait_node(
                lambda node: abs(node['host']['clock_skew_ms'] - 3_600_000) < 5000, 'the skew'
            )
            report, items = self.check()
            self.assertEqual((report['state'], items['clock']['state']), ('error', 'error'))
            self.assertRegex(items['clock']['text'], r'3(600|59\d) s ahead of')
            self.assertIn('timedatectl', items['clock']['hint'])
            self.wait_node(lambda node: node['health'] == 'degraded', 'degraded health')
            self.assertEqual(self.suite.backup(task)['state'], 'succeeded')
            self.assertTrue(self.suite.client.get('nodes/1/directories')['items'])
            self.clock.write_text('-3600')
            self.bus_check()  # with a heartbeat, whose answer has the master's clock
            wait_until(lambda: 'behind' in self.bus_check()[1]['clock'][1], 120, 'the skew')
            self.assertEqual(self.suite.backup(task)['state'], 'succeeded')
            self.clock.write_text('0')
            wait_until(lambda: self.bus_check()[0] == 'ok', 120, 'the right time')
            self.wait_node(lambda node: node['health'] == 'healthy', 'health')
        finally:
            self.suite.processes.pop('agent').stop()
            self.suite.start_agent()
            self.suite.wait_online()

    def test_a_check_that_ends_with_the_agent(self):
        """Asked for, and not answered any more: nothing is left behind."""
        put_tool(self.tools, 'tar', 'exec sleep 1000')
        address = f'--address=unix:path={self.suite.run}/bus'
        with subprocess.Popen(
            ['busctl', address, 'call', *BUS, 'Check'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as asker:
            agent = self.suite.processes.pop('agent')
            self.assertIn(agent.stop(), (0, -signal.SIGTERM))
            self.assertNotEqual(asker.wait(120), 0)
        (self.tools / 'tar').unlink()
        self.suite.start_agent()
        self.suite.wait_online()


if __name__ == '__main__':
    unittest.main()
