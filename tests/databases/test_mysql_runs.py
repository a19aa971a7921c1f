#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks of databases of MariaDB through the real services: stored in both formats, restored beside the old one
and into another server; the password is nowhere to be read."""

import os
import pathlib
import socket
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

import mariadb  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from database_runs import ServerRunCase  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position

PASSWORD = 'Tr0ub4dor-and-3-#"\'-staple'


class MysqlRuns(ServerRunCase):
    """One suite and two servers for all tests."""

    kind, user, password = 'mysql', 'backup', PASSWORD

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

    def make_user(self, name, *grants):
        """An account that is gone afterwards; its password is its name."""
        self.server.sql(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}'")
        self.addCleanup(self.server.sql, f"DROP USER {name}@'127.0.0.1'")
        for grant in grants:
            self.server.sql(f"GRANT {grant} TO {name}@'127.0.0.1'")

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

    def test_restore_by_another_node(self):
        """The password of a task goes where its runs go."""
        run = self.back_up(self.make_task(self.name))
        node = self.suite.client.post('nodes', {'name': self.name})['id']
        there = self.make_task(f'{self.name}-there', self.other, node_id=node)
        refused = self.restore(run, 'failed', path='/mysql/crm.sql', name='stolen', task_id=there)
        self.assertEqual(refused['error']['code'], 'NODE_INVALID')
        self.assertIn('name a task of that node', refused['error']['message'])
        self.assertNotIn('stolen', self.other.sql('SHOW DATABASES'))

    def test_repository(self):
        self.there_and_back('repository')

    def test_one_snapshot(self):
        """Asked for by a task, given up again by it; each database is restored from it by itself."""
        task = self.make_task(self.name, format='archive', source={'one_snapshot': True})
        self.assertIs(self.suite.client.get(f'tasks/{task}')['source']['one_snapshot'], True)
        run = self.back_up(task)
        self.assertEqual((run['files'], run['errors_total']), (5, 0))
        self.assertIn('One snapshot of 2 databases', str(self.suite.logs(run['id'])))
        expected = self.server.checksums('shop')
        self.restore(run, path='/mysql/tables/shop.sql', name='beside')
        self.addCleanup(self.server.sql, 'DROP DATABASE beside')
        self.assertEqual(self.server.checksums('beside'), expected)
        self.suite.cli('restores', 'create', str(run['id']), '--dump', '/mysql/tables/crm.sql', '--database', 'crm',
                       '--server-of', str(self.make_task(f'{self.name}-there', self.other)), '--wait')
        self.assertEqual(self.other.sql('SELECT x FROM crm.t'), '1\n')
        self.suite.cli('tasks', 'edit', str(task), '--no-one-snapshot')
        self.assertFalse(self.suite.client.get(f'tasks/{task}')['source'].get('one_snapshot'))
        self.suite.cli('tasks', 'edit', str(task), '--one-snapshot')
        self.assertTrue(self.suite.client.get(f'tasks/{task}')['source']['one_snapshot'])

    def test_wrong_password(self):
        """Failed with the reason, nothing kept, and nothing told of what was tried."""
        run = self.back_up(self.make_task(self.name, password='wrong-' + PASSWORD), 'failed')
        self.assertEqual(run['error']['code'], 'LOGIN_REFUSED')
        self.assertEqual([t['key'] for t in run['targets']], [None])
        self.assert_secret()

    def test_discovery(self):
        """What is in a server, and what a dump of it would lack."""
        self.server.sql('CREATE DATABASE look; CREATE TABLE look.a (x INT) ENGINE=InnoDB; CREATE TABLE look.b (x INT)'
                        ' ENGINE=MyISAM; CREATE TABLE look.c (x INT) ENGINE=MyISAM; CREATE VIEW look.v AS SELECT 1')
        self.addCleanup(self.server.sql, 'DROP DATABASE look')
        found = self.discover()
        self.assertEqual((found['type'], found['state'], found['more']), ('mariadb', 'warning', False), found)
        self.assertEqual(found['version'], self.server.sql('SELECT @@version').strip())
        databases = {database['name']: database for database in found['databases']}
        self.assertEqual(list(databases), ['crm', 'look', 'shop'])
        look = databases['look']
        self.assertEqual((look['tables'], look['engines']), (3, {'InnoDB': 1, 'MyISAM': 2}))
        self.assertEqual((look['not_transactional'], look['not_transactional_names']), (2, ['b', 'c']))
        self.assertEqual(databases['shop']['engines'], {'InnoDB': 1})
        self.assertGreater(databases['shop']['size_bytes'], 0)
        engines, = [item for item in found['items'] if item['name'] == 'engines']
        self.assertIn("'look'", engines['text'])
        task = self.make_task(self.name)
        again = self.suite.client.post('nodes/1/discover-databases', {'task_id': task})['server']
        self.assertEqual(again['databases'], found['databases'])
        shown = self.suite.cli('nodes', 'discover-databases', 'local', '--server-of', str(task)).stdout
        self.assertRegex(shown, r'look .* 3 +2 +b, c ')
        self.assertRegex(shown, r'ok +server +MariaDB ')
        self.assert_secret()

    def test_discovery_of_what_cannot_be_asked(self):
        """Told by code and sentence."""
        for found, code in ((self.discover('wrong-' + PASSWORD), 'LOGIN_REFUSED'),
                            (self.discover(port=1), 'SERVER_UNREACHABLE')):
            self.assertEqual([item['code'] for item in found['items']], [code], found)
            self.assertEqual((found['state'], found['databases'], found['version']), ('error', [], None))
            self.assertIn(found['items'][0]['text'], found['summary'])
        done = self.suite.cli('nodes', 'discover-databases', 'local', '--type', 'mysql', '--host', '127.0.0.1',
                              '--port', '1', '--db-user', 'x', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('cannot be reached', done.stdout)
        self.assert_secret()

    def test_discovery_of_a_silent_server(self):
        """One that takes connections and says nothing is given up before the person is: within 15 s, unless the
        machine is too slow for that, which is told, too."""
        with socket.create_server(('127.0.0.1', 0)) as silent:
            for _ in range(5):
                try:
                    found = self.discover(port=silent.getsockname()[1])
                    break
                except ApiError as error:
                    self.assertEqual(error.code, 'PROBE_TIMEOUT')
        self.assertEqual([item['code'] for item in found['items']], ['SERVER_UNREACHABLE'])

    def test_tasks_are_tried(self):
        """As they are, as they would be, and before they are there."""
        task = self.make_task(self.name, source={'databases': ['shop', 'c*']})
        report = self.tried([], task_id=task)
        self.assertEqual([item['name'] for item in report['items']],
                         ['server', 'privileges', 'databases', 'tools', 'target'])
        self.assertIn('2 of 2 databases: crm, shop', report['items'][2]['text'])
        self.assertEqual(report['node_id'], 1)
        where = self.suite.client.get(f'tasks/{task}')['source']['server']
        changed = {'source': {'server': where, 'databases': ['shop', 'nowhere']}}
        self.tried(['DATABASE_MISSING'], task_id=task, task=changed)
        self.tried(['SOURCE_EMPTY'], task_id=task, task={'source': {'server': where, 'databases': ['no*']}})
        self.tried(['LOGIN_REFUSED'], task_id=task, task={'secrets': {'password': 'wrong-' + PASSWORD}})
        with self.assertRaises(ApiError) as refused:
            self.tried([], task_id=task, task={'source': {'server': {**where, 'user': 'root'}}})
        self.assertEqual(refused.exception.body['field'], 'secrets')
        self.assertEqual(self.suite.client.get(f'tasks/{task}')['source']['databases'], ['shop', 'c*'])
        self.assertEqual(self.suite.cli('tasks', 'test', str(task)).returncode, 0)
        done = self.suite.cli('tasks', 'test', str(task), '--database', 'nowhere', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no database 'nowhere'", done.stdout)
        self.assert_secret()

    def test_names_are_tried(self):
        """What one snapshot cannot hold is told before a run fails for it; without one, all names are fine."""
        self.server.sql('CREATE DATABASE `odd\tname`')
        self.addCleanup(self.server.sql, 'DROP DATABASE `odd\tname`')
        task = self.make_task(self.name, source={'databases': ['shop', 'odd*'], 'one_snapshot': True})
        report = self.tried(['NAME_UNSUPPORTED'], task_id=task)
        wrong, = [item for item in report['items'] if item['state'] == 'error']
        self.assertIn("'odd\\x09name'", wrong['text'])
        run = self.back_up(task, 'failed')
        self.assertEqual(run['error']['code'], 'NAME_UNSUPPORTED')
        where = self.suite.client.get(f'tasks/{task}')['source']['server']
        for source in ({'databases': ['shop', 'odd*']}, {'databases': ['shop', 'c*'], 'one_snapshot': True}):
            self.tried([], task_id=task, task={'source': {'server': where, **source}})

    def test_rights_are_tried(self):
        """What a user does not see is told before anybody relies on the backup."""
        draft = {'type': 'mysql', 'source': {'server': {'host': '127.0.0.1', 'port': self.server.port}}}
        for name, expected, *grants in (
                ('blind', ['PRIVILEGE_MISSING'], 'SELECT, LOCK TABLES, SHOW VIEW, EVENT ON *.*'),
                ('seeing', [], 'SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, SHOW DATABASES, RELOAD,'
                               ' BINLOG MONITOR ON *.*')):
            self.make_user(name, *grants)
            draft['source']['server']['user'] = name
            report = self.tried(expected, task={**draft, 'secrets': {'password': name}})
            self.assertNotIn('target', [item['name'] for item in report['items']])

    def test_targets_are_tried(self):
        """Each of them, beside the source."""
        wrong = self.suite.make_target(f'{self.name}-wrong', '/srv')
        task = self.make_task(self.name, target_ids=[self.target, wrong])
        report = self.tried(['POLICY_DENIED'], task_id=task)
        self.assertEqual([item['state'] for item in report['items'] if item['name'] == 'target'], ['ok', 'error'])
        self.assertEqual(list((self.suite.storage / self.name).rglob('*')), [])

    def test_another_server_needs_the_password(self):
        task = self.make_task(self.name)
        elsewhere = {'server': {'host': '192.0.2.1', 'user': 'backup'}}
        with self.assertRaises(ApiError) as refused:
            self.suite.client.put(f'tasks/{task}', {'source': elsewhere})
        self.assertEqual((refused.exception.code, refused.exception.body['field']), ('SECRET_NEEDED_AGAIN', 'secrets'))
        self.suite.client.put(f'tasks/{task}', {'source': elsewhere, 'secrets': {'password': 'x'}})
        self.suite.client.put(f'tasks/{task}', {'enabled': False})
        self.assertEqual(self.suite.client.get(f'tasks/{task}')['secret_names'], ['password'])
        refused = self.suite.cli('tasks', 'edit', self.name, '--port', '3310', check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("with another 'port' the password has to be given again", refused.stderr)
        self.assertIn('--secret', refused.stderr)
        secret = self.suite.folder / f'{self.name}.secret'
        secret.write_text('y')
        self.suite.cli('tasks', 'edit', self.name, '--port', '3310', '--secret', f'password={secret}')
        self.assertEqual(self.suite.client.get(f'tasks/{task}')['source']['server'],
                         {'host': '192.0.2.1', 'port': 3310, 'user': 'backup'})

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
