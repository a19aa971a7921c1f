#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets of type ftp on a real ProFTPD."""

import json
import os
import re
import shutil
import unittest

import backups
import conformance
import fault_proxy
import remotes
import servers

MIB = remotes.MIB
MORE_THAN_THE_LINE_HOLDS = 24 * MIB


class Server(remotes.RemoteCase):
    """With a real ProFTPD."""

    NEEDS = ('proftpd',)
    tls = 'none'

    def setUp(self):
        super().setUp()
        self.server = servers.Proftpd(self.path('ftp'), tls=self.tls)
        self.addCleanup(self.server.stop)
        self.root = os.path.join(self.server.data, 'back ups')


class DataProxy(fault_proxy.Proxy):
    """In front of the control connection: the fault befalls the data connections that the server offers there."""

    def __init__(self, host, port, fault=None):
        super().__init__(host, port)
        self.data_fault = fault or (lambda number: None)
        self.offers = []

    def __exit__(self, *_):
        for offer in self.offers:
            offer.__exit__()
        super().__exit__()

    def offer(self, match):
        """Another port instead of the server's."""
        number = len(self.offers)
        proxy = fault_proxy.Proxy(self.to[0], int(match[1]), lambda _: self.data_fault(number))
        self.offers.append(proxy.__enter__())
        return b'(|||%d|)' % proxy.port

    def pass_on(self, data):
        return re.sub(rb'\(\|\|\|(\d+)\|\)', self.offer, data) if data.startswith(b'229 ') else data


class LateProxy(fault_proxy.Proxy):
    """A file appears just after the server said that there is none."""

    def __init__(self, host, port, appear):
        super().__init__(host, port)
        self.appear = appear

    def pass_on(self, data):
        if data.startswith(b'550 '):
            self.appear()
        return data


class Conformance(conformance.Cases, conformance.Line, Server):
    """What lines do, without TLS, and what of the rest could differ then."""
    cases = ['objects', 'ranges', 'race', 'given up', 'concurrent', 'visibility', 'pages', 'probe']
    pages = 200
    speaks_http = False
    proxy = DataProxy

    def address(self):
        return '127.0.0.1', self.server.port

    def spec(self, address=None):
        return {**self.server.target(address=address), 'part': 4 * MIB, 'without': '\t'}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, **more)
        self.assertEqual([p for p in self.tree(self.root) if '.part' in p], [])
        return done

    def test_line_that_stands_still(self):
        self.body = MORE_THAN_THE_LINE_HOLDS
        super().test_line_that_stands_still()

    def test_cancelled_within_a_second(self):
        self.body = MORE_THAN_THE_LINE_HOLDS
        super().test_cancelled_within_a_second()

    def test_lost_end(self):
        """A server that believes that it has all of an object that is sent at once gets it again."""
        once = self.operate(lambda number: ('lose up', MIB) if number == 0 else None, self.put(), self.get())
        self.assertEqual([d['code'] for d in once], ['', ''], once)
        always = self.operate(lambda number: ('lose up', MIB), self.put(), retry_ms=1)
        self.assertEqual(always[0]['code'], 'STORAGE_INTERRUPTED', always)
        self.assertIn(f'{MIB} bytes of it instead of {3 * MIB}', always[0]['message'])

    def test_read_back(self):
        done = conformance.run({**self.server.target(read_back=True), 'part': 4 * MIB}, cases=['wrong digest'],
                               operations=[{'do': what, 'key': str(size), 'size': size}
                                           for size in (0, 1, 4 * MIB + 1) for what in ('put', 'get')])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line)['code'] for line in done.stdout.splitlines()], [''] * 6, done.stdout)


class ConformanceTls(conformance.Cases, Server):
    """What every type does, over TLS 1.3."""
    #: The others cost a handshake for each of many connections, and were made without TLS.
    cases = conformance.CASES if backups.LONG else ['ranges', 'never replaced', 'list', 'missing', 'keys', 'odd names',
                                                    'remove', 'pages', 'probe']
    tls = 'explicit'
    pages = 20

    def spec(self):
        return {**self.server.target(), 'part': 4 * MIB, 'without': '\t'}


