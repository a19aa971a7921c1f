#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Copies of databases of SQLite while others write to them, have left them, or were killed in them.

BACKUPX_TEST_LONG=1: a minute under a thousand writes a second, twenty copies."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(os.environ['BACKUPX_BUILD'], 'tests/databases/database-tool')
WRITER = os.path.join(HERE, 'sqlite_writer.py')
LONG = os.environ.get('BACKUPX_TEST_LONG') == '1'


class Case(unittest.TestCase):
    """A folder with databases, one for staging, and the tool."""

    def setUp(self):
        folder = tempfile.mkdtemp(prefix='backupx-sqlite-')
        self.addCleanup(shutil.rmtree, folder)
        self.folder = folder + '/data'
        self.staging = folder + '/staging'
        self.out = folder + '/out.db'
        os.mkdir(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def writer(self, path, journal, rate=1000, *more):
        """A process that writes to the database until the test ends."""
        process = subprocess.Popen([sys.executable, WRITER, path, journal, str(rate), *more],
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b'ready\n')
        return process

    def start(self, path, *more, out=None):
        return subprocess.Popen([TOOL, 'copy', self.staging, path, out or self.out, *more],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self, process, code=None):
        """What the tool said; code: it has to fail with it."""
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 4 if code else 0, (out, err))
        result = json.loads(out)
        if code:
            self.assertEqual(result['code'], code, result)
        self.assertEqual([n for n in os.listdir(self.staging) if n != 'other'], [])
        return result

    def copy(self, path, *more, code=None):
        return self.end(self.start(path, *more), code)

    def check(self, path=None):
        """Whether it is one state; which."""
        with contextlib.closing(sqlite3.connect(path or self.out)) as db:
            self.assertEqual(db.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
            n = db.execute('SELECT n FROM state').fetchone()[0]
            self.assertEqual(db.execute('SELECT count(*), coalesce(max(n), 0) FROM moves').fetchone(), (n, n))
            self.assertEqual(db.execute('SELECT sum(money), count(*) FROM accounts').fetchone(), (100000, 100))
        return n

    def current(self, path):
        """The state by now; who writes without a pause lets others read when it happens to."""
        with contextlib.closing(sqlite3.connect(path, timeout=120)) as db:
            return db.execute('SELECT n FROM state').fetchone()[0]

    def grow(self, path, journal, size):
        """A database of about this size, so that a copy takes many steps."""
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f'PRAGMA journal_mode={journal}')
            db.execute('CREATE TABLE large (b BLOB)')
            db.execute('BEGIN')
            db.executemany('INSERT INTO large VALUES (zeroblob(?))', [(1 << 20,)] * (size >> 20))
            db.execute('COMMIT')


class Live(Case):
    """Somebody writes."""

    def rounds(self, journal, size, n, enough=None):
        """Copies, n of them, or fewer where one was enough; what the tool said of each."""
        path = self.path('live.db')
        self.grow(path, journal, size)
        writer = self.writer(path, journal)
        results, seen = [], 0
        while len(results) < n and not (enough and results and enough(results[-1])):
            before = self.current(path)
            results.append(self.copy(path))
            state = self.check()
            self.assertGreaterEqual(state, max(before, seen))
            seen = state
        self.assertIsNone(writer.poll(), 'the writer failed')
        self.assertFalse(any(r['at_rest'] for r in results), results)
        return results

    @unittest.skipUnless(LONG, 'long')
    def test_minute(self):
        """A copy every three seconds, each a state that was there when it began or later."""
        path, seen = self.path('live.db'), 0
        self.grow(path, 'wal', 64 << 20)
        writer = self.writer(path, 'wal')
        begin = time.monotonic()
        for i in range(20):
            time.sleep(max(0, begin + 3 * i - time.monotonic()))
            before = self.current(path)
            self.assertFalse(self.copy(path)['at_rest'])
            state = self.check()
            self.assertGreaterEqual(state, max(before, seen))
            seen = state
        time.sleep(max(0, begin + 60 - time.monotonic()))
        self.assertIsNone(writer.poll(), 'the writer failed')
        rate = self.current(path) / (time.monotonic() - begin)
        print(f'20 copies in a minute beside {rate:.0f} transactions a second', flush=True)
        self.assertGreater(rate, 900)

    def test_write_ahead_log(self):
        results = self.rounds('wal', 64 << 20, 20 if LONG else 3)
        self.assertEqual([r['restarts'] for r in results], [0] * len(results))

    def test_rollback_journal(self):
        # Sooner or later one does not come to its end before somebody wrote, three times: then writers wait.
        results = self.rounds('delete', 64 << 20, 20 if LONG else 100, None if LONG else lambda r: r['held'])
        self.assertTrue(any(r['held'] for r in results), results)
        for result in results:
            self.assertEqual(result['held'], result['restarts'] >= 3, result)

    def test_idle(self):
        for journal in ('wal', 'delete'):
            path = self.path(f'{journal}.db')
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute(f'PRAGMA journal_mode={journal}')
                db.execute('CREATE TABLE t (x)')
                db.execute('INSERT INTO t VALUES (1)')
                names = sorted(os.listdir(self.folder))
                result = self.copy(path)
                self.assertEqual((result['held'], result['restarts'], result['at_rest']), (False, 0, False))
                self.assertEqual(sorted(os.listdir(self.folder)), names)
            with contextlib.closing(sqlite3.connect(self.out)) as db:
                self.assertEqual(db.execute('SELECT x FROM t').fetchall(), [(1,)])

    def test_locked(self):
        path = self.path('locked.db')
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute('CREATE TABLE t (x)')
            db.execute('BEGIN EXCLUSIVE')
            self.assertIn(path, self.copy(path, '300', code='SQLITE_BUSY')['message'])


