#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""backupx-keys: it makes what is missing, once; a start that was killed at any step is repaired by the next
one; what is there is never replaced; and no secret is ever printed."""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from processes import clean_environment  # noqa: E402 pylint: disable=wrong-import-position
from suite import PROGRAMS, build_folder  # noqa: E402 pylint: disable=wrong-import-position

KEYS = build_folder() / PROGRAMS['keys']
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
# What changes a file system. Who is killed on entering such a call did everything before it, and not this.
STEPS = ('mkdir', 'write', 'fchmod', 'fdatasync', 'fsync', 'rename', 'renameat', 'unlink')
if 'ASAN_OPTIONS' in os.environ:
    # The search for leaks does not go together with strace.
    os.environ['ASAN_OPTIONS'] += ':detect_leaks=0'
SECRET = re.compile(r'AGE-SECRET-KEY|bxn_[A-Za-z0-9_-]{20}|[0-9a-f]{64}|-----BEGIN')


def have(*command):
    """Whether a tool can do this here."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class KeysCase(unittest.TestCase):
    """A folder, with the places of a master in it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-keys-'))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.fresh()

    def fresh(self):
        """As before the first start."""
        for entry in self.folder.iterdir():
            shutil.rmtree(entry)
        for name in ('credstore', 'agent', 'state'):
            (self.folder / name).mkdir(mode=0o755)
        self.said = ''

    def places(self):
        """Where things go."""
        raise NotImplementedError

    def run_keys(self, before=(), check=True):
        """Runs it; the completed process. What it says is kept."""
        command = [*map(str, before), str(KEYS), '--state-dir', str(self.folder / 'state'), *self.places()]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        self.said += done.stdout + done.stderr
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def killed_at(self, call, number, *options):
        """Runs it until it enters a system call for the number-th time; whether it came that far."""
        kill = ['strace', '-qq', '-o', '/dev/null', *options, '-e', f'trace={call}', '-e',
                f'inject={call}:signal=KILL:when={number}']
        status = self.run_keys(kill, check=False).returncode
        # Who runs something that is killed fails.
        self.assertIn(status, (0, -signal.SIGKILL, *([1] if options else [])))
        return status != 0

    def files(self):
        """path -> (mode, owner, inode, content) of everything."""
        found = {}
        for path in sorted(self.folder.rglob('*')):
            st = path.lstat()
            if stat.S_ISREG(st.st_mode):
                entry = (stat.S_IMODE(st.st_mode), st.st_uid, st.st_ino, path.read_bytes())
                found[str(path.relative_to(self.folder))] = entry
        return found

    def final(self, files):
        """Those that are not temporary ones that a kill left, of ours or of systemd-creds."""
        return {name: entry for name, entry in files.items()
                if not name.endswith(('~', '.new')) and not os.path.basename(name).startswith('.#')}

    def check_files(self):
        """All is there, and fits; gives the files."""
        files = self.final(self.files())
        for name, (mode, owner, _, content) in files.items():
            self.assertEqual(owner, os.geteuid(), name)
            self.assertTrue(content, name)
            self.assertIn(mode, (0o600, 0o644), name)
            if SECRET.search(content.decode(errors='replace')) and not name.endswith('.sha256'):
                self.assertEqual(mode, 0o600, name)
        public = files['state/dispatcher.pub']
        self.assertEqual(public[0], 0o644)
        self.assertRegex(public[3].decode(), r'\Aage1[0-9a-z]{58}\n\Z')
        token = [content for name, (_, _, _, content) in files.items() if name.endswith('token')][0]
        self.assertRegex(token.decode(), r'\Abxn_[A-Za-z0-9_-]{43}\n\Z')
        expected = hashlib.sha256(token.strip()).hexdigest()
        self.assertEqual(files['state/local-node.sha256'][3].decode().strip(), expected)
        self.check_identity(files, public[3].decode().strip())
        return files

    def check_identity(self, files, public):
        """The public key that was published is the identity's."""
        raise NotImplementedError

    def check_said(self):
        """Nothing secret was printed, in whatever it said so far."""
        self.assertIsNone(SECRET.search(self.said), self.said)

    def check_kills(self, *options):
        """Killed at each step, one start after the other."""
        kills = 0
        for call in STEPS:
            number = 1
            self.fresh()
            while self.killed_at(call, number, *options):
                with self.subTest(call=call, number=number):
                    before = self.final(self.files())
                    self.run_keys()
                    files = self.check_files()
                    self.assertEqual(files, self.files(), 'something temporary is left')
                    for name, entry in before.items():
                        self.assertEqual(files[name], entry, f'{name} was replaced')
                    self.check_said()
                kills += 1
                number += 1
                self.fresh()
        print(f'killed {kills} times', file=sys.stderr)
        self.assertGreater(kills, 20)


