#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The relay of a real master does what every type of storage must do."""

import pathlib
import shutil
import sys
import unittest

import conformance
from suite import Suite

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'http'))

from agent_fake import DELETE, GET, PUT, FakeNode, add_capability  # noqa: E402

SUITE = Suite(agent=False)


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Conformance(conformance.Cases, unittest.TestCase):
    """With the capability of a job that may add, read and remove."""
    cases = [*(c for c in conformance.CASES if c != 'probe'), 'wrong digest']
    pages = 100
    large = 20 * conformance.MIB

    def setUp(self):
        self.node = FakeNode(SUITE, kind='relay')
        self.addCleanup(self.node.close)
        self.command = self.node.command()
        self.node.agent.accept(self.command)
        self.prefix = f'{self.node.name}/'
        self.token = self.capability(self.prefix)
        self.folder = SUITE.master_state / 'relay' / str(self.node.target)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def capability(self, prefix):
        return add_capability(SUITE, self.command['id'], self.node.target, prefix, GET | PUT | DELETE)

    def spec(self, token=None):
        return {'type': 'relay', 'id': self.node.target, 'secrets': {'relay_token': token or self.token},
                'master_url': SUITE.server}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, prefix=self.prefix, **more)
        staging = self.folder / '.backupx-staging'
        self.assertEqual(list(staging.iterdir()) if staging.exists() else [], [])
        return done

    def test_probe(self):
        """That of a test is for one place."""
        spec = self.spec(self.capability('backupx-probe/'))
        done = conformance.run({**spec, 'usage': True}, cases=['probe'])
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