@unittest.skipIf(os.geteuid() != 0, 'root only')
class Foreign(Case):
    """As a job is: another user than the owner, who may read everything and write nothing."""

    def setUp(self):
        super().setUp()
        os.chmod(os.path.dirname(self.folder), 0o711)
        os.mkdir(self.staging)
        for path in (self.staging, self.out):
            with open(self.out, 'wb'):
                os.chown(path, 4711, 4711)
        shutil.chown(self.folder, 'nobody')
        os.chmod(self.folder, 0o700)

    def start(self, path, *more, out=None):
        rights = [f'--{kind}=-all,+dac_read_search' for kind in ('inh-caps', 'ambient-caps', 'bounding-set')]
        command = ['setpriv', '--reuid=4711', '--regid=4711', '--clear-groups', *rights, TOOL]
        return subprocess.Popen([*command, 'copy', self.staging, path, out or self.out, *more],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_foreign(self):
        for journal in ('wal', 'delete'):
            path = self.path(f'{journal}.db')
            writer = self.writer(path, journal, 100)
            names = sorted(os.listdir(self.folder))
            self.assertFalse(self.copy(path)['at_rest'])
            self.check()
            self.assertIsNone(writer.poll())
            if journal == 'wal':
                self.assertEqual(sorted(os.listdir(self.folder)), names)


class Left(Case):
    """Nobody has it open any more."""

    def make_left(self):
        """name -> what its last state is, or None where that is for us to find out."""
        for journal in ('wal', 'delete'):
            self.writer(self.path(f'killed-{journal}.db'), journal, 1e9, 'die').wait()
            with contextlib.closing(sqlite3.connect(self.path(f'closed-{journal}.db'))) as db:
                with open(WRITER, encoding='utf-8') as file:
                    scope = {'__name__': 'writer'}
                    exec(file.read(), scope)  # pylint: disable=exec-used
                scope['make'](self.path(f'closed-{journal}.db'), journal).close()
                db.commit()
        self.assertIn('killed-wal.db-wal', os.listdir(self.folder))
        self.assertIn('killed-delete.db-journal', os.listdir(self.folder))
        self.assertNotIn('closed-wal.db-wal', os.listdir(self.folder))

    def digest(self):
        """Names, sizes and times of all files."""
        stats = [(e.name, e.stat()) for e in os.scandir(self.folder)]
        return sorted((n, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for n, s in stats)

    def test_left(self):
        self.make_left()
        before = self.digest()
        names = ['killed-wal.db', 'killed-delete.db', 'closed-wal.db', 'closed-delete.db']
        running = [(n, self.start(self.path(n), out=self.out + n)) for n in names]
        states = {}
        for name, process in running:
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, (name, out, err))
            self.assertEqual(json.loads(out)['at_rest'], name != 'closed-delete.db', name)
            states[name] = self.check(self.out + name)
        self.assertEqual(self.digest(), before, 'something was made or changed beside a database')
        self.assertEqual(states, {'killed-wal.db': 200, 'killed-delete.db': 200, 'closed-wal.db': 0,
                                  'closed-delete.db': 0})

    def test_comes_and_goes(self):
        """Somebody opens it for every write, and closes it again."""
        path = self.path('brief.db')
        script = ('import sys; sys.argv[1:] = []; import sqlite_writer as w\n'
                  f'w.make({path!r}, "wal").close(); print("ready", flush=True); n = 0\n'
                  'while True:\n'
                  f'    db = w.make({path!r}, "wal"); n += 1; w.move(db, n); db.execute("COMMIT"); db.close()\n')
        process = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE,
                                   env={**os.environ, 'PYTHONPATH': HERE})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b'ready\n')
        for _ in range(3):
            self.copy(path)
            self.check()
        self.assertIsNone(process.poll())