class Plain(KeysCase):
    """For a suite without a service manager."""

    def places(self):
        return ['--plain', str(self.folder / 'credstore')]

    def check_identity(self, files, public):
        identity = files['credstore/dispatcher-identity']
        self.assertEqual(identity[0], 0o600)
        done = subprocess.run(['age-keygen', '-y'], input=identity[3], capture_output=True, check=True)
        self.assertEqual(done.stdout.decode().strip(), public)
        self.assertRegex(files['credstore/session-key'][3].decode(), r'\A[0-9a-f]{64}\n?\Z')

    def test_first_start(self):
        self.run_keys()
        self.check_files()
        self.assertEqual(self.final(self.files()), self.files(), 'something temporary is left')
        self.check_said()

    def test_later_starts_change_nothing(self):
        self.run_keys()
        files = self.files()
        self.said = ''
        for _ in range(2):
            self.run_keys()
        self.assertEqual(self.files(), files)
        self.assertEqual(self.said, '')

    def test_leftovers(self):
        """What a kill left goes with the next start; what only looks like it is somebody's."""
        self.run_keys()
        files = self.files()
        rest = '0123456789abcdef'
        gone = [f'credstore/session-key.{rest}~', 'credstore/tls-key.new', f'credstore/.#tls-key.new{rest}',
                f'credstore/agent-token.{rest}~', f'state/dispatcher.pub.{rest}~']
        kept = ['credstore/tls-key.bak', 'credstore/tls-key.new.old', f'credstore/other.{rest}~',
                'credstore/session-key~', f'credstore/session-key.{rest}0~', f'credstore/session-key.{rest}',
                f'state/backupx.db.{rest}~', f'credstore/.#tls-key.new{rest[1:]}']
        for name in gone + kept:
            (self.folder / name).write_text('x')
        self.run_keys()
        now = self.files()
        self.assertEqual(set(now) - set(files), set(kept))
        self.assertEqual({name: now[name] for name in files}, files)

    def test_two_masters_have_nothing_in_common(self):
        self.run_keys()
        one = {entry[3] for entry in self.files().values()}
        self.fresh()
        self.run_keys()
        self.assertEqual(one & {entry[3] for entry in self.files().values()}, set())

    def test_each_missing_part_is_made_again(self):
        """What can be derived is; what was lost is new; everything else stays."""
        self.run_keys()
        files = self.files()
        for name in files:
            with self.subTest(name=name):
                (self.folder / name).unlink()
                self.run_keys()
                now = self.check_files()
                derived = {'credstore/dispatcher-identity': 'state/dispatcher.pub',
                           'credstore/agent-token': 'state/local-node.sha256'}.get(name)
                for other, entry in now.items():
                    if other not in (name, derived):
                        self.assertEqual(entry, files[other], other)
                if name.startswith('state/'):
                    self.assertEqual(now[name][3], files[name][3])
                files = now
        self.check_said()

    def test_damaged(self):
        """An empty or foreign file is told, and never replaced."""
        for name, content in (('dispatcher-identity', ''), ('dispatcher-identity', 'nonsense\n'),
                              ('session-key', ''), ('agent-token', 'bxe_wrong\n')):
            with self.subTest(name=name, content=content):
                self.fresh()
                self.run_keys()
                path = self.folder / 'credstore' / name
                path.write_text(content)
                done = self.run_keys(check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(str(path if name == 'agent-token' or not content else path.name), done.stderr)
                self.assertEqual(path.read_text(), content)
        self.check_said()

    @unittest.skipUnless(have('strace', '-qq', 'true'), 'needs strace')
    def test_killed_at_each_step(self):
        self.check_kills()


@unittest.skipUnless(os.geteuid() == 0, 'needs root')
@unittest.skipUnless(have('systemd-creds', '--version'), 'needs systemd-creds')
class Encrypted(KeysCase):
    """As the unit runs it, with credentials of systemd-creds; the key of the host is one of the test's own."""

    # The shell's arguments: the folder, the command.
    PRIVATE = 'mount --bind "$1/systemd" /var/lib/systemd && shift && exec "$@"'

    def setUp(self):
        super().setUp()
        if not have(*self.private(), 'true'):
            self.skipTest('cannot make a mount namespace here')

    def fresh(self):
        super().fresh()
        (self.folder / 'systemd').mkdir()

    def private(self):
        """Puts /var/lib/systemd into the test's folder."""
        return ['unshare', '-m', 'sh', '-c', self.PRIVATE, 'sh', str(self.folder)]

    def places(self):
        return ['--credstore', str(self.folder / 'credstore'), '--agent-token',
                str(self.folder / 'agent' / 'token')]

    def run_keys(self, before=(), check=True):
        return super().run_keys([*self.private(), *before], check)

    def files(self):
        return {name: entry for name, entry in super().files().items() if not name.startswith('systemd/')}

    def decrypt(self, name):
        """What a unit would get."""
        path = self.folder / 'credstore' / f'backupx.{name}'
        command = [*self.private(), 'systemd-creds', 'decrypt', f'--name={name}', str(path), '-']
        return subprocess.run(command, capture_output=True, check=True).stdout

    def check_identity(self, files, public):
        for name, (mode, _, _, content) in files.items():
            if name.startswith('credstore/'):
                self.assertEqual(mode, 0o600, name)
                self.assertIsNone(SECRET.search(content.decode(errors='replace')), name)
        done = subprocess.run(['age-keygen', '-y'], input=self.decrypt('dispatcher-identity'),
                              capture_output=True, check=True)
        self.assertEqual(done.stdout.decode().strip(), public)
        self.assertRegex(self.decrypt('session-key').decode(), r'\A[0-9a-f]{64}\Z')
        self.assertIn('agent/config.yaml', files)

    def test_first_start_and_the_next(self):
        self.run_keys()
        files = self.check_files()
        self.assertEqual(files, self.files())
        self.run_keys()
        self.assertEqual(self.files(), files)
        self.check_said()

    def test_the_agents_configuration_is_the_administrators(self):
        (self.folder / 'agent' / 'config.yaml').write_text('master: https://elsewhere\n')
        self.run_keys()
        text = (self.folder / 'agent' / 'config.yaml').read_text()
        self.assertEqual(text, 'master: https://elsewhere\n')

    @unittest.skipUnless(have('strace', '-qq', 'true'), 'needs strace')
    def test_killed_at_each_step(self):
        """In the long rounds systemd-creds is killed, too."""
        self.check_kills(*(['-f'] if LONG else []))


if __name__ == '__main__':
    unittest.main(verbosity=2)
