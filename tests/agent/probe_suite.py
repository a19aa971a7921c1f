#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Directories of a node, through the real daemons, the real agent and real jobs."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from processes import Process  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

MANY = 100_000
NOBODY = 65534


def quote(path):
    """A path (bytes or text) as part of a query."""
    return urllib.parse.quote(os.fsencode(path), safe='/')


class ProbeSuite(unittest.TestCase):
    """One suite for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        try:
            cls.suite.start()
            cls.tree = cls.suite.folder / 'tree'
            cls.tree.mkdir()
        except BaseException:
            cls.suite.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def tearDown(self):
        (self.suite.folder / 'policy.yaml').unlink(missing_ok=True)

    def page(self, path, **query):
        """One page."""
        more = ''.join(f'&{name}={value}' for name, value in query.items())
        return self.suite.client.get(f'nodes/1/directories?path={quote(path)}{more}')

    def names(self, path, **query):
        """Names of one page."""
        return [entry['name'] for entry in self.page(path, **query)['items']]

    def refused(self, status, code, path):
        """Checks that a listing is refused; gives the message."""
        with self.assertRaises(ApiError) as caught:
            self.page(path)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code))
        return caught.exception.message

    def test_kinds(self):
        folder = self.tree / 'kinds'
        folder.mkdir()
        (folder / 'file').write_bytes(b'12345')
        (folder / 'file').chmod(0o640)
        (folder / 'folder').mkdir()
        (folder / 'link').symlink_to('nowhere/at all')
        os.mkfifo(folder / 'pipe')
        (pathlib.Path(os.fsdecode(os.fsencode(folder) + b'/\xff\xfe'))).write_bytes(b'')
        (folder / 'new\nline').write_bytes(b'')
        entries = self.page(folder)['items']
        by_name = {json.dumps(entry['name']): entry for entry in entries}
        self.assertEqual(
            [entry['name'] for entry in entries],
            ['file', 'folder', 'link', 'new\nline', 'pipe', {'base64': '//4='}],
        )
        file = by_name['"file"']
        self.assertEqual((file['type'], file['size'], file['mode']), ('file', 5, 0o640))
        self.assertEqual(file['path'], str(folder / 'file'))
        self.assertEqual(file['uid'], os.geteuid())
        link = by_name['"link"']
        self.assertEqual((link['type'], link['target']), ('symlink', 'nowhere/at all'))
        self.assertEqual(by_name['"pipe"']['type'], 'fifo')
        self.assertEqual(by_name['"folder"']['type'], 'directory')

    def test_a_name_that_is_not_utf8(self):
        folder = os.fsencode(self.tree) + b'/caf\xe9'
        os.mkdir(folder)
        with open(folder + b'/inside', 'wb'):
            pass
        self.assertEqual(self.names(folder), ['inside'])

    def test_refused(self):
        (self.tree / 'plain').write_text('')
        self.assertIn('/nowhere', self.refused(404, 'PATH_NOT_FOUND', '/nowhere'))
        self.assertIn('NOT_A_DIRECTORY', self.refused(502, 'PROBE_FAILED', self.tree / 'plain'))

    def test_policy(self):
        secret, door = self.tree / 'secret', self.tree / 'door'
        (secret / 'deep').mkdir(parents=True)
        door.symlink_to(secret)
        self.assertEqual(self.names(secret), ['deep'])
        (self.suite.folder / 'policy.yaml').write_text(f'listing:\n  deny: [{secret}]\n')
        for path in (secret, secret / 'deep', door, door / 'deep'):
            message = self.refused(403, 'POLICY_DENIED', path)
            self.assertIn(f'listing.deny: {secret}', message)
        self.assertIn('secret', self.names(self.tree))

    @unittest.skipUnless(os.geteuid() == 0, 'needs a user beside the tester')
    def test_permission_denied(self):
        """An agent without rights says so, and why."""
        closed = self.tree / 'closed'
        closed.mkdir(mode=0o700)
        with Suite() as other:
            for folder in (other.folder, other.folder / 'keys', other.run, other.agent_state):
                folder.chmod(0o755)
            for path in (other.agent_state, *other.agent_state.rglob('*'), other.folder / 'keys/agent-token'):
                os.chown(path, NOBODY, NOBODY)
            other.processes.pop('agent').stop()
            # The build may lie where nobody else comes to.
            programs = other.folder / 'programs'
            programs.mkdir()
            for name in ('agent', 'job'):
                shutil.copy(other.program(name), programs / name)
            for path in (programs, *programs.iterdir()):
                path.chmod(0o755)
            agent = Process(
                'agent',
                ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', programs / 'agent'],
                other.run,
                {**other.agent_environment(), 'BACKUPX_AGENT_JOB': str(programs / 'job')},
                other.orphans_die,
            )
            other.processes['agent'] = agent
            agent.start(ready=False)  # the socket of its READY=1 is not for this user
            other.wait_online()
            with self.assertRaises(ApiError) as caught:
                other.client.get(f'nodes/1/directories?path={quote(closed)}')
            self.assertEqual(caught.exception.code, 'PROBE_FAILED')
            self.assertIn('NOT_READABLE', caught.exception.message)
            self.assertIn('Permission denied', caught.exception.message)

    def test_a_hundred_thousand(self):
        """Page by page, each once, in order; a job's memory is that of a page."""
        # In memory: making the files is not what is tested.
        place = tempfile.TemporaryDirectory(dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        self.addCleanup(place.cleanup)
        folder = pathlib.Path(place.name)
        handle = os.open(folder, os.O_RDONLY)
        for i in range(MANY):
            os.mknod(f'{i:06d}-{"x" * 60}', dir_fd=handle)
        os.close(handle)
        names, cursor = [], ''
        while cursor is not None:
            page = self.page(folder, limit=5000, cursor=cursor)
            names += [entry['name'][:6] for entry in page['items']]
            cursor = page['next_cursor']
        self.assertEqual(names, [f'{i:06d}' for i in range(MANY)])
        # The largest child of this process group so far is a daemon or a job of a full page.
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 256 << 10)

    def test_cli(self):
        folder = self.tree / 'cli'
        (folder / 'inner').mkdir(parents=True)
        answer = self.suite.cli('nodes', 'ls', 'local', folder)
        self.assertIn('directory', answer.stdout)
        self.assertIn('inner', answer.stdout)
        answer = json.loads(self.suite.cli('nodes', 'ls', '--json', 'local', folder).stdout)
        self.assertEqual([entry['name'] for entry in answer], ['inner'])
        self.assertIn('etc', self.suite.cli('nodes', 'ls', '1').stdout)
        answer = self.suite.cli('nodes', 'ls', 'local', '/nowhere', check=False)
        self.assertEqual(answer.returncode, 5)
        self.assertIn('/nowhere', answer.stderr)

    def test_databases(self):
        """A server is seen by the socket that it listens on, and gone with it; nobody connects to it."""
        path = self.tree / '.s.PGSQL.6543'
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            answer = self.suite.client.post('nodes/1/discover-databases')
            found = [s for s in answer['servers'] if s['port'] == 6543]
            self.assertEqual(len(found), 1, answer)
            self.assertEqual((found[0]['type'], found[0]['running']), ('postgresql', True))
            self.assertEqual(found[0]['socket'], str(path))
            self.assertIsNone(found[0]['version'])
            server.settimeout(0.1)
            self.assertRaises(TimeoutError, server.accept)
            answer = self.suite.cli('nodes', 'discover-databases', 'local')
            self.assertRegex(answer.stdout, r'postgresql .* 6543 ')
        answer = self.suite.client.post('nodes/1/discover-databases')
        self.assertNotIn(6543, [s['port'] for s in answer['servers']])

    def test_sqlite_and_tools(self):
        """Files are known by what is in them, where the question says; tools tell their versions."""
        folder = self.tree / 'app'
        folder.mkdir()
        (folder / 'text.db').write_text('SQLite format 3, or so it says. ' * 10)
        with contextlib.closing(sqlite3.connect(folder / 'real.db')) as database:
            database.execute('PRAGMA journal_mode = wal')
            database.execute('CREATE TABLE t (a)')
            database.commit()
            tools = self.suite.folder / 'bin'
            tool = tools / 'pg_dump'
            tools.mkdir()
            tool.write_text('#!/bin/sh\necho "pg_dump (PostgreSQL) 15.99"\n')
            tool.chmod(0o755)
            self.suite.processes.pop('agent').stop()
            self.suite.start_agent(BACKUPX_AGENT_TOOLS_PATH=tools)
            self.suite.wait_online()
            question = {'sqlite': [f'{self.tree}/a*/*.db']}
            answer = self.suite.client.post('nodes/1/discover-databases', question)
            (found,) = answer['sqlite']
            self.assertEqual(found['path'], str(folder / 'real.db'))
            self.assertEqual((found['version'], found['wal']), (sqlite3.sqlite_version, True))
            self.assertEqual(found['size_bytes'], (folder / 'real.db').stat().st_size)
            self.assertEqual(answer['tools'], {'pg_dump': '15.99'})
            text = self.suite.cli('nodes', 'discover-databases', 'local', '--sqlite', f'{folder}/real.*').stdout
            self.assertIn(str(folder / 'real.db'), text)
            self.assertIn('pg_dump 15.99', text)
            (self.suite.folder / 'policy.yaml').write_text(f'listing:\n  deny: [{folder}]\n')
            answer = self.suite.client.post('nodes/1/discover-databases', question)
            self.assertEqual(answer['sqlite'], [])
        for globs, word in ((['relative'], 'absolute'), (['/a/**/b'], 'within one name')):
            with self.assertRaises(ApiError) as caught:
                self.suite.client.post('nodes/1/discover-databases', {'sqlite': globs})
            self.assertEqual(caught.exception.status, 400)
            self.assertIn(word, caught.exception.message)

    def test_tasks_are_tried(self):
        """Paths, hooks and targets, with the host's own policy; nothing is kept."""
        folder = self.tree / 'tried'
        folder.mkdir()
        target = self.suite.make_target('tried')
        draft = {'source': {'paths': [str(folder), f'{folder}/none']}, 'target_ids': [target],
                 'hooks': {'pre': ['freeze']}}

        def tried():
            report = self.suite.client.post('tasks/test', {'task': draft})
            return report, [i.get('code') for i in report['items'] if i['state'] == 'error']

        self.assertEqual(tried()[1], ['PATH_NOT_FOUND'])
        draft['source']['paths'].pop()
        report, codes = tried()
        self.assertEqual((codes, report['state'], report['summary']), ([], 'ok', None))
        self.assertEqual([item['name'] for item in report['items']], ['paths', 'hooks', 'target'])
        policy = self.suite.folder / 'policy.yaml'
        policy.write_text(f'backup:\n  deny: [{folder}]\nhooks: [thaw]\n')
        self.assertEqual(tried()[1], ['POLICY_DENIED', 'POLICY_DENIED'])
        policy.unlink()
        self.assertEqual([task['name'] for task in self.suite.client.items('tasks')
                          if task['source'].get('paths') == [str(folder)]], [])
        done = self.suite.cli('tasks', 'test', '--path', folder / 'none', '--target', 'tried', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'{folder}/none cannot be read', done.stdout)
        self.assertIn("'tried' can be written", done.stdout)
        self.assertEqual(self.suite.cli('tasks', 'test', check=False).returncode, 2)

    def test_soon_while_backups_run(self):
        """The node is full of backups; a person who looks at a directory does not wait for them."""
        source = self.suite.folder / 'source'
        source.mkdir()
        block = os.urandom(1 << 20)
        for i in range(3):
            with open(source / f'file{i}', 'wb') as file:
                for _ in range(200):
                    file.write(block)
        target = self.suite.make_target()
        slow = {'algorithm': 'zstd', 'level': 17}
        runs = []
        for i in range(2):
            task = self.suite.make_task([source], [target], name=f'fill-{i}', compression=slow)
            runs.append(self.suite.run_task(task))
        for run in runs:
            self.suite.wait_run(run, states=('running',))
        took = []
        for _ in range(10):
            start = time.monotonic()
            self.page('/')
            took.append(time.monotonic() - start)
        still = [self.suite.client.get(f'runs/{run}')['state'] for run in runs]
        for run in runs:
            self.suite.client.post(f'runs/{run}/cancel')
        self.assertEqual(still, ['running', 'running'])
        self.assertLess(sorted(took)[len(took) // 2], 1)
        for run in runs:
            self.assertEqual(self.suite.wait_run(run)['state'], 'cancelled')


if __name__ == '__main__':
    unittest.main()