class Wrong(Case):
    """What is not as it should be."""

    def test_foreign(self):
        path = self.path('text.db')
        with open(path, 'wb') as file:
            file.write(b'no database' * 100)
        self.assertIn(path, self.copy(path, code='SQLITE_FOREIGN')['message'])
        self.copy(self.path('missing.db'), code='SQLITE_UNREADABLE')
        self.copy(self.folder, code='SQLITE_FOREIGN')

    def test_empty(self):
        path = self.path('empty.db')
        with open(path, 'wb'):
            pass
        self.assertEqual(self.copy(path)['size'], 0)

    def test_damaged(self):
        path = self.path('damaged.db')
        process = self.writer(path, 'delete', 1e9)
        process.kill()
        process.wait()
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute('CREATE TABLE more AS SELECT randomblob(200) AS x FROM accounts')
            db.commit()
        with open(path, 'r+b') as file:
            file.seek(3 * 4096 + 2000)
            file.write(b'\xff' * 3000)
        self.assertIn(path, self.copy(path, code='SQLITE_DAMAGED')['message'])

    def test_foreign_collation(self):
        path = self.path('collation.db')
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.create_collation('ours', lambda a, b: (a > b) - (a < b))
            db.execute('CREATE TABLE t (x TEXT COLLATE ours)')
            db.execute('CREATE INDEX i ON t (x)')
            db.executemany('INSERT INTO t VALUES (?)', [('a',), ('b',)])
            db.commit()
        self.assertTrue(self.copy(path)['unchecked'])
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute('CREATE TABLE other AS SELECT 1 AS x')
            db.commit()
            page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'other'").fetchone()[0]
        with open(path, 'r+b') as file:
            file.seek((page - 1) * 4096)
            file.write(b'\xff' * 100)
        self.copy(path, code='SQLITE_DAMAGED')

    @unittest.skipIf(os.geteuid() != 0, 'root only')
    def test_no_room(self):
        path = self.path('large.db')
        self.grow(path, 'delete', 8 << 20)
        os.mkdir(self.staging)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=66M', 'tmpfs', self.staging], check=True)
        try:
            self.assertIn(path, self.copy(path, code='STAGING_FULL')['message'])
        finally:
            subprocess.run(['umount', self.staging], check=True)

    def test_many_at_once(self):
        """Jobs that begin at the same time take nothing from each other."""
        path = self.path('idle.db')
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute('CREATE TABLE t (x)')
        for _ in range(5):
            running = [self.start(path, out=f'{self.out}{n}') for n in range(12)]
            for process in running:
                out, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 0, (out, err))
        self.assertEqual(os.listdir(self.staging), [])

    def test_left_behind(self):
        """What a killed job has staged is removed, what is another's stays."""
        path = self.path('live.db')
        self.grow(path, 'delete', 1 << 20)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            # It waits for this lock while it is looked at.
            db.execute('BEGIN EXCLUSIVE')
            process = self.start(path)
            while not os.path.isdir(self.staging) or not os.listdir(self.staging):
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            process.kill()
            process.communicate()
        self.assertNotEqual(os.listdir(self.staging), [])
        os.mkdir(self.staging + '/other')
        self.copy(path)
        self.assertEqual(os.listdir(self.staging), ['other'])


if __name__ == '__main__':
    unittest.main()
