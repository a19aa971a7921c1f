#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets of type sftp on a real OpenSSH."""

import os
import signal
import subprocess
import time
import unittest

import conformance
import remotes
import servers

MIB = remotes.MIB


class Server(remotes.RemoteCase):
    """With a real OpenSSH."""

    NEEDS = ('sshd', 'ssh-keygen', 'ssh-agent')

    def setUp(self):
        super().setUp()
        self.server = servers.Sshd(self.path('sshd'))
        self.addCleanup(self.server.stop)
        self.root = os.path.join(self.server.data, 'backups')


class Conformance(conformance.Cases, conformance.Line, Server):
    """What every type does."""
    speaks_http = False

    def address(self):
        return '127.0.0.1', self.server.port

    def spec(self, address=None):
        host, port = address or self.address()
        return {**self.server.target(host=host, port=port), 'part': 4 * MIB, 'usage': True}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, **more)
        self.assertEqual([p for p in self.tree(self.root) if '.part' in p], [])
        return done

    def test_read_back(self):
        spec = self.server.target(path=self.server.data + '/deep/er/', read_back=True)
        done = conformance.run({**spec, 'part': 4 * MIB}, cases=['objects', 'wrong digest'])
        self.assertEqual(done.returncode, 0, done.stderr)


class Sftp(remotes.Leftovers, Server):
    """What only this type does."""

    def log(self):
        return self.server.read('out')

    def test_probe(self):
        free, total = self.do(self.server.target(), 'probe').split()
        self.assertGreater(int(total), int(free))
        self.assertEqual(self.tree(self.root), [])
        self.assertNotIn('backupx-probe', os.listdir(self.root))

    # --- who they are ---

    def test_logins(self):
        """Password, a key with a phrase, an agent."""
        self.do(self.server.target({'password': servers.PASSWORD}), 'probe')
        locked = self.server.read('locked')
        self.do(self.server.target({'private_key': locked, 'passphrase': 'a phrase'}), 'probe')
        self.do(self.server.target({'private_key': locked, 'passphrase': 'another'}), 'probe',
                code='STORAGE_LOGIN_DENIED')
        agent = self.path('agent')
        process = subprocess.Popen(['ssh-agent', '-D', '-a', agent], stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for('the agent', lambda: os.path.exists(agent))
        self.do(self.server.target({}, agent=agent), 'probe', code='STORAGE_LOGIN_DENIED')
        subprocess.run(['ssh-add', '-q', self.server.path('id')], check=True,
                       env={**os.environ, 'SSH_AUTH_SOCK': agent})
        self.do(self.server.target({}, agent=agent), 'probe')
        self.assertEqual(self.log().count('Accepted password'), 1, self.log())

    def test_refused_logins(self):
        error = self.do(self.server.target({'password': 'a wrong one'}), 'probe', code='STORAGE_LOGIN_DENIED')
        self.assertNotIn('a wrong one', error)
        self.do(self.server.target({'private_key': 'nonsense'}), 'probe', code='STORAGE_LOGIN_DENIED')
        self.do(self.server.target({}), 'probe', code='FIELD_MISSING', field='secrets')

    def test_host_key(self):
        """Nothing is sent to a server that is not the one."""
        other = servers.Sshd(self.path('other'))
        self.addCleanup(other.stop)
        target = self.server.target({'password': servers.PASSWORD}, host_key=other.fingerprint())
        error = self.do(target, 'probe', code='HOST_KEY_MISMATCH', field='config.host_key')
        self.assertIn(self.server.fingerprint(), error)
        target = self.server.target({'password': servers.PASSWORD})
        del target['config']['host_key']
        error = self.do(target, 'probe', code='HOST_KEY_UNKNOWN', field='config.host_key')
        self.assertIn(self.server.fingerprint(), error)
        self.assertNotIn('password', self.log())
        # Any key of the server may be the one that is pinned.
        self.do(self.server.target(host_key=self.server.fingerprint('ecdsa')), 'probe')

    # --- what fails ---

    def test_unreachable(self):
        self.server.stop()
        started = time.monotonic()
        self.do(self.server.target(), 'probe', code='STORAGE_UNREACHABLE')
        self.assertLess(time.monotonic() - started, 60)

    def test_missing_and_denied(self):
        target = self.server.target()
        self.do(target, 'list', '', code='STORAGE_MISSING')
        self.do(target, 'put', 'a/b', data=b'x')
        self.do(target, 'stat', 'a/c', code='OBJECT_NOT_FOUND')
        self.do(target, 'put', 'a/b', data=b'y', code='OBJECT_EXISTS')
        self.assertEqual(self.do(target, 'list', 'z/'), b'')
        os.chown(self.root + '/a', 0, 0)
        self.do(target, 'put', 'a/d', data=b'x', code='STORAGE_DENIED')
        self.do(target, 'get', 'a/b', code='STORAGE_DENIED')
        self.do(target, 'list', '', code='STORAGE_DENIED')
        self.assertEqual(self.tree(self.root), ['a/b'])

    def test_full(self):
        where = self.mount_tmpfs('sshd/data/small', '2M')
        os.chown(where, servers.UID, servers.UID)
        # The server's mounts are its own: it is started again where this one is.
        self.server.stop()
        self.server.start(['/usr/sbin/sshd', '-D', '-e', '-f', self.server.path('config')])
        target = self.server.target(path='small')
        self.do(target, 'put', 'large', data=os.urandom(4 * MIB), code='STORAGE_FULL')
        self.assertEqual(self.tree(where), [])
        self.do(target, 'put', 'little', data=b'x')

    def sessions(self):
        """The processes that serve: children of children."""
        out = []
        for pid in self.server.children():
            done = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True, check=False)
            out += [int(line) for line in done.stdout.split()]
        return out

    def start_put(self, **options):
        """A put whose first bytes are there."""
        put = self.begin(self.server.target(), 'put', 'x', **options)
        put.stdin.write(b'a' * (6 * MIB))
        put.stdin.flush()
        folder = os.path.join(self.root, remotes.TEMP)
        self.wait_for('the first bytes', lambda: os.path.isdir(folder) and any(
            os.path.getsize(os.path.join(folder, n)) >= MIB // 2 for n in os.listdir(folder)))
        return put

    def test_stalled(self):
        put = self.start_put(stall=3)
        stopped = self.sessions()
        started = time.monotonic()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        _, error = put.communicate(b'b' * (8 * MIB))
        took = time.monotonic() - started
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(put.returncode, 1)
        self.assertIn('STORAGE_STALLED', error.decode())
        self.assertGreater(took, 2)
        self.assertLess(took, 60)

    def test_lost_connection(self):
        """The put goes on where it was."""
        put = self.start_put()
        for pid in self.server.children():
            os.kill(pid, signal.SIGKILL)
        out, error = put.communicate(b'b' * (2 * MIB))
        self.assertEqual(put.returncode, 0, error)
        self.assertEqual(self.read(self.root + '/x'), b'a' * (6 * MIB) + b'b' * (2 * MIB))
        self.assertEqual(self.tree(self.root), ['x'])

    def test_killed(self):
        """Nothing is under its name, and what is left is in the one place."""
        put = self.start_put()
        put.kill()
        put.wait()
        self.assertEqual(self.do(self.server.target(), 'list'), b'')
        self.assertEqual(len(os.listdir(os.path.join(self.root, remotes.TEMP))), 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
