#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command line client against the real suite: every command, its output, its exit status."""

import json
import os
import pathlib
import pty
import re
import select
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import trees  # noqa: E402
from processes import clean_environment  # noqa: E402
from suite import Suite, build_folder  # noqa: E402

DONE, ERROR, USAGE, UNREACHABLE, DENIED, NOT_FOUND, CONFLICT, RUN_FAILED, RUN_PARTIAL = range(9)
suite = Suite()
work = tempfile.TemporaryDirectory(prefix='backupx-cli-', dir='/var/tmp')


def setUpModule():
    """Starts one suite for all tests."""
    suite.__enter__()
    source = pathlib.Path(work.name, 'source')
    source.mkdir()
    trees.make_small(source)


def tearDownModule():
    """Ends it."""
    suite.close()
    work.cleanup()


class Cli(unittest.TestCase):
    """In the order of their names; later tests use what earlier ones made."""

    def run_cli(self, *arguments, status=DONE, **more):
        """Runs a command and checks its exit status; its output."""
        result = suite.cli(*arguments, check=False, **more)
        self.assertEqual(
            result.returncode, status, f'{arguments}: {result.stdout}{result.stderr}\n{suite.tails()}'
        )
        if status not in (DONE, RUN_FAILED, RUN_PARTIAL):
            self.assertRegex(result.stderr, r'^backupx: \S', 'an error has a sentence')
        return result.stdout

    def json_cli(self, *arguments):
        """The JSON that a command prints."""
        return json.loads(self.run_cli(*arguments, '--json'))

    def test_01_make(self):
        """Target and task from options; names stand for numbers."""
        path = suite.storage / 'cli'
        self.run_cli('targets', 'create', 'disk', '--path', path)
        self.assertEqual(self.json_cli('targets', 'show', 'disk')['config'], {'path': str(path)})
        self.assertEqual(self.json_cli('targets', 'show', 'disk')['type'], 'local')
        self.run_cli(
            'tasks', 'create', 'files', '-p', f'{work.name}/source', '-t', 'disk', '-e', 'sealed'
        )
        task = self.json_cli('tasks', 'show', 'files')
        self.assertEqual(task['source']['paths'], [f'{work.name}/source'])
        self.assertEqual(task['encryption'], 'sealed')
        self.run_cli('targets', 'create', 'disk', '--type', 'local', '--path', '/x', status=CONFLICT)

    def test_02_test_target(self):
        """A target can be tried."""
        self.run_cli('targets', 'test', 'disk')

    def test_03_run_and_wait(self):
        """--wait ends with the run, and says how it ended."""
        text = self.run_cli('tasks', 'run', 'files', '--wait')
        self.assertRegex(text, r'^Run \d+ succeeded: \d+ files, 3\.\d MiB read')
        self.assertEqual(self.json_cli('runs', 'list')[0]['state'], 'succeeded')

    def test_04_restore(self):
        """A restore of everything is identical; of one path it is that path."""
        run = str(self.json_cli('runs', 'list')[0]['id'])
        self.run_cli('restores', 'create', run, '--to', f'{work.name}/all', '--wait')
        self.assertEqual(
            trees.differences(f'{work.name}/source', f'{work.name}/all{work.name}/source'), []
        )
        one = f'{work.name}/source/documents/letter.txt'
        self.run_cli('restores', 'create', run, one, '--to', f'{work.name}/one', '--wait')
        files = [str(p) for p in pathlib.Path(work.name, 'one').rglob('*') if p.is_file()]
        self.assertEqual(files, [f'{work.name}/one{one}'])
        self.run_cli('restores', 'create', run, status=USAGE)
        self.run_cli('restores', 'create', run, '--to', '/x', '--in-place', status=USAGE)

    def test_05_conflict(self):
        """What exists is not overwritten unless that is said."""
        run = str(self.json_cli('runs', 'list', '--state', 'succeeded', '--task', 'files')[-1]['id'])
        arguments = ('restores', 'create', run, '--to', f'{work.name}/all', '--wait')
        self.run_cli(*arguments, status=RUN_FAILED)
        self.run_cli(*arguments, '--conflict', 'overwrite')

    def test_06_files(self):
        """The listing of a backup, one directory at a time."""
        run = str(self.json_cli('runs', 'list', '--state', 'succeeded', '--task', 'files')[-1]['id'])
        self.assertIn(work.name.strip('/').split('/')[0], self.run_cli('runs', 'files', run))
        text = self.run_cli('runs', 'files', run, f'{work.name}/source/documents')
        self.assertIn('letter.txt', text)
        self.assertIn('new\\x0aline', text)
        self.assertIn('caf\\xe9', text)
        self.assertIn('日本語.txt', text)
        self.assertEqual(len(text.splitlines()), len(os.listdir(f'{work.name}/source/documents')) + 1)

    def test_07_partial(self):
        """A run that misses something has an exit status of its own."""
        bad = suite.make_target('bad', f'{work.name}/not-allowed')
        self.run_cli('tasks', 'create', 'two', '-p', f'{work.name}/source', '-t', 'disk', '-t', str(bad))
        self.run_cli('tasks', 'run', 'two', '--wait', status=RUN_PARTIAL)
        self.run_cli('tasks', 'create', 'none', '-p', f'{work.name}/source', '-t', 'bad')
        self.run_cli('tasks', 'run', 'none', '--wait', status=RUN_FAILED)

    def test_08_yaml(self):
        """A task from YAML."""
        path = pathlib.Path(work.name, 'task.yaml')
        path.write_text(
            f'name: from-yaml\ntargets: [disk]\nsource:\n  paths: [{work.name}/source]\n  excludes: ["*.txt"]\n'
            'schedule:\n  expression: "Mon..Fri 02:30"\n  timezone: Europe/Berlin\n'
            'retention: {daily: 7, within: 30d}\nhooks: {pre: [freeze], on_failure: warn}\n'
            'verify:\n  shares: 30\n  schedule: {expression: "@weekly", catch_up: no}\n'
        )
        self.run_cli('tasks', 'create', '--file', path)
        task = self.json_cli('tasks', 'show', 'from-yaml')
        self.assertEqual(task['source']['excludes'], ['*.txt'])
        self.assertEqual(task['schedule']['timezone'], 'Europe/Berlin')
        self.assertEqual(task['retention'], {'daily': 7, 'within': '30d'})
        self.assertEqual((task['hooks']['pre'], task['hooks']['on_failure']), (['freeze'], 'warn'))
        self.assertEqual(task['verify'], {
            'shares': 30, 'schedule': {'expression': '@weekly', 'timezone': None, 'catch_up': False}})
        self.run_cli('tasks', 'edit', 'from-yaml', '--verify', '@daily', '--verify-shares', '7')
        task = self.json_cli('tasks', 'show', 'from-yaml')
        self.assertEqual((task['verify']['schedule']['expression'], task['verify']['shares']), ('@daily', 7))
        self.assertEqual(task['schedule']['timezone'], 'Europe/Berlin')
        self.run_cli('tasks', 'edit', 'from-yaml', '--no-verify')
        self.assertIsNone(self.json_cli('tasks', 'show', 'from-yaml')['verify'])
        path.write_text('name: x\npathes: [/etc]\n')
        error = suite.cli('tasks', 'create', '--file', path, check=False)
        self.assertNotEqual(error.returncode, 0)
        self.assertIn('pathes', error.stderr)

    def test_08b_secrets_that_go(self):
        """What is stored for a place is asked for again with another one, or is taken away; of tasks and targets."""
        secret = pathlib.Path(work.name, 'secret')
        secret.write_text('not-to-be-seen\n')
        server = ('--type', 'mysql', '--host', 'db', '--db-user', 'backup')
        self.run_cli('tasks', 'create', 'sql', *server, '--secret', f'password={secret}', '-t', 'disk')
        self.assertEqual(self.json_cli('tasks', 'show', 'sql')['secret_names'], ['password'])
        refused = suite.cli('tasks', 'edit', 'sql', '--socket', '/run/db.sock', check=False)
        self.assertEqual(refused.returncode, ERROR)
        self.assertIn('--no-secrets', refused.stderr)
        self.run_cli('tasks', 'edit', 'sql', '--socket', '/run/db.sock', '--no-secrets')
        task = self.json_cli('tasks', 'show', 'sql')
        self.assertEqual((task['secret_names'], task['source']['server']),
                         ([], {'socket': '/run/db.sock', 'user': 'backup'}))
        self.run_cli('targets', 'create', 'dav', '--type', 'webdav', '--config', 'url=https://a.example/x/', '--secret',
                     f'token={secret}')
        self.assertEqual(self.json_cli('targets', 'show', 'dav')['secrets'], ['token'])
        self.run_cli('targets', 'edit', 'dav', '--config', 'url=https://b.example/x/', status=ERROR)
        self.run_cli('targets', 'edit', 'dav', '--config', 'url=https://b.example/x/', '--no-secrets')
        target = self.json_cli('targets', 'show', 'dav')
        self.assertEqual((target['secrets'], target['config']['url']), ([], 'https://b.example/x/'))
        self.run_cli('tasks', 'delete', 'sql', '--yes')
        self.run_cli('targets', 'delete', 'dav', '--yes')

    def test_08c_checks_that_were_missed(self):
        """Made up for, or not, as the schedule's own runs."""
        self.run_cli('tasks', 'edit', 'from-yaml', '--verify', '@daily', '--no-verify-catch-up')
        self.assertIs(self.json_cli('tasks', 'show', 'from-yaml')['verify']['schedule']['catch_up'], False)
        self.run_cli('tasks', 'edit', 'from-yaml', '--verify-catch-up')
        task = self.json_cli('tasks', 'show', 'from-yaml')
        self.assertEqual((task['verify']['schedule']['expression'], task['verify']['schedule']['catch_up']),
                         ('@daily', True))
        self.assertIs(task['schedule']['catch_up'], True)
        self.run_cli('tasks', 'edit', 'from-yaml', '--no-verify')

    def test_09_logs(self):
        """The log of a run; -f ends with the run."""
        run = str(suite.run_task(self.json_cli('tasks', 'show', 'files')['id']))
        followed = self.run_cli('runs', 'logs', '-f', run)
        self.assertEqual(followed, self.run_cli('logs', 'show', run))
        self.assertGreater(len(followed.splitlines()), 1)

    def test_10_cancel(self):
        """A run can be cancelled; its waiter says so."""
        big = pathlib.Path(work.name, 'big')
        big.mkdir()
        with open(big / 'random', 'wb') as file:
            for _ in range(300):
                file.write(os.urandom(1 << 20))
        self.run_cli('tasks', 'create', 'big', '-p', big, '-t', 'disk', '--level', '15')
        run = self.json_cli('tasks', 'run', 'big')['run_id']
        suite.wait_run(run, ('running',))
        self.run_cli('runs', 'cancel', str(run), '--wait', status=RUN_FAILED)
        self.assertEqual(suite.client.get(f'runs/{run}')['state'], 'cancelled')

    def test_11_progress_bar(self):
        """On a terminal a wait shows a bar; elsewhere it does not."""
        environment = clean_environment(
            BACKUPX_SERVER=suite.server,
            BACKUPX_TOKEN=suite.client.token,
            HOME=str(suite.folder),
            TERM='xterm',
            LC_ALL='C.UTF-8',
        )
        main, side = pty.openpty()
        with subprocess.Popen(
            [build_folder() / 'cli/backupx', 'tasks', 'run', 'files', '--wait'],
            env=environment,
            stdin=side,
            stdout=side,
            stderr=side,
        ) as process:
            os.close(side)
            shown = b''
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and select.select([main], [], [], 120)[0]:
                try:
                    part = os.read(main, 4096)
                except OSError:
                    break
                shown += part
            self.assertEqual(process.wait(60), DONE)
        os.close(main)
        self.assertIn(b'\r\033[K', shown)
        self.assertIn(b'succeeded', shown)
        self.assertNotIn('\033', self.run_cli('tasks', 'run', 'files', '--wait'))

    def test_12_session(self):
        """login, status and logout; the session is for its user alone, and for its server alone."""
        password = ('--username', 'admin', '--password-file', '-')
        self.run_cli('login', *password, stdin='wrong password\n', token=False, status=DENIED)
        self.run_cli('login', *password, stdin=suite.password + '\n', token=False)
        path = suite.folder / '.config/backupx/session.json'
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertNotIn(suite.password, path.read_text())
        self.assertIn('logged in as admin', self.run_cli('status', token=False))
        other = suite.cli(
            'status', '--server', f'http://localhost:{suite.port}', token=False, check=False
        )
        self.assertEqual(other.returncode, DENIED, 'a session went to another server')
        self.run_cli('logout', token=False)
        self.run_cli('status', token=False, status=DENIED)
        self.assertNotIn('bearer', path.read_text().lower())

    def test_13_users_and_keys(self):
        """A viewer's key may look and change nothing."""
        key = self.run_cli('keys', 'create', 'look', '--role', 'viewer', '--quiet').strip()
        self.run_cli('tasks', 'list', environment={'BACKUPX_TOKEN': key}, token=False)
        self.run_cli(
            'tasks', 'run', 'files', environment={'BACKUPX_TOKEN': key}, token=False, status=DENIED
        )
        self.run_cli('keys', 'delete', 'look', '--yes')
        self.run_cli('tasks', 'list', environment={'BACKUPX_TOKEN': key}, token=False, status=DENIED)
        self.run_cli(
            'users', 'create', 'bob', '-r', 'operator', '--password-file', '-', stdin='a long password\n'
        )
        self.run_cli('users', 'edit', 'bob', '--disabled')
        self.run_cli(
            'login',
            '-u',
            'bob',
            '--password-file',
            '-',
            stdin='a long password\n',
            token=False,
            status=DENIED,
        )
        self.run_cli('users', 'delete', 'bob', '--yes')
        self.run_cli('users', 'delete', 'admin', '--yes', status=CONFLICT)
        self.assertIn('user.delete', self.run_cli('logs', 'audit'))

    def test_14_errors(self):
        """Each way to fail has its exit status and its sentence."""
        self.run_cli('tasks', 'show', 'nope', status=NOT_FOUND)
        self.run_cli('runs', 'show', '4711', status=NOT_FOUND)
        self.run_cli('tasks', 'run', status=USAGE)
        self.run_cli('tasks', 'list', '--limit', 'x', status=USAGE)
        self.run_cli('status', '--server', 'http://127.0.0.1:1', status=UNREACHABLE)
        self.run_cli('status', environment={'BACKUPX_TOKEN': 'bxk_wrong'}, token=False, status=DENIED)
        self.run_cli('setup', '--password-file', '-', stdin='x\n', token=False, status=CONFLICT)
        text = suite.cli(
            'tasks', 'create', 'x', '-p', '/etc', '-t', 'disk', '-s', 'Mon..Fry 02:30', check=False
        )
        self.assertIn('column', text.stderr)

    def test_14b_in_use(self):
        """Whoever may not delete a node sees the tasks that use it, a program too."""
        self.run_cli('nodes', 'create', 'busy')
        for name in ('used-1', 'used-2'):
            self.run_cli('tasks', 'create', name, '-p', '/etc', '-t', 'disk', '-n', 'busy', '-e', 'none')
        ids = [self.json_cli('tasks', 'show', name)['id'] for name in ('used-1', 'used-2')]
        refused = suite.cli('nodes', 'delete', 'busy', '--yes', check=False)
        self.assertEqual((refused.returncode, refused.stdout), (CONFLICT, ''))
        self.assertEqual(
            refused.stderr.splitlines()[1:], [f'  task {ids[0]}  used-1', f'  task {ids[1]}  used-2']
        )
        answer = json.loads(self.run_cli('nodes', 'delete', 'busy', '--yes', '--json', status=CONFLICT))
        self.assertEqual(answer['code'], 'NODE_IN_USE')
        self.assertEqual([task['id'] for task in answer['tasks']], ids)
        for name in ('used-1', 'used-2'):
            self.run_cli('tasks', 'delete', name, '--yes')
        self.run_cli('nodes', 'delete', 'busy', '--yes')

    def test_15_hostile_names(self):
        """A name cannot drive the terminal."""
        self.run_cli('nodes', 'create', 'plain')
        self.run_cli('nodes', 'edit', 'plain', '--description', '\033[31mred\u202e')
        text = self.run_cli('nodes', 'show', 'plain')
        self.assertNotIn('\033', text)
        self.assertNotIn('\u202e', text)

    def test_16_no_secret_in_arguments(self):
        """No option takes a password or a token as its value."""
        table = json.loads(self.run_cli('help', '--json'))
        options = table['options'] + [o for c in table['commands'] for o in c['options']]
        for option in options:
            if re.search('password|token|secret', option['name']) and option['argument']:
                self.assertIn('FILE', option['argument'], option['name'])

    def test_17_completion(self):
        """The completion knows commands, options and what is there."""
        script = (
            'complete() { :; }; . "$1"\n'
            'try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _backupx; echo "${COMPREPLY[*]}"; }\n'
            'try backupx ta; try backupx tasks r; try backupx tasks run --w; try backupx tasks create --encryption s\n'
            'try backupx tasks run fil\n'
        )
        tools = pathlib.Path(work.name, 'bin')
        tools.mkdir()
        (tools / 'backupx').symlink_to(build_folder() / 'cli/backupx')
        environment = clean_environment(BACKUPX_SERVER=suite.server, BACKUPX_TOKEN=suite.client.token)
        environment['PATH'] = f'{tools}:{environment["PATH"]}'
        result = subprocess.run(
            ['bash', '-c', script, 'bash', build_folder() / 'docs/backupx'],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        self.assertEqual(
            result.stdout.split('\n')[:5], ['targets tasks', 'run', '--wait', 'sealed', 'files']
        )


if __name__ == '__main__':
    unittest.main(verbosity=2)
