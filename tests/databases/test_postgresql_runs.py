#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks of databases of PostgreSQL through the real services: stored in both formats, restored beside the old one
and into another server; the password is nowhere to be read."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

import postgres  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from database_runs import ServerRunCase  # noqa: E402 pylint: disable=wrong-import-position
from postgres import PASSWORD  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position


class PostgresqlRuns(ServerRunCase):
    """One suite and two servers for all tests."""

    kind, user, password = 'postgresql', 'postgres', PASSWORD

    @classmethod
    def setUpClass(cls):
        if not postgres.available():
            raise unittest.SkipTest('no PostgreSQL here')
        cls.server, cls.other = servers = [postgres.Server(), postgres.Server()]
        for server in servers:
            cls.addClassCleanup(server.close)
            server.start()
        cls.server.sql('CREATE ROLE gone; CREATE DATABASE shop; CREATE DATABASE crm')
        cls.server.sql('CREATE TABLE t AS SELECT g x, repeat(md5(g::text), 500) b FROM generate_series(1, 200) g;'
                       ' CREATE TABLE u (x int); INSERT INTO u VALUES (3); ALTER TABLE u OWNER TO gone', 'shop')
        cls.suite = Suite()
        cls.suite.start()
        cls.addClassCleanup(cls.suite.close)

    def there_and_back(self, form):
        task = self.make_task(self.name, format=form)
        run = self.back_up(task)
        self.assertEqual((run['files'], run['errors_total']), (4, 0))  # with postgres and the roles
        expected = self.server.checksums('shop')
        self.restore(run, path='/postgresql/shop.dump', name=f'{form} copy')
        self.assertEqual(self.server.checksums(f'{form} copy'), expected)
        there = self.make_task(f'{self.name}-there', self.other, format=form)
        failed = self.restore(run, 'failed', path='/postgresql/shop.dump', name='shop', drop=True, task_id=there)
        self.assertIn('"gone"', failed['error']['message'])
        self.restore(run, path='/postgresql/shop.dump', name='shop', drop=True, task_id=there, no_owners=True)
        self.assertEqual(self.other.checksums('shop'), expected)
        refused = self.restore(run, 'failed', path='/postgresql/crm.dump', name='shop', task_id=there)
        self.assertEqual(refused['error']['code'], 'DATABASE_EXISTS')
        self.restore(run, path='/postgresql/shop.dump', name='part', tables=['u'], task_id=there, no_owners=True)
        self.assertEqual(list(self.other.checksums('part')), ['public.u', 'large objects'])
        for database in 'shop', 'part':
            self.other.sql(f'DROP DATABASE {database}')
        self.server.sql(f'DROP DATABASE "{form} copy"')
        self.assert_secret()

    def test_archive(self):
        self.there_and_back('archive')

    def test_repository(self):
        self.there_and_back('repository')

    def test_wrong_password(self):
        """Failed with the reason, nothing kept, and nothing told of what was tried."""
        run = self.back_up(self.make_task(self.name, password='wrong-' + PASSWORD), 'failed')
        self.assertEqual(run['error']['code'], 'LOGIN_REFUSED')
        self.assertEqual([t['key'] for t in run['targets']], [None])
        self.assert_secret()

    def test_discovery(self):
        """What is in a server; one that cannot be asked is told by code and sentence."""
        found = self.discover()
        self.assertEqual((found['type'], found['state'], found['more']), ('postgresql', 'ok', False), found)
        self.assertEqual(found['version'], self.server.sql('SHOW server_version').strip())
        self.assertEqual([database['name'] for database in found['databases']], ['crm', 'postgres', 'shop'])
        shop = found['databases'][2]
        self.assertEqual((shop['owner'], shop['encoding'], shop['may_connect']), ('postgres', 'UTF8', True))
        self.assertGreater(shop['size_bytes'], 1 << 20)
        for wrong, code in ((self.discover('wrong-' + PASSWORD), 'LOGIN_REFUSED'),
                            (self.discover(port=1), 'SERVER_UNREACHABLE')):
            self.assertEqual([item['code'] for item in wrong['items']], [code], wrong)
            self.assertEqual((wrong['state'], wrong['databases'], wrong['version']), ('error', [], None))
        shown = self.suite.cli('nodes', 'discover-databases', 'local', '--server-of',
                               str(self.make_task(self.name))).stdout
        self.assertRegex(shown, r'shop .* postgres +UTF8 +yes')
        self.assert_secret()

    def test_tasks_are_tried(self):
        """With what the user may read in each database, which pg_dump would say in the night."""
        self.server.sql("CREATE ROLE low LOGIN PASSWORD 'low'")
        self.addCleanup(self.server.sql, 'DROP ROLE low')
        task = self.make_task(self.name, source={'databases': ['shop', 'crm']})
        report = self.tried([], task_id=task)
        self.assertEqual([item['name'] for item in report['items']],
                         ['server', 'databases', 'tools', 'privileges', 'target'])
        where = self.suite.client.get(f'tasks/{task}')['source']['server']
        low = {'source': {'server': {**where, 'user': 'low'}, 'databases': ['shop', 'crm']},
               'secrets': {'password': 'low'}}
        report = self.tried(['PRIVILEGE_MISSING'], task_id=task, task=low)
        told, = [item['text'] for item in report['items'] if item['name'] == 'privileges']
        self.assertIn("In database 'shop' the user may not dump 2 tables", told)
        self.assertIn('roles', [item['name'] for item in report['items'] if item['state'] == 'warning'])
        self.server.sql('GRANT pg_read_all_data TO low')
        report = self.tried([], task_id=task, task=low)
        self.assertIn('2 of 2 databases', [i['text'] for i in report['items'] if i['name'] == 'privileges'][0])
        self.server.sql('ALTER TABLE u ENABLE ROW LEVEL SECURITY', 'shop')
        self.addCleanup(self.server.sql, 'ALTER TABLE u DISABLE ROW LEVEL SECURITY', 'shop')
        self.tried(['PRIVILEGE_MISSING'], task_id=task, task=low)
        self.tried(['DATABASE_MISSING'], task_id=task, task={'source': {'server': where, 'databases': ['nowhere']}})
        self.assert_secret()

    def test_socket(self):
        """Through the socket, named itself, without a password."""
        source = {'server': {'socket': f'{self.server.folder}/.s.PGSQL.{self.server.port}', 'user': 'postgres'},
                  'databases': ['shop']}
        task = self.suite.client.post('tasks', {'name': self.name, 'type': 'postgresql', 'source': source,
                                                'target_ids': [self.target]})['id']
        run = self.back_up(task)
        self.assertEqual(run['files'], 2)
        with self.assertRaises(ApiError) as refused:
            self.suite.client.put(f'tasks/{task}', {'type': 'mysql'})
        self.assertEqual(refused.exception.body['field'], 'source')


if __name__ == '__main__':
    unittest.main()
