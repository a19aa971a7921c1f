# SPDX-License-Identifier: Apache-2.0
"""What tests of tasks of databases share: runs that end as they should, and a password that is nowhere to be read."""

import subprocess
import unittest


class RunCase(unittest.TestCase):
    """A target of its own for each test; each class makes and starts the suite."""

    suite = None
    password = None

    def setUp(self):
        self.name = self.id().rsplit('.', 1)[1].replace('_', '-')
        (self.suite.storage / self.name).mkdir()
        self.target = self.suite.make_target(self.name, self.suite.storage / self.name)

    def back_up(self, task, state='succeeded'):
        """The run."""
        run = self.suite.backup(task)
        self.assertEqual(run['state'], state, f'{run} {self.suite.logs(run["id"])}')
        return run

    def restored(self, run, state='succeeded', **body):
        """The run that restores from another one."""
        made = self.suite.client.post(f'runs/{run["id"]}/restore', body)['run_id']
        restored = self.suite.wait_run(made)
        self.assertEqual(restored['state'], state, f'{restored} {self.suite.logs(made)}')
        return restored

    def tried(self, expected, **body):
        """What a test of a task says; expected are the codes of its errors."""
        report = self.suite.client.post('tasks/test', body)
        codes = [item.get('code') for item in report['items'] if item['state'] == 'error']
        self.assertEqual((codes, report['ok']), (expected, not expected), report)
        return report

    def assert_secret(self):
        """The password is in no file of the master and the agent, and in no log."""
        found = subprocess.run(['grep', '-rlaF', self.password, str(self.suite.folder), str(self.suite.run)],
                               capture_output=True, check=False, text=True)
        self.assertEqual(found.stdout, '')


class ServerRunCase(RunCase):
    """Of a server that is asked over TCP."""

    server = None
    #: Of the tasks.
    kind = user = None

    def where(self, server=None):
        return {'host': '127.0.0.1', 'port': (server or self.server).port, 'user': self.user}

    def make_task(self, name, server=None, password=None, **more):
        source = {'server': self.where(server), **more.pop('source', {})}
        body = {'name': name, 'type': self.kind, 'source': source, 'target_ids': [self.target],
                'secrets': {'password': password or self.password}, **more}
        return self.suite.client.post('tasks', body)['id']

    def restore(self, run, state='succeeded', **database):
        return self.restored(run, state, destination={'database': database})

    def discover(self, password=None, **where):
        """What the node finds in the server."""
        body = {'server': {'type': self.kind, **self.where(), **where},
                'secrets': {'password': password or self.password}}
        return self.suite.client.post('nodes/1/discover-databases', body)['server']
