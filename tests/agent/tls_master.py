#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Agent, jobs and command line with a master that signed its certificate itself."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from suite import TlsSuite, wait_until  # noqa: E402

SUITE = TlsSuite()
WRONG = 'sha256//' + 'A' * 43 + '='


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Agent(unittest.TestCase):
    """Whom it believes, and what it says when it does not."""

    def restart(self, **environment):
        """The agent with another trust."""
        SUITE.processes.pop('agent').stop()
        return SUITE.start_agent(BACKUPX_LOG_LEVEL='info', **environment)

    def tearDown(self):
        self.restart()
        SUITE.wait_online()

    def refused(self, why, **environment):
        """Checks what the agent says."""
        agent = self.restart(**environment)
        wait_until(lambda: agent.status.startswith('No contact with'), what='the complaint')
        self.assertIn(why, agent.status)

    def test_backup(self):
        """To a disk and through the relay; the job has the pin as well."""
        source = SUITE.folder / 'source'
        source.mkdir()
        (source / 'large').write_bytes(bytes(range(256)) * 80000)
        targets = [SUITE.make_target('disk'), SUITE.make_target('relay', kind='relay')]
        run = SUITE.backup(SUITE.make_task([source], targets, encryption='sealed'))
        self.assertEqual((run['state'], run.get('error')), ('succeeded', None))
        back = SUITE.storage / 'back'
        restored = SUITE.restore(run['id'], back)
        self.assertEqual(restored['state'], 'succeeded', restored)
        found = next(back.rglob('large'))
        self.assertEqual(found.read_bytes(), (source / 'large').read_bytes())

    def test_authority(self):
        """The master's certificate as a file, instead of the pin."""
        self.restart(BACKUPX_AGENT_PIN='', BACKUPX_AGENT_CA_CERT=SUITE.certificate)
        wait_until(lambda: SUITE.processes['agent'].status.startswith('Connected'), what='the agent')

    def test_wrong_pin(self):
        self.refused('is not the one that was pinned', BACKUPX_AGENT_PIN=WRONG)

    def test_nobody_vouches(self):
        self.refused('Pin its key (--pin', BACKUPX_AGENT_PIN='')

    def test_http(self):
        self.refused(
            'use https://', BACKUPX_AGENT_PIN='', BACKUPX_AGENT_MASTER=SUITE.server.replace('https', 'http')
        )


class CommandLine(unittest.TestCase):
    """backupx login and what comes after it."""

    def setUp(self):
        self.home = SUITE.folder / self.id().rsplit('.', 1)[1]
        self.home.mkdir()
        self.password = self.home / 'password'
        self.password.write_text(SUITE.password + '\n')

    def cli(self, *arguments, **more):
        """Runs it with a home of its own."""
        return SUITE.cli(*arguments, token=False, environment={'HOME': str(self.home)}, **more)

    def login(self, *arguments, **more):
        """Logs in."""
        return self.cli('login', '-u', 'admin', '--password-file', self.password, *arguments, **more)

    def refused(self, result, *texts):
        """Checks the sentence."""
        self.assertNotEqual(result.returncode, 0)
        for text in texts:
            self.assertIn(text, result.stderr)

    def test_pin_is_told_given_and_kept(self):
        self.refused(self.login(check=False), 'is not trusted', f'add --pin {SUITE.pin()}', '--ca-cert')
        self.login('--pin', SUITE.pin())
        self.cli('tasks', 'list')
        # It is kept for this server only, and what is said now counts more.
        self.refused(self.cli('tasks', 'list', '--pin', WRONG, check=False), 'is not the one that was pinned')
        self.refused(
            self.cli('tasks', 'list', '--server', SUITE.server.replace('127.0.0.1', 'localhost'), check=False),
            'is not trusted',
        )

    def test_authority(self):
        self.login('--ca-cert', SUITE.certificate)
        self.cli('tasks', 'list')

    def test_wrong_pin(self):
        self.refused(self.login('--pin', WRONG, check=False), 'is not the one that was pinned', 'Nothing was')

    def test_pin_that_is_none(self):
        """curl would take it for the name of a file."""
        self.refused(self.login('--pin', '/etc/passwd', check=False), 'A pin is')

    def test_http(self):
        server = SUITE.server.replace('https', 'http')
        self.refused(self.login('--server', server, check=False), 'use https:// instead of http://')


if __name__ == '__main__':
    unittest.main()
