#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets of the types rclone:BACKEND: the rclone of this machine in front of real servers."""

import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import backups
import ceph
import conformance
import fault_proxy
import remotes
import servers
import sigv4
import trees
from suite import Suite

MIB = remotes.MIB
BUCKET = 'backups'
#: Each step of a case starts a program, so that all of them take a minute for each backend.
SHORT = ['given up', 'never replaced', 'missing', 'keys', 'remove', 'probe']
#: How large a child may become, of which rclone itself is 50 MiB.
CHILD_MAX = 160 * MIB


def children_of(pid):
    """The programs that it runs now."""
    done = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def words_of(pid, what):
    """Its arguments or its environment; none where it ended."""
    try:
        return pathlib.Path(f'/proc/{pid}/{what}').read_bytes()
    except OSError:
        return b''


class Case(remotes.RemoteCase):
    """With rclone."""

    NEEDS = ('rclone',)

    def crypt(self):
        """Encrypted by rclone in a directory."""
        return {'type': 'rclone:crypt', 'config': {'remote': self.path('crypt'), 'path': 'be low'},
                'secrets': {'password': servers.PASSWORD, 'password2': 'some salt'}}


class Conformance(conformance.Cases):
    """What every type must do."""
    cases = conformance.CASES if backups.LONG else ['probe']
    #: rclone keeps the header to itself: what is waited is the delay of our own retries.
    told_to_wait = False
    child_memory = CHILD_MAX
    large = 20 * MIB
    pages = 20
    #: See ManyKeys.
    test_many_keys = None

    def run_cases(self, cases, **more):
        """Each put is a program of its own: a long listing is of what was put there by hand."""
        if not more.get('pages_there'):
            more['pages'] = 200 if backups.LONG else self.pages
        return super().run_cases(cases, without='\t', **more)


class ManyKeys:
    """Where objects can be put without rclone."""
    many = 10000

    def put_many(self, prefix):
        """Below the directory of the target."""
        root = self.directory()
        for number in range(self.many):
            path = pathlib.Path(f'{root}/{prefix}pages/{number % 7}/{number:05d}')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b'x' * (number % 2))
        owner = os.stat(os.path.dirname(root)).st_uid
        subprocess.run(['chown', '-R', str(owner), root], check=True)

    @unittest.skipUnless(backups.LONG, 'long rounds: 10,000 objects')
    def test_many_keys(self):
        self.put_many('many/')
        done = self.run_cases(['pages'], prefix='many/', pages=self.many, pages_there=True)
        self.check_memory(f'{self.many} keys', done)


class Local(ManyKeys, Conformance, Case):
    """A directory."""
    cases = conformance.CASES if backups.LONG else SHORT

    def directory(self):
        return self.store

    def spec(self):
        return {'type': 'rclone:local', 'config': {'path': self.store}, 'part': 4 * MIB, 'usage': True}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, **more)
        self.assertEqual([n for n in self.objects() if '.part' in n], [])
        return done


class Crypt(Conformance, Case):
    """Encrypted by rclone."""

    def spec(self):
        return {**self.crypt(), 'part': 4 * MIB}

    @unittest.skipUnless(backups.LONG, 'long rounds: Local writes it the same way')
    def test_large_object(self):
        super().test_large_object()


