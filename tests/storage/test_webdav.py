#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets of type webdav on a real Apache."""

import os
import unittest

import conformance
import remotes
import servers
import trees

MIB = remotes.MIB


class Server(remotes.RemoteCase):
    """With a real Apache."""

    NEEDS = ('apache2',)

    def setUp(self):
        super().setUp()
        self.server = servers.Apache(self.path('apache'))
        self.addCleanup(self.server.stop)
        self.root = os.path.join(self.server.data, 'back ups')


class Conformance(conformance.Cases, conformance.Line, Server):
    """What every type does."""

    def address(self):
        return '127.0.0.1', self.server.port

    def spec(self, address=None):
        return {**self.server.target(address=address), 'part': 4 * MIB}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, **more)
        self.assertEqual([p for p in self.tree(self.root) if '.part' in p], [])
        return done

    def test_read_back(self):
        done = conformance.run({**self.server.target(read_back=True), 'part': 4 * MIB},
                               cases=['objects', 'wrong digest'])
        self.assertEqual(done.returncode, 0, done.stderr)


class WebDav(remotes.Leftovers, Server):
    """What only this type does."""
    owner = 'www-data'

    def test_logins(self):
        error = self.do(self.server.target({'password': 'a wrong one'}), 'probe', code='STORAGE_DENIED')
        self.assertNotIn('a wrong one', error)
        self.do(self.server.target({}), 'probe', code='STORAGE_DENIED')
        self.do(self.server.target(), 'probe')
        self.assertEqual(self.tree(self.root), [])

    def test_tls(self):
        """The certificate decides, and nothing is sent where it does not."""
        server = servers.Apache(self.path('tls'), tls=True)
        self.addCleanup(server.stop)
        self.do(server.target(), 'probe', code='STORAGE_CERTIFICATE')
        self.do(server.target(ca_cert=server.path('certificate')), 'probe')
        self.do(server.target(pin='sha256//' + 'A' * 43 + '='), 'probe', code='STORAGE_CERTIFICATE')

    def test_missing_and_denied(self):
        target = self.server.target()
        self.do(target, 'list', '', code='STORAGE_MISSING')
        self.do(target, 'put', 'a/b', data=b'x')
        self.do(target, 'stat', 'a/c', code='OBJECT_NOT_FOUND')
        self.do(target, 'stat', 'a', code='OBJECT_NOT_FOUND')
        self.do(target, 'put', 'a/b', data=b'y', code='OBJECT_EXISTS')
        self.do(target, 'put', 'a', data=b'y', code='OBJECT_EXISTS')
        self.assertEqual(self.do(target, 'list', 'z/'), b'')
        self.assertEqual(self.do(target, 'list'), b'1 a/b\n')
        self.assertEqual(self.tree(self.root), ['a/b'])

    def test_no_webdav(self):
        """A web server that only shows files."""
        self.server.stop()
        config = self.server.read('config').replace('Dav On', 'Dav Off')
        servers.write(self.server.path('config'), config)
        self.server.launch()
        self.do(self.server.target(), 'probe', code='STORAGE_FAILED', says='WebDAV')
        self.do(self.server.target(), 'list', code='STORAGE_FAILED')

    def test_redirected(self):
        """Not followed: the password would go elsewhere."""
        self.server.stop()
        with open(self.server.path('config'), 'a', encoding='utf-8') as file:
            file.write('LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so\n'
                       'Redirect 302 / http://elsewhere.invalid/\n')
        self.server.launch()
        self.do(self.server.target(), 'list', code='STORAGE_FAILED', says='redirects')

    def test_full(self):
        where = self.mount_tmpfs('apache/data/back ups', '2M')
        os.chmod(where, 0o777)
        self.server.stop()
        self.server.launch()
        self.do(self.server.target(), 'put', 'large', data=os.urandom(3 * MIB), code='STORAGE_FULL')
        self.do(self.server.target(), 'put', 'larger', data=os.urandom(9 * MIB), code='STORAGE_FULL')
        self.assertEqual(self.tree(where), [])
        self.do(self.server.target(), 'put', 'little', data=b'x')

    def test_too_large(self):
        """The server's limit is told as one, whether the size is said before or not."""
        self.server.stop()
        config = self.server.read('config')
        servers.write(self.server.path('config'), config.replace('LimitRequestBody 0', f'LimitRequestBody {MIB}'))
        self.server.launch()
        for size in (2, 9):
            self.do(self.server.target(), 'put', 'large', data=os.urandom(size * MIB), code='STORAGE_TOO_LARGE')
        self.assertEqual(self.tree(self.root), [])
        self.do(self.server.target(), 'put', 'little', data=b'x')

    def test_killed(self):
        """Nothing is under its name."""
        self.kill_put(self.server.target(), self.root)
        self.assertEqual(self.do(self.server.target(), 'list'), b'')
        trees.write(os.path.join(self.root, 'y'), b'y')
        self.assertEqual(self.do(self.server.target(), 'list'), b'1 y\n')


if __name__ == '__main__':
    unittest.main(verbosity=2)
