#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks of databases of SQLite through the real services: backed up under load into an archive and a
repository, restored elsewhere and in place of the old one."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from database_runs import RunCase  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite  # noqa: E402 pylint: disable=wrong-import-position

WRITER = ROOT / 'tests' / 'databases' / 'sqlite_writer.py'


def write(path, *rows, journal='wal'):
    """Adds rows to the table t of a database, and closes it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f'PRAGMA journal_mode={journal}')
        db.execute('CREATE TABLE IF NOT EXISTS t (x)')
        db.executemany('INSERT INTO t VALUES (?)', [(row,) for row in rows])


def rows(path):
    """What is in the table t."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        return [x for x, in db.execute('SELECT x FROM t ORDER BY rowid')]


class SqliteRuns(RunCase):
    """One suite for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.start()
        cls.addClassCleanup(cls.suite.close)

    def setUp(self):
        super().setUp()
        self.folder = self.suite.folder / self.name
        self.data = self.folder / 'data'
        self.data.mkdir(parents=True)

    def make_task(self, *patterns, **more):
        return self.suite.make_task(patterns, [self.target], self.name, type='sqlite', **more)

    def back_up(self, task, state='succeeded'):
        run = super().back_up(task, state)
        self.assertEqual(os.listdir(self.suite.agent_state / 'staging'), [])
        return run

    def restore_in_place(self, run, path, state='succeeded', **more):
        """In the place of the database at path; the run."""
        return self.restored(run, state, destination='in_place', paths=[str(path)], conflict='overwrite', **more)

    def under_load(self, form):
        """Written to all the time; its copy elsewhere is a state that existed, with its mode and owner."""
        path = self.data / 'live.db'
        with subprocess.Popen([sys.executable, WRITER, path, 'wal', '1000'], stdout=subprocess.PIPE) as writer:
            try:
                self.assertEqual(writer.stdout.readline(), b'ready\n')
                path.chmod(0o640)
                run = self.back_up(self.make_task(path, format=form))
                self.assertIsNone(writer.poll())
            finally:
                writer.kill()
        self.assertEqual((run['files'], run['errors_total']), (1, 0))
        self.assertGreater(run['bytes_read'], 4096)
        to = self.folder / 'to'
        restored = self.suite.restore(run['id'], to)
        self.assertEqual(restored['state'], 'succeeded', restored)
        copy = pathlib.Path(f'{to}{path}')
        self.assertEqual((copy.stat().st_mode & 0o7777, copy.stat().st_uid), (0o640, path.stat().st_uid))
        self.assertEqual(os.listdir(copy.parent), ['live.db'])
        with contextlib.closing(sqlite3.connect(copy)) as db:
            self.assertEqual(db.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
            n, = db.execute('SELECT n FROM state').fetchone()
            self.assertEqual(db.execute('SELECT count(*), coalesce(max(n), 0) FROM moves').fetchone(), (n, n))

    def test_archive(self):
        self.under_load('archive')

    def test_repository(self):
        self.under_load('repository')

    def test_globs_and_losses(self):
        """Several databases in one run; one that is damaged makes it partial, and is named."""
        for name in ('a/x.db', 'a-b/x.db', 'a/y.db'):
            (self.data / name).parent.mkdir(exist_ok=True)
            write(self.data / name, name)
        (self.data / 'a' / 'notes.db').write_text('no database')
        task = self.make_task(f'{self.data}/*/*.db', f'{self.data}/a/x.db', format='archive')
        run = self.back_up(task)
        self.assertEqual(run['files'], 3)
        damaged = self.data / 'a' / 'y.db'
        with open(damaged, 'r+b') as file:
            file.seek(4096)
            file.write(b'\xff' * 4096)
        run = self.back_up(task, 'partial')
        self.assertEqual([(e['path'], e['code']) for e in run['errors']], [(str(damaged), 'DATABASE')])
        self.assertEqual(run['files'], 2)
        # Where nothing can be copied, nothing is kept.
        run = self.suite.backup(self.suite.make_task([damaged], [self.target], 'damaged', type='sqlite'))
        self.assertEqual((run['state'], run['error']['code']), ('failed', 'SQLITE_DAMAGED'), run)
        self.assertIn(str(damaged), run['error']['message'])
        self.assertEqual([t['key'] for t in run['targets']], [None])

    def test_in_place(self):
        """The old one is replaced whole, and nothing of its log is left to be read into the new one."""
        path = self.data / 'app.db'
        write(path, 'one', 'two')
        run = self.back_up(self.make_task(path))
        # Another state, in the log of a program that died.
        script = ('import os, sqlite3, sys\n'
                  'db = sqlite3.connect(sys.argv[1], isolation_level=None)\n'
                  'db.execute("PRAGMA journal_mode=wal"); db.execute("PRAGMA wal_autocheckpoint=0")\n'
                  'db.execute("INSERT INTO t VALUES (\'three\')"); os._exit(0)')
        subprocess.run([sys.executable, '-c', script, path], check=True)
        self.assertIn('app.db-wal', os.listdir(self.data))
        self.restore_in_place(run, path)
        self.assertEqual(os.listdir(self.data), ['app.db'])
        self.assertEqual(rows(path), ['one', 'two'])

    def test_in_use(self):
        """What a program has open is not replaced, unless that is asked for by name."""
        path = self.data / 'app.db'
        write(path, 'one')
        run = self.back_up(self.make_task(path))
        for journal in ('wal', 'delete'):
            write(path, 'later', journal=journal)
            before = path.read_bytes()
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute('SELECT * FROM t').fetchall()
                restored = self.restore_in_place(run, path, 'failed')
                self.assertEqual([e['code'] for e in restored['errors']], ['SQLITE_IN_USE'], restored)
                self.assertEqual(path.read_bytes(), before)
                self.restore_in_place(run, path, force=True)
            for name in os.listdir(self.data):
                if name != 'app.db':
                    (self.data / name).unlink()
            self.assertEqual(rows(path), ['one'])

    def test_requests(self):
        """What is no source of this type is refused where it is entered."""
        for source, field in (({'paths': []}, 'source.paths'), ({'paths': ['x.db']}, 'source.paths[0]'),
                              ({'paths': ['/x/**/y.db']}, 'source.paths[0]'),
                              ({'paths': ['/x.db'], 'excludes': ['a']}, 'source.excludes')):
            with self.assertRaises(ApiError) as refused:
                self.make_task(**{'source': source})
            self.assertEqual(refused.exception.body['field'], field, source)
        task = self.make_task('/x.db')
        with self.assertRaises(ApiError) as refused:
            self.suite.client.put(f'tasks/{task}', {'type': 'file'})
        self.assertEqual(refused.exception.body['field'], 'source')

    def test_missing(self):
        run = self.suite.backup(self.make_task(self.data / 'gone.db'))
        self.assertEqual((run['state'], run['error']['code']), ('failed', 'SQLITE_UNREADABLE'), run)
        shutil.rmtree(self.data)

    def test_tasks_are_tried(self):
        """What a run would find, before there is one; nothing is staged."""
        write(self.data / 'a.db', 1)
        (self.data / 'text.db').write_text('no database, ' * 50)
        for patterns, expected in (([f'{self.data}/*.db'], []),
                                   ([f'{self.data}/text.db', f'{self.data}/a.db'], ['SQLITE_FOREIGN']),
                                   ([f'{self.data}/none.db'], ['SQLITE_UNREADABLE']),
                                   ([f'{self.data}/*.sqlite'], ['SOURCE_EMPTY'])):
            draft = {'type': 'sqlite', 'source': {'paths': patterns}, 'target_ids': [self.target]}
            self.tried(expected, task=draft)
        self.assertEqual(sorted(os.listdir(self.data)), ['a.db', 'text.db'])


if __name__ == '__main__':
    unittest.main()
