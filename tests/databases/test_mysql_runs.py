#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks of databases of MariaDB through the real services: stored in both formats, restored beside the old one
and into another server; the password is nowhere to be read."""

import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

import mariadb  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position

PASSWORD = 'Tr0ub4dor-and-3-#"\'-staple'


class MysqlRuns(unittest.TestCase):
    """One suite and two servers for all tests."""

    @classmethod
    def setUpClass(cls):
        if not mariadb.available():
            raise unittest.SkipTest('no MariaDB here')
        cls.servers = []
        for _ in range(2):
            server = mariadb.Server()
            cls.addClassCleanup(server.close)
            server.start()
            quoted = PASSWORD.replace("'", "\\'")
            server.sql(f"CREATE USER backup@'127.0.0.1' IDENTIFIED BY '{quoted}';"
                       " GRANT ALL ON *.* TO backup@'127.0.0.1'")
            cls.servers.append(server)
        cls.server, cls.other = cls.servers
        cls.server.sql('CREATE DATABASE shop; CREATE TABLE shop.t (x INT, b LONGBLOB);'
                       ' INSERT INTO shop.t SELECT seq, repeat(sha2(seq, 512), 500) FROM seq_1_to_200;'
                       ' CREATE DATABASE crm; CREATE TABLE crm.t (x INT); INSERT INTO crm.t VALUES (1)', 'mysql')
        cls.suite = Suite()
        cls.suite.start()
        cls.addClassCleanup(cls.suite.close)

    def setUp(self):
        self.name = self.id().rsplit('.', 1)[1].replace('_', '-')
        (self.suite.storage / self.name).mkdir()
        self.target = self.suite.make_target(self.name, self.suite.storage / self.name)

    def make_task(self, name, server=None, password=PASSWORD, **more):
        source = {'server': {'host': '127.0.0.1', 'port': (server or self.server).port, 'user': 'backup'}}
        body = {'name': name, 'type': 'mysql', 'source': {**source, **more.pop('source', {})},
                'target_ids': [self.target], 'secrets': {'password': password}, **more}
        return self.suite.client.post('tasks', body)['id']

    def back_up(self, task, state='succeeded'):
        run = self.suite.backup(task)
        self.assertEqual(run['state'], state, f'{run} {self.suite.logs(run["id"])}')
        return run

    def restore(self, run, state='succeeded', **database):
        body = {'destination': {'database': database}}
        made = self.suite.client.post(f'runs/{run["id"]}/restore', body)['run_id']
        restored = self.suite.wait_run(made)
        self.assertEqual(restored['state'], state, f'{restored} {self.suite.logs(made)}')
        return restored

    def assert_secret(self):
        """The password is in no file of the master and the agent, and in no log."""
        found = subprocess.run(['grep', '-rlaF', PASSWORD, str(self.suite.folder), str(self.suite.run)],
                               capture_output=True, check=False, text=True)
        self.assertEqual(found.stdout, '')

    def there_and_back(self, form):
        task = self.make_task(self.name, format=form)
        shown = self.suite.client.get(f'tasks/{task}')
        self.assertEqual((shown['secret_names'], shown.get('secrets')), (['password'], None))
        run = self.back_up(task)
        self.assertEqual((run['files'], run['errors_total']), (3, 0))  # with the accounts
        expected = self.server.checksums('shop')
        self.restore(run, path='/mysql/shop.sql', name=f'{form} copy')
        self.assertEqual(self.server.checksums(f'{form} copy'), expected)
        there = self.make_task(f'{self.name}-there', self.other, format=form)
        self.restore(run, path='/mysql/shop.sql', name='shop', drop=True, task_id=there)
        self.assertEqual(self.other.checksums('shop'), expected)
        refused = self.restore(run, 'failed', path='/mysql/crm.sql', name='shop', task_id=there)
        self.assertEqual(refused['error']['code'], 'DATABASE_EXISTS')
        self.assertEqual(self.other.checksums('shop'), expected)
        self.server.sql(f'DROP DATABASE `{form} copy`')
        self.assert_secret()
        return run

    def test_archive(self):
        run = self.there_and_back('archive')
        # As files it is what stock tools restore.
        to = self.suite.folder / 'files'
        self.assertEqual(self.suite.restore(run['id'], to)['state'], 'succeeded')
        parts = sorted(os.listdir(to / 'mysql' / 'shop.sql'))
        dump = b''.join((to / 'mysql' / 'shop.sql' / part).read_bytes() for part in parts)
        self.assertIn(b'-- Dump completed', dump[-200:])

    def test_repository(self):
        self.there_and_back('repository')

    def test_wrong_password(self):
        """Failed with the reason, nothing kept, and nothing told of what was tried."""
        run = self.back_up(self.make_task(self.name, password='wrong-' + PASSWORD), 'failed')
        self.assertEqual(run['error']['code'], 'LOGIN_REFUSED')
        self.assertEqual([t['key'] for t in run['targets']], [None])
        self.assert_secret()

    def test_another_server_needs_the_password(self):
        task = self.make_task(self.name)
        elsewhere = {'server': {'host': '192.0.2.1', 'user': 'backup'}}
        with self.assertRaises(ApiError) as refused:
            self.suite.client.put(f'tasks/{task}', {'source': elsewhere})
        self.assertEqual(refused.exception.body['field'], 'secrets')
        self.suite.client.put(f'tasks/{task}', {'source': elsewhere, 'secrets': {'password': 'x'}})
        self.suite.client.put(f'tasks/{task}', {'enabled': False})
        self.assertEqual(self.suite.client.get(f'tasks/{task}')['secret_names'], ['password'])

    def test_requests(self):
        for source, field in (({'server': {'user': 'x'}}, 'source.server.host'),
                              ({'server': {'host': 'h', 'socket': '/s', 'user': 'x'}}, 'source.server.host'),
                              ({'server': {'host': 'h'}}, 'source.server.user'),
                              ({'server': {'socket': 'relative', 'user': 'x'}}, 'source.server.socket'),
                              ({'server': {'host': 'h', 'user': 'x', 'password': 'y'}}, 'source.server.password'),
                              ({'paths': ['/x']}, 'source.paths')):
            with self.assertRaises(ApiError) as refused:
                self.make_task(self.name, source=source)
            self.assertEqual(refused.exception.body['field'], field, source)
        with self.assertRaises(ApiError) as refused:
            self.make_task(self.name, password='new\nline')
        self.assertEqual(refused.exception.body['field'], 'secrets.password')


if __name__ == '__main__':
    unittest.main()