class Sftp(ManyKeys, Conformance, Case):
    """An OpenSSH."""
    large = 64 * MIB
    NEEDS = ('rclone', 'sshd', 'ssh-keygen')

    def setUp(self):
        super().setUp()
        self.server = servers.Sshd(self.path('sshd'))
        self.addCleanup(self.server.stop)

    def address(self):
        return '127.0.0.1', self.server.port

    def spec(self, address=None):
        host, port = address or self.address()
        return {'type': 'rclone:sftp', 'part': 4 * MIB, 'secrets': {'pass': servers.PASSWORD},
                'config': {'host': host, 'port': str(port), 'user': servers.USER, 'path': 'backups',
                           'shell_type': 'none'}}

    def directory(self):
        return os.path.join(self.server.data, 'backups')

    def test_side_by_side(self):
        """Of several that make the same directory at once rclone lets one."""
        target = {key: value for key, value in self.spec().items() if key in ('type', 'config', 'secrets')}
        command = self.command(target, 'put')
        names = [f'a/b/{number}' for number in range(6)]
        puts = [subprocess.Popen([*command, name], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
        said = [put.communicate(timeout=240)[1] for put in puts]
        self.assertEqual([put.returncode for put in puts], [0] * len(names), said)
        self.assertEqual(self.tree(self.directory()), names)


@unittest.skipUnless(backups.LONG, 'long rounds: WebDav has the same faults, and is faster')
class SftpLine(conformance.Line, Sftp):
    """And its line."""
    speaks_http = False


class WebDav(ManyKeys, Conformance, conformance.Line, Case):
    """An Apache, as the kind of server that takes streams."""
    cases = conformance.CASES if backups.LONG else ['ranges', 'probe']
    NEEDS = ('rclone', 'apache2')

    def setUp(self):
        super().setUp()
        self.server = servers.Apache(self.path('apache'))
        self.addCleanup(self.server.stop)

    def address(self):
        return '127.0.0.1', self.server.port

    def spec(self, address=None):
        return {'type': 'rclone:webdav', 'part': 4 * MIB, 'secrets': {'pass': servers.PASSWORD},
                'config': {'url': 'http://%s:%d/' % (address or self.address()), 'vendor': 'owncloud',
                           'user': servers.USER, 'path': 'back ups'}}

    def directory(self):
        return os.path.join(self.server.data, 'back ups')


@unittest.skipUnless(backups.LONG, 'long rounds: a Ceph takes its time to start')
class S3(ManyKeys, Conformance, conformance.Line, Case):
    """A Ceph, where objects appear whole under their own names."""
    #: Of two that write one name at the same moment, both may succeed there.
    cases = [c for c in conformance.CASES if c != 'race']

    @classmethod
    def setUpClass(cls):
        why = ceph.missing()
        if why:
            raise unittest.SkipTest(why)
        folder = tempfile.mkdtemp(prefix='backupx-ceph-')
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.ceph = ceph.Ceph(folder)
        cls.addClassCleanup(cls.ceph.close)
        client = sigv4.Client(cls.ceph.url, ceph.ACCESS_KEY, ceph.SECRET_KEY)
        if client.request('PUT', f'/{BUCKET}')[0] != 200:
            raise RuntimeError('no bucket')

    def address(self):
        return '127.0.0.1', self.ceph.port

    def spec(self, address=None):
        return {'type': 'rclone:s3', 'part': 5 * MIB, 'secrets': {'secret_access_key': ceph.SECRET_KEY},
                'config': {'provider': 'Ceph', 'endpoint': 'http://%s:%d' % (address or self.address()),
                           'access_key_id': ceph.ACCESS_KEY, 'path': BUCKET + '/a/prefix'}}

    def put_many(self, prefix):
        """With the type of our own."""
        config = {'preset': 'ceph', 'endpoint': 'http://%s:%d' % self.address(), 'bucket': BUCKET,
                  'access_key': ceph.ACCESS_KEY, 'prefix': 'a/prefix'}
        done = conformance.run({'type': 's3', 'secrets': {'secret_key': ceph.SECRET_KEY}, 'config': config},
                               cases=['pages'], pages=self.many, prefix=prefix)
        self.assertEqual(done.returncode, 0, done.stderr)


class Children(Case):
    """The programs that it starts."""
    NEEDS = ('rclone', 'sshd', 'ssh-keygen')

    def setUp(self):
        super().setUp()
        self.server = servers.Sshd(self.path('sshd'))
        self.addCleanup(self.server.stop)
        self.target = {'type': 'rclone:sftp', 'secrets': {'pass': servers.PASSWORD},
                       'config': {'host': '127.0.0.1', 'port': str(self.server.port), 'user': servers.USER,
                                  'path': 'backups', 'shell_type': 'none'}}

    def start_put(self, **options):
        """A put whose child sends."""
        put = self.begin(self.target, 'put', 'x', **options)
        put.stdin.write(b'a' * (20 * MIB))
        put.stdin.flush()
        folder = os.path.join(self.server.data, 'backups', remotes.TEMP)
        self.wait_for('the first bytes', lambda: any(os.path.getsize(p) for p in glob.glob(folder + '/*')))
        return put

    def test_secrets(self):
        """In no argument, no file and no environment but the child's; in no message."""
        put = self.start_put()
        found = children_of(put.pid)
        self.assertEqual(len(found), 1)
        seen = words_of(found[0], 'environ').split(b'\0')
        names = {line.split(b'=')[0] for line in seen if line}
        self.assertEqual(names, {b'PATH', b'LC_ALL', b'HOME', b'GOMAXPROCS', b'GOMEMLIMIT', b'RCLONE_CONFIG', *(
            b'RCLONE_CONFIG_X_' + n for n in (b'TYPE', b'HOST', b'PORT', b'USER', b'SHELL_TYPE', b'PASS'))})
        obscured = next(line.split(b'=', 1)[1] for line in seen if line.startswith(b'RCLONE_CONFIG_X_PASS='))
        self.assertNotIn(servers.PASSWORD.encode(), obscured)
        for pid in os.listdir('/proc'):
            for secret in (servers.PASSWORD.encode(), obscured):
                if pid.isdigit():
                    self.assertNotIn(secret, words_of(pid, 'cmdline'))
                if pid.isdigit() and int(pid) not in found:
                    self.assertNotIn(obscured, words_of(pid, 'environ'))
        # No port is open for others, and of its rights it gained none.
        sockets = subprocess.run(['ss', '-Hltnp'], capture_output=True, text=True, check=True).stdout
        self.assertNotIn(f'pid={found[0]},', sockets)
        status = words_of(found[0], 'status').decode()
        self.assertIn('NoNewPrivs:\t1', status)
        self.assertIn('CapAmb:\t0000000000000000', status)
        put.communicate(b'')
        self.assertEqual(put.returncode, 0)

    def test_ended(self):
        """Whatever comes of an operation, its programs are gone: none stays, dead or alive."""
        with fault_proxy.Proxy('127.0.0.1', self.server.port, lambda n: ('stall up', MIB)) as proxy:
            stuck = {**self.target, 'config': {**self.target['config'], 'port': str(proxy.port)}}
            put = {'do': 'put', 'key': 'x', 'size': 3 * MIB, 'cancel_after': 700}
            operations = [put, {'do': 'list'}, put, {'do': 'stat', 'key': 'x'}, put, {'do': 'list'}, put]
            driver = subprocess.Popen([conformance.DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            seen, most = set(), 0
            with driver:
                driver.stdin.write(json.dumps({**stuck, 'prefix': 'p/', 'operations': operations, 'retry_ms': 1}))
                driver.stdin.close()
                while driver.poll() is None:
                    now = children_of(driver.pid)
                    seen.update(now)
                    most = max(most, len(now))
                done = [json.loads(line) for line in driver.stdout]
            self.assertEqual([d['code'] for d in done if d['after_cancel']], ['CANCELLED'] * 4, done)
            self.assertLess(max(d['after_cancel'] for d in done), 1)
            self.assertGreaterEqual(len(seen), 4)
            # One that works, and one that was just told to end.
            self.assertLessEqual(most, 2)
            self.assertEqual([p for p in seen if b'rclone' in words_of(p, 'cmdline')], [])

    def test_killed_child(self):
        """The put fails; there is no object, and no zombie."""
        put = self.start_put()
        for pid in children_of(put.pid):
            os.kill(pid, signal.SIGKILL)
        _, error = put.communicate(b'b' * (8 * MIB))
        self.assertEqual(put.returncode, 1, error)
        self.assertEqual(self.do(self.target, 'list'), b'')

    def test_killed_parent(self):
        """Half an object never looks like a whole one, where it is written under its own name, too."""
        put = self.start_put()
        found = children_of(put.pid)
        put.kill()
        put.wait()
        self.wait_for('the end of the child', lambda: not any(
            b'rcat' in words_of(p, 'cmdline') for p in found))
        self.assertEqual(self.do(self.target, 'list'), b'')



class Failures(Case):
    """Told apart by their kinds."""
    NEEDS = ('rclone', 'sshd', 'ssh-keygen')

    def test_login(self):
        with servers.Sshd(self.path('sshd')) as server:
            target = {'type': 'rclone:sftp', 'secrets': {'pass': 'a wrong one'},
                      'config': {'host': '127.0.0.1', 'port': str(server.port), 'user': servers.USER}}
            error = self.do(target, 'probe', code='STORAGE_DENIED')
            self.assertNotIn('a wrong one', error)
            server.stop()
            self.do(target, 'probe', code='STORAGE_UNREACHABLE')

    def test_options(self):
        """What this rclone does not know, and what nobody may say."""
        for backend, config, code, field in (
                ('nosuch', {}, 'STORAGE_TYPE_UNKNOWN', 'type'),
                ('sftp', {'hots': 'x'}, 'FIELD_INVALID', 'config.hots'),
                ('sftp', {'host': 'x', 'concurrency': 'many'}, 'FIELD_INVALID', 'config.concurrency'),
                ('sftp', {'host': 'x', 'ssh': 'touch /tmp/x'}, 'FIELD_INVALID', 'config.ssh'),
                ('sftp', {'host': 'x', 'path': ':local:/etc'}, 'FIELD_INVALID', 'config.path'),
                ('sftp', {'host': ':local,x=y:'}, 'FIELD_INVALID', 'config.host'),
                ('crypt', {'remote': ':local:/etc'}, 'FIELD_INVALID', 'config.remote'),
                ('union', {'upstreams': '/etc /root'}, 'FIELD_INVALID', 'config.upstreams'),
                ('local', {'path': 'relative'}, 'FIELD_INVALID', 'config.path')):
            target = {'type': 'rclone:' + backend, 'config': config, 'secrets': {}}
            self.do(target, 'list', code=code, field=field)

    def test_names(self):
        """What is in a name tells nothing of what is wrong."""
        where = self.path('certificates')
        os.mkdir(where)
        target = {'type': 'rclone:local', 'config': {'path': where}, 'secrets': {}}
        self.do(target, 'remove', 'quota', code='OBJECT_NOT_FOUND')

    def test_not_held(self):
        """Names that it would change; backends that can only give."""
        local = {'type': 'rclone:local', 'config': {'path': self.store}, 'secrets': {}}
        self.do(local, 'put', 'a\tb', data=b'x', code='STORAGE_KEY_INVALID', says='control characters')
        target = {'type': 'rclone:http', 'config': {'url': 'http://127.0.0.1:9/'}, 'secrets': {}}
        self.do(target, 'put', 'x', data=b'x', code='STORAGE_FAILED', says='cannot hold backups')

    def test_full(self):
        where = self.mount_tmpfs('full', '3M')
        target = {'type': 'rclone:local', 'config': {'path': where}, 'secrets': {}}
        self.do(target, 'put', 'large', data=os.urandom(6 * MIB), code='STORAGE_FULL')
        self.assertEqual([p for p in self.tree(where) if not p.startswith(remotes.TEMP)], [])
        self.do(target, 'put', 'little', data=b'x')


class Runs(Case):
    """Through the real services, with the client."""
    NEEDS = ('rclone', 'sshd', 'ssh-keygen')

    def setUp(self):
        super().setUp()
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.suite.start()

    def check_forms(self):
        """As rclone of this machine says."""
        known = {b['Prefix']: b for b in json.loads(subprocess.check_output(['rclone', 'config', 'providers']))}
        listed = self.suite.client.get('nodes/1/rclone-backends')['backends']
        self.assertEqual({b['name'] for b in listed}, set(known))
        self.assertNotIn('options', listed[0])
        answer = self.suite.client.get('nodes/1/rclone-backends?backend=s3')['backends']
        self.assertEqual([b['name'] for b in answer], ['s3'])
        self.assertEqual([o['name'] for o in answer[0]['options']], [o['Name'] for o in known['s3']['Options']])
        secrets = {o['name'] for o in answer[0]['options'] if o['secret']}
        self.assertLessEqual({'secret_access_key', 'session_token', 'sse_customer_key'}, secrets)
        self.assertNotIn('access_key_id', secrets)
        text = self.suite.cli('nodes', 'rclone', 'local').stdout
        self.assertRegex(text, r'(?m)^sftp +SSH/SFTP')
        text = self.suite.cli('nodes', 'rclone', 'local', 'sftp').stdout
        self.assertRegex(text, r'(?m)^host +text .* yes .*SSH host to connect to')
        self.assertNotIn('idle_timeout', text)
        text = self.suite.cli('nodes', 'rclone', 'local', 'sftp', '--advanced').stdout
        self.assertIn('idle_timeout', text)
        self.assertNotIn('server_command', text)
        refused = self.suite.cli('nodes', 'rclone', 'local', 'nosuch', check=False)
        self.assertIn("no backend 'nosuch'", refused.stderr)

    def check_policy(self):
        """A directory of the node is one, whatever stands before it."""
        for target in (self.crypt(), {'type': 'rclone:local', 'config': {'path': self.path('l')}, 'secrets': {}}):
            number = self.create_target(self.suite, target['type'].replace(':', '-'), target)
            test = self.suite.client.post(f'targets/{number}/test', {})
            self.assertEqual((test['ok'], test['error']['code']), (False, 'POLICY_DENIED'), test)

    def check_repository(self, number, source):
        """Into a repository there."""
        os.unlink(source + '/documents/sparse')  # the format does not hold where holes were
        task = self.suite.make_task([source], [number], name='far-repository', format='repository')
        run = self.suite.backup(task)
        self.assertEqual(run['state'], 'succeeded', self.suite.logs(run['id']))
        back = self.path('back-repository')
        os.mkdir(back)
        restored = self.suite.restore(run['id'], back)
        self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
        self.assert_same(source, back + source)

    def test_backup_and_restore(self):
        self.check_forms()
        self.check_policy()
        with servers.Sshd(self.path('sshd')) as server:
            number = self.create_target(self.suite, 'far', {
                'type': 'rclone:sftp', 'secrets': {'pass': servers.PASSWORD},
                'config': {'host': '127.0.0.1', 'port': str(server.port), 'user': servers.USER, 'path': 'backups'}})
            test = self.suite.client.post(f'targets/{number}/test', {})
            self.assertTrue(test['ok'], test)
            source, back = self.path('source'), self.path('back')
            os.mkdir(source)
            os.mkdir(back)
            trees.make_small(source)
            trees.write(source + '/large', os.urandom(17 * MIB))
            run = self.suite.backup(self.suite.make_task([source], [number], name='far'))
            self.assertEqual(run['state'], 'succeeded', f'{run}\n{self.suite.logs(run["id"])}')
            stored = self.tree(server.data + '/backups')
            self.assertEqual(len([p for p in stored if p.endswith('data.tar.zst')]), 1, stored)
            self.assertEqual([p for p in stored if remotes.TEMP in p], [])
            restored = self.suite.restore(run['id'], back)
            self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
            self.assert_same(source, back + source)
            if backups.LONG:
                self.check_repository(number, source)
        for path in pathlib.Path(self.suite.folder).rglob('*'):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(servers.PASSWORD.encode(), path.read_bytes(), path)


if __name__ == '__main__':
    unittest.main(verbosity=2)