class Ftp(remotes.Leftovers, Server):
    """What only this type does."""

    def test_logins(self):
        error = self.do(self.server.target({'password': 'a wrong one'}), 'probe', code='STORAGE_LOGIN_DENIED')
        self.assertNotIn('a wrong one', error)
        self.do(self.server.target({}), 'probe', code='FIELD_MISSING', field='secrets.password')
        self.do(self.server.target({'password': 'a\r\nDELE x'}), 'probe', code='FIELD_INVALID',
                field='secrets.password')
        self.do(self.server.target(), 'probe')
        self.assertEqual(self.tree(self.root), [])

    def test_no_tls(self):
        """A server without TLS does not get the password."""
        self.do(self.server.target(tls='explicit'), 'probe', code='STORAGE_CERTIFICATE')

    def test_missing_and_denied(self):
        target = self.server.target()
        self.do(target, 'list', '', code='STORAGE_MISSING')
        self.do(target, 'put', 'a/b', data=b'x')
        self.do(target, 'stat', 'a/c', code='OBJECT_NOT_FOUND')
        self.do(target, 'get', 'a/c', code='OBJECT_NOT_FOUND')
        self.do(target, 'stat', 'a', code='OBJECT_NOT_FOUND')
        self.do(target, 'put', 'a/b', data=b'y', code='OBJECT_EXISTS')
        self.do(target, 'put', 'a', data=b'y', code='OBJECT_EXISTS')
        self.do(target, 'put', 'a/x\r\nDELE a/b', data=b'y', code='STORAGE_KEY_INVALID')
        self.assertEqual(self.do(target, 'list', 'z/'), b'')
        self.assertEqual(self.do(target, 'list'), b'1 a/b\n')
        os.chown(self.root + '/a', 0, 0)
        os.chmod(self.root + '/a', 0o700)
        self.do(target, 'put', 'a/d', data=b'x', code='STORAGE_DENIED')
        self.do(target, 'get', 'a/b', code='STORAGE_DENIED')
        self.do(target, 'list', '', code='STORAGE_DENIED')
        self.assertEqual(self.tree(self.root), ['a/b'])

    def test_appears_while_asked_for(self):
        """Missing or there, and no error."""
        self.do(self.server.target(), 'put', 'a', data=b'x')

        def appear():
            shutil.copy2(self.root + '/a', self.root + '/b')

        with LateProxy('127.0.0.1', self.server.port, appear) as proxy:
            self.assertEqual(self.do(self.server.target(address=('127.0.0.1', proxy.port)), 'stat', 'b'), b'1\n')

    def test_absolute_path(self):
        """From the top of what the server shows."""
        self.do(self.server.target(path='/deep/er/'), 'put', 'a', data=b'x')
        self.assertEqual(self.do(self.server.target(path='deep'), 'list'), b'1 er/a\n')
        self.assertEqual(self.do(self.server.target(path='/'), 'list'), b'1 deep/er/a\n')

    def test_reads_in_order(self):
        """One after the other they are one transfer; otherwise they are right all the same."""
        data = os.urandom(3 * MIB)
        self.do(self.server.target(), 'put', 'x', data=data)
        self.assertEqual(self.do(self.server.target(), 'get', 'x'), data)

    def test_full(self):
        where = self.mount_tmpfs('ftp/data/back ups', '2M')
        os.chown(where, servers.UID, servers.UID)
        self.server.stop()
        self.server.launch()
        for size in (3, 9):
            self.do(self.server.target(), 'put', 'large', data=os.urandom(size * MIB), code='STORAGE_FULL')
        self.assertEqual(self.tree(where), [])
        self.do(self.server.target(), 'put', 'little', data=b'x')

    def test_killed(self):
        """Nothing is under its name."""
        self.kill_put(self.server.target(), self.root)
        self.assertEqual(self.do(self.server.target(), 'list'), b'')


class Tls(Server):
    """Who the server is."""
    tls = 'implicit'

    def test_certificates(self):
        """The certificate decides, and nothing is sent where it does not."""
        target = self.server.target()
        self.do(target, 'probe')
        target['config']['pin'] = 'sha256//' + 'A' * 43 + '='
        self.do(target, 'probe', code='STORAGE_CERTIFICATE')
        del target['config']['pin'], target['config']['ca_cert']
        self.do(target, 'probe', code='STORAGE_CERTIFICATE')
        target['config']['pin'] = self.server.pin()
        self.do(target, 'put', 'x', data=b'y' * (5 * MIB))
        self.assertEqual(len(self.do(target, 'get', 'x')), 5 * MIB)


if __name__ == '__main__':
    unittest.main(verbosity=2)
