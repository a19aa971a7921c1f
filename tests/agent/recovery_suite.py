#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""When the master is gone: what it backed up is restored by the recovery kit with stock tools alone, and the master
itself by self-restore, with its agents and its history."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib'), str(ROOT / 'tests' / 'tools')]

import azurite  # noqa: E402 pylint: disable=wrong-import-position
import ceph  # noqa: E402 pylint: disable=wrong-import-position
import servers  # noqa: E402 pylint: disable=wrong-import-position
import sigv4  # noqa: E402 pylint: disable=wrong-import-position
import treecmp  # noqa: E402 pylint: disable=wrong-import-position
import trees  # noqa: E402 pylint: disable=wrong-import-position
from processes import Process, clean_environment  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, build_folder  # noqa: E402 pylint: disable=wrong-import-position

STOCK = ('age', 'cat', 'grep', 'ls', 'mkdir', 'rclone', 'restic', 'sh', 'sha256sum', 'sort', 'ssh-keygen',
         'ssh-keyscan', 'tar', 'test', 'zstd')
NEEDED = (*STOCK, 'sshd', 'apache2', 'proftpd', 'unshare', 'strace')
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
# Of the calls that rename, those that fail.
STEPS = range(1, 101) if LONG else (1, 20, 29, 36)
PASSPHRASE = 'correct horse battery'


def sections(kit):
    """title -> the commands of a section."""
    found, title = {}, None
    for line in kit.splitlines():
        if line.startswith('### '):
            title = line[4:]
            found[title] = []
        elif re.match(r'\d\. ', line):
            title = None
        elif title and line.startswith('    '):
            found[title].append(line[4:])
    return {title: '\n'.join(lines) + '\n' for title, lines in found.items() if lines}


def files_of(*folders):
    """path -> content of everything."""
    return {str(path): path.read_bytes() for folder in folders for path in sorted(pathlib.Path(folder).rglob('*'))
            if path.is_file()}


