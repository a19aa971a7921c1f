#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two nodes: what one backed up, the other restores; what lies in the relay can be looked into while its writer is
away; and a run waits for its node."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

import trees  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from processes import Process  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position


class TwoNodes(unittest.TestCase):
    """The master's own node and web-1, in one suite for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.start()
        cls.addClassCleanup(cls.suite.close)
        made = cls.suite.client.post('nodes', {'name': 'web-1'})
        cls.node = made['id']
        cls.state = cls.suite.folder / 'web-1'
        (cls.state / 'results').mkdir(parents=True)
        (cls.state / 'storage').mkdir()
        (cls.state / 'token').write_text(made['token'])
        cls.start_web()
        cls.source = cls.suite.folder / 'source'
        (cls.source / 'folder').mkdir(parents=True)
        (cls.source / 'greeting').write_text('hello')
        (cls.source / 'folder' / 'noise').write_bytes(os.urandom(3 << 20))
        cls.relay = cls.suite.make_target('relay', kind='relay')
        cls.disk = cls.suite.make_target('disk')

    @classmethod
    def start_web(cls):
        """Starts the agent of web-1 and waits for it."""
        environment = {**cls.suite.agent_environment(), 'BACKUPX_AGENT_TOKEN_FILE': str(cls.state / 'token'),
                       'BACKUPX_AGENT_STATE_DIR': str(cls.state),
                       'BACKUPX_AGENT_RUNTIME_DIR': str(cls.suite.run / 'web-1')}
        process = Process('web-1', [cls.suite.program('agent')], cls.suite.run, environment)
        cls.suite.processes['web-1'] = process
        process.start()
        cls.suite.wait_online(cls.node)

    def check_restore(self, run, node, name):
        """Restores a run on a node and compares."""
        to = self.suite.folder / name
        restored = self.suite.restore(run['id'], to, node=node)
        self.assertEqual(restored['state'], 'succeeded', restored['error'])
        self.assertEqual(trees.differences(self.source, pathlib.Path(f'{to}{self.source}')), [])

    def test_restore_elsewhere(self):
        """Sealed by one node, restored on the other, both ways."""
        there = self.suite.backup(self.suite.make_task([self.source], [self.disk, self.relay], name='here',
                                                       encryption='sealed'))
        self.assertEqual(there['state'], 'succeeded')
        self.check_restore(there, self.node, 'restored-there')
        back = self.suite.backup(self.suite.make_task([self.source], [self.relay], name='there',
                                                      encryption='sealed', node_id=self.node))
        self.assertEqual(back['state'], 'succeeded')
        self.check_restore(back, 1, 'restored-here')

    def test_out_of_reach(self):
        """A directory of one node cannot be reached from the other: a failed run that says so."""
        run = self.suite.backup(self.suite.make_task([self.source], [self.disk], name='alone'))
        restored = self.suite.restore(run['id'], self.suite.folder / 'never', node=self.node)
        self.assertEqual(restored['state'], 'failed')
        self.assertIn("'local'", restored['error']['message'])

    def test_writer_away(self):
        """While web-1 is away its archive can be looked into, and a run of its task waits for it."""
        task = self.suite.make_task([self.source], [self.relay], name='away', encryption='sealed',
                                    node_id=self.node)
        run = self.suite.backup(task)
        self.suite.processes.pop('web-1').kill()
        wait_until(lambda: self.suite.node(self.node)['status'] == 'offline', 300, 'web-1 being offline')
        shown = self.suite.client.get(f'runs/{run["id"]}/entries?path={self.source}')
        self.assertEqual(sorted(entry['name'] for entry in shown['items']), ['folder', 'greeting'])
        with self.assertRaises(ApiError) as refused:
            self.suite.client.get(f'runs/{run["id"]}/entries?path=/no/such/place')
        self.assertGreaterEqual(refused.exception.status, 400)
        waiting = self.suite.run_task(task)
        self.assertEqual(self.suite.client.get(f'runs/{waiting}')['state'], 'queued')
        self.start_web()
        self.assertEqual(self.suite.wait_run(waiting)['state'], 'succeeded')


if __name__ == '__main__':
    unittest.main(verbosity=2)
