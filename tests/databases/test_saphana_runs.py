#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks of SAP HANA through the real services, with a stand-in for hdbsql (fake_hdbsql.py) on the node."""

import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib'), str(ROOT / 'tests' / 'databases')]

from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from database_runs import RunCase  # noqa: E402 pylint: disable=wrong-import-position
from saphana import PASSWORD, System  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position


class SaphanaRuns(RunCase):
    """One suite and one system for all tests."""

    password = PASSWORD

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix='backupx-hana-')
        cls.addClassCleanup(folder.cleanup)
        cls.system = System(pathlib.Path(folder.name) / 'system')
        cls.suite = Suite(environment={'BACKUPX_AGENT_TOOLS_PATH': str(cls.system.bin)})
        cls.suite.start()
        cls.addClassCleanup(cls.suite.close)

    def make_task(self, password=PASSWORD, form='archive', **source):
        secrets = {} if password is None else {'secrets': {'password': password}}
        body = {'name': self.name, 'type': 'saphana', 'source': self.system.source(**source), 'format': form,
                'target_ids': [self.target], **secrets}
        return self.suite.client.post('tasks', body)['id']

    def there_and_back(self, form):
        """Stored, restored as files, and not into a server or in place."""
        run = self.back_up(self.make_task(form=form, databases=['HXE']))
        self.assertEqual((run['files'], run['errors_total']), (5, 0))  # three pieces, the catalog, the text
        self.assertEqual(self.system.pieces(), [])
        out = self.suite.folder / f'{self.name}-out'
        out.mkdir()
        self.assertEqual(self.suite.restore(run['id'], out)['state'], 'succeeded')
        names = sorted(p.name for p in out.rglob('*') if p.is_file())
        self.assertEqual((len(names), names[-1]), (5, 'recovery.txt'))
        for destination in {'database': {'path': '/saphana/HXE/recovery.txt', 'name': 'HXE'}}, 'in_place':
            restored = self.restored(run, 'failed', destination=destination)
            self.assertEqual(restored['error']['code'], 'DESTINATION_INVALID')
        self.assert_secret()

    def test_archive(self):
        self.there_and_back('archive')

    def test_repository(self):
        self.there_and_back('repository')

    def test_wrong_password(self):
        """Failed with the reason; nothing is kept, and nothing told of what was tried."""
        run = self.back_up(self.make_task(password='wrong-' + PASSWORD), 'failed')
        self.assertEqual(run['error']['code'], 'LOGIN_REFUSED')
        self.assert_secret()

    def test_key(self):
        """A key needs no password and takes none; with it the one from before goes."""
        task = self.make_task(password=None, key=True, databases=['SYSTEMDB'])
        self.back_up(task)
        with self.assertRaises(ApiError) as refused:
            self.suite.client.put(f'tasks/{task}', {'secrets': {'password': 'x'}})
        self.assertEqual(refused.exception.body['field'], 'secrets.password')
        other = self.suite.client.post('tasks', {'name': f'{self.name}-2', 'type': 'saphana',
                                                 'source': self.system.source(databases=['SYSTEMDB']),
                                                 'target_ids': [self.target], 'secrets': {'password': PASSWORD}})['id']
        changed = {'source': self.system.source(key=True, databases=['SYSTEMDB'])}
        with self.assertRaises(ApiError) as refused:
            self.suite.client.put(f'tasks/{other}', changed)
        self.assertEqual(refused.exception.body['field'], 'secrets')
        self.suite.client.put(f'tasks/{other}', {**changed, 'secrets': {}})
        self.back_up(other)

    def test_refused(self):
        """What would fail each run is no task."""
        for field, source in (('source.directory', {'directory': 'relative'}), ('source.via', {'via': 'tape'}),
                              ('source.channels', {'channels': 8}), ('source.level', {'level': 'half'})):
            with self.assertRaises(ApiError) as refused:
                self.make_task(**source)
            self.assertEqual(refused.exception.body['field'], field)

    def test_look(self):
        """A test of the task looks for the program and the target, and asks SAP HANA nothing; nobody else is asked in
        its name, neither with the password of such a task nor with one that is entered."""
        task, before = self.make_task(), len(self.system.calls())
        moved = self.system.source()
        moved['server']['host'] = 'elsewhere'
        draft = {'name': 'x', 'type': 'saphana', 'source': moved, 'target_ids': [self.target]}
        for body in {'task_id': task}, {'task': {**draft, 'secrets': {'password': PASSWORD}}}:
            report = self.suite.client.post('tasks/test', body)
            self.assertEqual([(i['name'], i['state']) for i in report['items']],
                             [('tools', 'ok'), ('server', 'warning'), ('target', 'ok')], report)
        self.assertEqual(len(self.system.calls()), before)
        for body in {'task_id': task}, {'server': {'type': 'saphana', 'host': 'db1', 'port': 30013, 'user': 'B'}}:
            with self.assertRaises(ApiError):
                self.suite.client.post('nodes/1/discover-databases', body)
        self.assert_secret()

    def test_cli(self):
        """The same from the command line."""
        secret = self.suite.folder / 'hana-password'
        secret.write_text(PASSWORD, encoding='utf-8')
        self.suite.cli('tasks', 'create', f'{self.name}-cli', '--type', 'saphana', '--host', 'db1', '--instance', '0',
                       '--db-user', 'BACKUPX', '--secret', f'password={secret}', '--database', 'HXE',
                       '--directory', str(self.system.data), '--data-level', 'full', '--target', self.name)
        secret.unlink()
        (task,) = [t for t in self.suite.client.items('tasks') if t['name'] == f'{self.name}-cli']
        self.assertEqual(task['source'], {
            'server': {'host': 'db1', 'instance': 0, 'user': 'BACKUPX'}, 'backup': 'data', 'level': 'full',
            'via': 'file', 'directory': str(self.system.data), 'retries': 3, 'databases': ['HXE'], 'exclude': []})
        self.back_up(task['id'])


if __name__ == '__main__':
    unittest.main()