@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, NEEDED)), 'needs root and the stock tools')
class Recovery(unittest.TestCase):
    """One master with two nodes and a target of each type; then it is gone."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-recovery-'))
        cls.folder.chmod(0o755)  # the users of the servers go through it
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.suite = Suite(state=cls.folder / 'master-1')
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()
        cls.start_web()
        cls.sshd = cls.addServer(servers.Sshd(cls.folder / 'sshd'))
        cls.apache = cls.addServer(servers.Apache(cls.folder / 'apache', tls=True))
        cls.proftpd = cls.addServer(servers.Proftpd(cls.folder / 'proftpd', tls='explicit'))
        cls.source = cls.folder / 'source'
        cls.source.mkdir()
        trees.make_small(cls.source)
        (cls.source / 'documents' / 'sparse').unlink()  # repositories do not hold where holes were
        trees.make_privileged(cls.source)
        (cls.source / 'noise').write_bytes(os.urandom(3 << 20))
        cls.tools = cls.folder / 'tools'
        cls.tools.mkdir()
        for name in STOCK:
            (cls.tools / name).symlink_to(shutil.which(name))
        cls.key = cls.folder / 'key'
        subprocess.run(['age-keygen', '-o', cls.key], check=True, capture_output=True)
        cls.recipient = re.search(r'age1\w+', cls.key.read_text())[0]
        cls.backupx('offline-keys', 'set', cls.recipient, plain=False)
        cls.back_up()
        cls.before = cls.suite.client.get(f'nodes/{cls.web}')
        cls.copy()
        cls.suite.stop()

    @classmethod
    def addServer(cls, server):  # pylint: disable=invalid-name
        """Until the end."""
        server.__enter__()
        cls.addClassCleanup(server.__exit__, None, None, None)
        return server

    @classmethod
    def start_web(cls):
        """An agent that goes on when its master is gone."""
        made = cls.suite.client.post('nodes', {'name': 'web-1'})
        cls.web = made['id']
        state = cls.web_state = cls.folder / 'web-1'
        (state / 'results').mkdir(parents=True)
        (state / 'storage').mkdir()
        (state / 'run').mkdir()
        (state / 'token').write_text(made['token'])
        agent = Process('web-1', [cls.suite.program('agent')], state / 'run', cls.suite.agent_environment(
            BACKUPX_AGENT_TOKEN_FILE=str(state / 'token'), BACKUPX_AGENT_STATE_DIR=str(state),
            BACKUPX_AGENT_RUNTIME_DIR=str(state / 'run'), DBUS_SYSTEM_BUS_ADDRESS=f'unix:path={state}/no-bus'))
        agent.start()
        cls.addClassCleanup(agent.stop, 60)
        cls.suite.wait_online(cls.web)

    @classmethod
    def remote_targets(cls):
        """One of each type; Ceph takes long to start."""
        sshd, safe = cls.sshd, cls.web_state / 'storage' / 'safe'
        safe.mkdir()
        made = {
            'sftp': sshd.target({'password': servers.PASSWORD}),
            'webdav': cls.apache.target(ca_cert=cls.apache.path('certificate')),
            'ftp': cls.proftpd.target(),
            'crypt': {'type': 'rclone:crypt', 'config': {'remote': str(safe), 'path': 'b'},
                      'secrets': {'password': "it's $HOME", 'password2': 'salt'}},
        }
        if LONG:
            made['rclone'] = {
                'type': 'rclone:sftp', 'secrets': {'pass': servers.PASSWORD},
                'config': {'host': '127.0.0.1', 'port': str(sshd.port), 'user': servers.USER, 'path': 'through-rclone'}}
        if LONG:
            cls.azurite = cls.addServer(azurite.Azurite(cls.folder / 'azurite', tls=True))
            made['azure'] = cls.azurite.target(endpoint=cls.azurite.host_endpoint)
            sas = cls.azurite.target({'sas_token': cls.azurite.sas()}, endpoint=cls.azurite.host_endpoint, prefix='b')
            made['azuresas'] = sas
        if LONG and not ceph.missing():
            (cls.folder / 'ceph').mkdir()
            cls.ceph = ceph.Ceph(cls.folder / 'ceph')
            cls.addClassCleanup(cls.ceph.close)
            client = sigv4.Client(cls.ceph.url, ceph.ACCESS_KEY, ceph.SECRET_KEY)
            assert client.request('PUT', '/backups')[0] == 200
            made['s3'] = {'type': 's3', 'secrets': {'secret_key': ceph.SECRET_KEY},
                          'config': {'preset': 'ceph', 'endpoint': cls.ceph.url, 'bucket': 'backups',
                                     'access_key': ceph.ACCESS_KEY, 'prefix': 'a/prefix'}}
        return made

    @classmethod
    def back_up(cls):
        """A sealed archive and a snapshot on each type of target."""
        targets = {'disk': cls.suite.make_target('disk', cls.web_state / 'storage' / "it's a disk"),
                   'relay': cls.suite.make_target('relay', kind='relay')}
        for name, made in cls.remote_targets().items():
            targets[name] = cls.suite.client.post('targets', {'name': name, **made})['id']
        cls.targets = sorted(targets)
        cls.runs = {}
        for form, more in (('archive', {'encryption': 'sealed'}), ('repository', {})):
            task = cls.suite.make_task([cls.source], targets.values(), f'{form} of files', format=form, node_id=cls.web,
                                       **more)
            run = cls.suite.backup(task)
            assert run['state'] == 'succeeded', f'{run}\n{cls.suite.logs(run["id"])}'
            cls.runs[form] = run
        cls.task = task

    @classmethod
    def backupx(cls, *arguments, status=0, stdin='', stdout=subprocess.PIPE, state=None, wrapper=(),
                plain=True):
        """The command on the machine of the master; what it said."""
        state = state or cls.suite.folder
        arguments = [*arguments, *(('--plain', state / 'keys') if plain else ())]
        done = subprocess.run(
            [*wrapper, cls.suite.program('cli'), *map(str, arguments)], text=True,
            input=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False,
            env=clean_environment(BACKUPX_STATE_DIR=state / 'master', BACKUPX_AGENT_STATE_DIR=state / 'agent'))
        if status is not None:
            assert (done.returncode != 0) == bool(status), (arguments, done.returncode, done.stdout, done.stderr)
        return (done.stdout or '') + done.stderr

    @classmethod
    def copy(cls):
        """Kit and copies, made while the master works."""
        cls.kit, cls.plain = cls.folder / 'kit', cls.folder / 'copy.tar.zst'
        cls.sealed = cls.folder / 'copy.tar.zst.age'
        recipients = cls.folder / 'recipients'
        recipients.write_text(f'# in the safe\n\n{cls.recipient}\n')
        cls.told = [cls.backupx('recovery-kit', '--check', status=1), cls.backupx('self-backup', cls.plain)]
        cls.backupx('recovery-kit', cls.kit)
        cls.told += [cls.backupx('recovery-kit', '--check'), cls.suite.cli('status').stdout]
        cls.told += [cls.backupx('self-backup', '--recipients-file', recipients, cls.sealed)]
        cls.suite.client.post('targets', {'name': 'later', 'type': 'relay', 'config': {}})
        cls.told += [cls.backupx('recovery-kit', '--check', status=1), cls.suite.cli('status').stdout]
        cls.running = cls.backupx('self-restore', '--force', cls.plain, status=1)

    # --- the kit ---

    def bare_machine(self, script, folder):
        """Runs commands where there is no BackupX, only the stock tools."""
        tools = self.tools
        folder.mkdir()
        hosts = self.folder / f'{folder.name}-hosts'
        hosts.write_text(f'127.0.0.1 localhost {azurite.HOST}\n')
        done = subprocess.run(
            [shutil.which('unshare'), '--mount', shutil.which('sh'), '-euc',
             f'{shutil.which("mount")} -t tmpfs none {build_folder()}; '
             f'{shutil.which("mount")} --bind {hosts} /etc/hosts; exec {tools}/sh -eu'], text=True,
            input=script, cwd=folder, capture_output=True, check=False,
            env={'PATH': str(tools), 'HOME': str(folder)})
        self.assertEqual(done.returncode, 0, f'{script}\n{done.stdout}\n{done.stderr}')
        return done.stdout

    def paste(self, title, script):
        """One section; what it restored is compared. The target and the part of the kit."""
        kind, place = title[0], self.folder / f'bare-{title.split()[0]}'
        said = self.bare_machine(script, place)
        top = next(place.glob('restored*')) if kind == '3' else next(place.glob('restored/*/*'))
        self.assertEqual(treecmp.differences(self.source, pathlib.Path(f'{top}{self.source}')), [], title)
        if kind == '4':
            self.assertRegex(said, r'(?m)^[0-9a-f]{64}  -$')  # the manifest is the one that was written
        shutil.rmtree(place)
        return re.search(r'on target (\w+)', title)[1] + kind

    def test_kit(self):
        """Each section, pasted as it is, restores what it says."""
        self.assertEqual(stat.S_IMODE(self.kit.stat().st_mode), 0o600)
        found = sections(self.kit.read_text())
        pasted = {title: script for title, script in found.items() if title[0] in '34'}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = list(pool.map(self.paste, pasted, pasted.values()))
        self.assertEqual(sorted(done), sorted(name + kind for name in self.targets for kind in '34'))
        # And the keys that section 1 gives are those of the rest.
        keys = self.folder / 'bare-keys'
        self.bare_machine(''.join(s for t, s in found.items() if t.startswith('1.')), keys)
        self.assertEqual((keys / 'backupx-master.key').read_text().strip(),
                         (self.suite.folder / 'keys' / 'dispatcher-identity').read_text().strip())

    def test_kit_stays_private(self):
        """Not over another file, not where others read, and sealed where it is asked for."""
        self.assertIn('--force', self.backupx('recovery-kit', self.kit, status=1))
        self.backupx('recovery-kit', '--force', self.kit)
        open_file = self.folder / 'readable'
        open_file.touch(mode=0o644)
        with open_file.open('w') as out:
            self.assertIn('Others could read', self.backupx('recovery-kit', '-', status=1, stdout=out))
            self.assertEqual(open_file.read_text(), '')
            self.backupx('recovery-kit', '--recipient', self.recipient, '-', stdout=out)
        self.assertNotIn(b'AGE-SECRET', open_file.read_bytes())
        opened = subprocess.run(['age', '-d', '-i', self.key, open_file], capture_output=True, check=True, text=True)
        self.assertEqual(sections(opened.stdout), sections(self.kit.read_text()))
        sealed = self.folder / 'kit.age'
        self.backupx('recovery-kit', '--password-file', '-', sealed, stdin=PASSPHRASE + '\n')
        self.assertEqual(sections(self.open_by_passphrase(sealed)), sections(self.kit.read_text()))
        place = f'file:{self.suite.master_state}/backupx.db?mode=ro'
        with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
            noted, = database.execute("SELECT count(*) FROM audit WHERE action = 'recovery_kit.write'").fetchone()
        self.assertGreaterEqual(noted, 4)

    def test_kit_is_due(self):
        """Said until one is written, and again when there is something that it does not have."""
        never, warned, good, status, silent, old, status_then = self.told
        self.assertIn('No recovery kit was written yet', never)
        self.assertIn('warning: No recovery kit', warned)
        self.assertIn('has all that restoring needs', good)
        self.assertNotIn('recovery kit', status + silent)
        self.assertIn('targets 1.', old)
        self.assertIn('recovery-kit FILE', status_then)
        for arguments in (['--check', self.folder / 'x'], []):
            self.assertIn('--check', self.backupx('recovery-kit', *arguments, status=1))
        empty = self.folder / 'empty'
        empty.write_text('# no key\n')
        said = self.backupx('self-backup', '--recipients-file', empty, self.folder / 'unsealed', status=1)
        self.assertIn('no key', said)
        self.assertFalse((self.folder / 'unsealed').exists())

    def open_offline(self, path):
        """What stock age opens with the key that nobody but its owner has."""
        return subprocess.run(['age', '-d', '-i', self.key, path], capture_output=True, check=True).stdout

    def test_offline_key(self):
        """Beside kit and master it opens the archives and, by the password that lies there, the repositories."""
        places = (self.web_state / 'storage' / "it's a disk", self.suite.master_state / 'relay')
        for place in places:
            found = list(place.rglob('backupx-password-*.age'))
            self.assertEqual(len(found), 1, found)
            environment = {'PATH': os.environ['PATH'], 'RESTIC_PASSWORD': self.open_offline(found[0]).decode()}
            done = subprocess.run(['restic', '-r', found[0].parent, '--no-cache', 'check'], text=True, check=False,
                                  capture_output=True, env=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('no errors', done.stdout)
            archive, = place.rglob('data.tar.zst.age')
            self.assertTrue(self.open_offline(archive).startswith(b'\x28\xb5\x2f\xfd'))  # zstd

    def test_offline_keys_are_named(self):
        """Set, shown and cleared by root alone, and on record."""
        state = self.fresh('offline')
        self.backupx('self-restore', self.plain, state=state)
        self.assertEqual(self.backupx('offline-keys', 'show', state=state, plain=False), f'{self.recipient}\n')
        said = self.backupx('offline-keys', 'set', self.recipient, 'age1wrong', state=state, plain=False, status=1)
        self.assertIn('age1wrong', said)
        self.backupx('offline-keys', 'set', *[self.recipient] * 9, state=state, plain=False, status=1)
        self.backupx('offline-keys', 'clear', state=state, plain=False)
        self.assertEqual(self.backupx('offline-keys', 'show', state=state, plain=False), '')
        with contextlib.closing(sqlite3.connect(state / 'master' / 'backupx.db')) as database:
            noted = [row[0] for row in database.execute("SELECT action FROM audit WHERE action LIKE 'offline%'")]
        self.assertEqual(noted, ['offline_keys.set', 'offline_keys.clear'])

    def open_by_passphrase(self, path):
        """By stock age, which asks on a terminal."""
        out = self.folder / 'opened'
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvp('age', ['age', '-d', '-o', str(out), str(path)])
        said = b''
        while b'passphrase' not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, PASSPHRASE.encode() + b'\n')
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        os.close(terminal)
        return out.read_text()

    # --- the master ---

    def test_stock_tools_open_the_copy(self):
        """By age, zstd and tar, and what comes out is the database."""
        to = self.folder / 'opened-copy'
        to.mkdir()
        subprocess.run(f'age -d -i {self.key} {self.sealed} | zstd -d | tar -xf - -C {to}', shell=True, check=True)
        manifest = json.loads((to / 'backupx-master' / 'manifest.json').read_text())
        self.assertEqual(manifest['format'], 'backupx-master')
        self.assertTrue((to / 'backupx-master' / 'backupx.db').read_bytes().startswith(b'SQLite format 3'))
        self.assertEqual((to / 'backupx-master' / 'keys' / 'tls-key').read_text().strip(),
                         (self.suite.folder / 'keys' / 'tls-key').read_text().strip())

    def fresh(self, name):
        """Where a new machine has its state."""
        state = self.folder / name
        (state / 'keys').mkdir(parents=True, mode=0o700)
        (state / 'agent').mkdir(mode=0o700)
        return state

    def test_refusals(self):
        """A running master, one with content, a copy that is damaged, cut or sealed: nothing is changed."""
        self.assertIn('running', self.running)
        was = files_of(self.suite.folder / 'keys')
        self.assertIn('--force', self.backupx('self-restore', self.plain, status=1))
        self.assertEqual(files_of(self.suite.folder / 'keys'), was)
        state = self.fresh('refused')
        whole = self.plain.read_bytes()
        bad = self.folder / 'bad'
        for damage in (whole[:-1], whole[:len(whole) // 2], whole[:100], b'', b'nothing',
                       whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1:]):
            bad.write_bytes(damage)
            self.backupx('self-restore', bad, state=state, status=1)
            self.assertEqual(files_of(state), {})
            self.assertFalse((state / 'master' / 'self-restore').exists())
        self.assertIn('--identity', self.backupx('self-restore', self.sealed, state=state, status=1))
        sealed = self.sealed.read_bytes()
        bad.write_bytes(sealed[:-1])
        self.backupx('self-restore', '--identity', self.key, bad, state=state, status=1)
        self.assertEqual(files_of(state), {})

    def fail_at(self, fault, step):
        """A restore over another one, of which a rename fails; whether it had no so many."""
        state = self.fresh(f'fault-{fault[:5]}-{step}')
        self.backupx('self-restore', self.plain, state=state)
        (state / 'keys' / 'session-key').write_text('another\n')
        was = files_of(state)
        strace = ['strace', '-qq', '-o', '/dev/null', '-e', 'trace=rename,renameat', '-e',
                  f'inject=rename,renameat:{fault}:when={step}']
        said = self.backupx('self-restore', '--force', self.plain, state=state, status=None, wrapper=strace)
        if 'is on this machine now' in said:
            return True
        if fault == 'error=EIO':
            now = {path: data for path, data in files_of(state).items() if '.before-restore' not in path}
            self.assertEqual(now, was, (step, said))
        else:
            self.backupx('self-restore', '--force', self.plain, state=state)
            self.assertNotEqual((state / 'keys' / 'session-key').read_text(), 'another\n')
            self.assertEqual((state / 'keys' / 'session-key.before-restore').read_text(), 'another\n')
        self.assertFalse((state / 'master' / 'self-restore').exists())
        shutil.rmtree(state)
        return False

    @unittest.skipIf('ASAN_OPTIONS' in os.environ, 'the search for leaks does not go together with strace')
    def test_all_or_nothing(self):
        """Each rename fails once: all is as before. Killed at each: the next restore goes on."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for fault, steps in (('error=EIO', STEPS), ('signal=KILL', STEPS[1:])):
                ended = list(pool.map(lambda step, fault=fault: self.fail_at(fault, step), steps))
                self.assertFalse(ended[0])
                self.assertEqual(ended, sorted(ended))
                if LONG:
                    self.assertTrue(ended[-1])

    def test_z_new_master(self):
        """On a new machine: the agents come back as they are, runs are listed, old backups restored, new ones made."""
        state = self.fresh('master-2')
        self.backupx('self-restore', '--identity', self.key, self.sealed, state=state)
        shutil.copy(self.suite.folder / 'token', state / 'token')
        with Suite(state=state, port=self.suite.port) as suite:
            suite.wait_online(self.web)
            node = suite.client.get(f'nodes/{self.web}')
            for field in 'agent_id', 'public_key', 'name':
                self.assertEqual(node.get(field), self.before.get(field))
            self.assertEqual(node['health'], 'healthy', node)
            self.assertEqual(suite.node()['health'], 'healthy', suite.node())
            listed = {run['id']: run['state'] for run in suite.client.items('runs')}
            for form, run in self.runs.items():
                self.assertEqual(listed[run['id']], 'succeeded')
                to = self.folder / f'again-{form}'
                restored = suite.restore(run['id'], to, node=self.web)
                self.assertEqual(restored['state'], 'succeeded', suite.logs(restored['id']))
                self.assertEqual(treecmp.differences(self.source, pathlib.Path(f'{to}{self.source}')), [])
                self.assertGreater(restored['id'], 100000)
            shutil.copytree(self.suite.master_state / 'relay', state / 'master' / 'relay', dirs_exist_ok=True)
            run = suite.backup(self.task)
            self.assertEqual((run['state'], run['files_new']), ('succeeded', 0), suite.logs(run['id']))


if __name__ == '__main__':
    unittest.main(verbosity=2)
