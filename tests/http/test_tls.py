#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TLS: the master's own certificate, the administrator's, and what is different on the wire."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import unittest
import warnings

from agent_fake import FakeAgent, FakeNode
from client import UNVERIFIED
from http_case import Client, HttpCase, Raw, wait_until
from suite import TlsSuite


class TlsCase(HttpCase):
    """A master that speaks TLS with everybody."""

    kind = TlsSuite

    def shown(self, connection=None):
        """The certificate that a connection is shown, as PEM."""
        if connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))
        with Raw(self.suite) as raw:
            return self.shown(raw.socket)

    def log(self):
        """What the API said."""
        return self.suite.processes['api'].log.read_text(errors='replace')

    def plain(self):
        """A connection without TLS."""
        connection = socket.create_connection(('127.0.0.1', self.suite.port), 20)
        self.addCleanup(connection.close)
        return connection


class Own(TlsCase):
    """The certificate that the master makes for itself."""

    def openssl(self, *arguments):
        """What openssl says of it."""
        return subprocess.run(
            ['openssl', 'x509', '-in', self.suite.certificate, '-noout', *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def test_names(self):
        names = self.openssl('-ext', 'subjectAltName')
        for name in (f'DNS:{socket.gethostname()}', 'DNS:localhost', 'IP Address:127.0.0.1'):
            self.assertIn(name, names)

    def test_addresses_of_the_machine(self):
        """Those that its own agent tells; the key, and so the pin, stays."""
        pin, before = self.suite.pin(), self.shown()
        token = (self.suite.folder / 'keys' / 'agent-token').read_text().strip()
        agent = FakeAgent(self.suite, token)
        self.addCleanup(agent.close)
        agent.heartbeat(addresses=['192.0.2.77', '2001:db8::77', 'fe80::77', '::1'])
        wait_until(lambda: self.shown() != before, what='another certificate')
        names = self.openssl('-ext', 'subjectAltName')
        for name in ('IP Address:192.0.2.77', 'IP Address:2001:DB8:0:0:0:0:0:77', 'DNS:localhost'):
            self.assertIn(name, names)
        self.assertNotIn('FE80', names)
        self.assertEqual(self.suite.pin(), pin)
        # It is the same one after a restart, and what comes later waits for the next start or reload.
        before = self.shown()
        self.suite.restart('api')
        self.assertEqual(self.shown(), before)

    def test_is_believed_by_its_file(self):
        """A client that has the file needs no pin."""
        context = ssl.create_default_context(cafile=self.suite.certificate)
        with socket.create_connection(('127.0.0.1', self.suite.port), 20) as connection:
            with context.wrap_socket(connection, server_hostname='127.0.0.1') as tls:
                tls.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
                self.assertTrue(tls.recv(100).startswith(b'HTTP/1.1 200'))

    def test_pin_is_told(self):
        self.assertIn(f'The pin of our certificate is {self.suite.pin()}.', self.log())

    def test_key_stays_with_a_new_certificate(self):
        pin, before = self.suite.pin(), self.shown()
        self.suite.restart('api')
        self.assertEqual(self.shown(), before)
        self.suite.certificate.write_text('broken\n')
        self.suite.restart('api')
        self.assertNotEqual(self.shown(), before)
        self.assertEqual(self.suite.pin(), pin)
        # A name that it does not have is a reason for a new one, too.
        before = self.shown()
        process = self.suite.processes.pop('api')
        process.stop()
        self.suite.start_daemon('api', BACKUPX_SERVER_EXTERNAL_URL='https://backup.example.com')
        self.assertNotEqual(self.shown(), before)
        self.assertIn('DNS:backup.example.com', self.openssl('-ext', 'subjectAltName'))
        self.assertEqual(self.suite.pin(), pin)

    def test_without_a_key(self):
        """The master does not fall back to the clear."""
        key = self.suite.folder / 'keys' / 'tls-key'
        aside = key.rename(key.with_suffix('.aside'))
        self.addCleanup(self.suite.restart, 'api')
        self.addCleanup(aside.rename, key)
        with self.assertRaisesRegex(Exception, 'credential tls-key, which backupx-keys makes'):
            self.suite.restart('api')

    def test_no_strict_transport(self):
        """A browser that was told so would not let people look at this certificate again."""
        _, headers, _ = self.admin.raw('GET', '/health')
        self.assertIsNone(headers['Strict-Transport-Security'])

    def test_cookies_are_secure(self):
        user = self.make_user()
        _, headers, _ = Client(self.server).raw(
            'POST', 'auth/login', {'username': user['username'], 'password': 'a good password'}
        )
        self.assertIn('; Secure', headers['Set-Cookie'])


class Wire(TlsCase):
    """What travels."""

    environment = {'BACKUPX_SERVER_REQUEST_TIMEOUT': '2s'}

    def alive(self):
        """The daemon serves on, in the same process."""
        self.assertEqual(Client(self.server, timeout=90).call('GET', '/health'), {'status': 'ok'})
        self.assertIsNone(self.suite.processes['api'].process.poll())

    def test_http_is_told(self):
        """Who forgot the s is told so, and nothing else happens."""
        body = json.dumps({'username': 'admin', 'password': self.suite.password})
        connection = self.plain()
        connection.sendall(
            f'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}'
            'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'.encode()
        )
        response = http.client.HTTPResponse(connection)
        response.begin()
        self.assertEqual(response.status, 400)
        answer = json.loads(response.read())
        self.assertEqual(answer['code'], 'TLS_REQUIRED')
        self.assertIn('use https://', answer['message'])
        self.assertEqual(connection.recv(10), b'')
        self.alive()

    def test_versions(self):
        for version, works in (('TLSv1_3', True), ('TLSv1_2', True), ('TLSv1_1', False)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # that the oldest of them is old
                context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
            context.set_ciphers('DEFAULT:@SECLEVEL=0')
            try:
                with context.wrap_socket(self.plain()):
                    self.assertTrue(works, version)
            except (ssl.SSLError, ConnectionError):
                self.assertFalse(works, version)

    def test_broken_handshakes(self):
        for data in (
            b'\x16',
            b'\x16\x03\x01\x02\x00\x01\x00',
            b'\x16' + os.urandom(4000),
            b'\x16\x03\x01\x40\x01' + bytes(20000),
            b'\x00',
            b'\x80\x2e\x01\x00\x02',
            os.urandom(4000),
        ):
            connection = self.plain()
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        self.alive()

    def test_silent_clients_are_closed(self):
        """Before the first byte, in the handshake, and in the request."""
        silent, half, request = self.plain(), self.plain(), Raw(self.suite, timeout=90)
        half.sendall(b'\x16\x03\x01\x02\x00\x01\x00')
        request.send(b'GET /hea')
        start = time.monotonic()
        for connection in (silent, half, request.socket):
            connection.settimeout(90)
            with contextlib.suppress(OSError):
                while connection.recv(100):  # TLS says goodbye
                    pass
        request.socket.close()
        self.assertLess(time.monotonic() - start, 60)
        self.alive()

    def test_several_requests_in_one_record(self):
        """What TLS has read lies in no socket: nothing would wake the loop for it."""
        one = b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'
        with Raw(self.suite) as raw:
            raw.send(one * 40)
            self.assertEqual([raw.status() for _ in range(40)], [200] * 40)
            raw.send(one * 3 + one[:10])
            self.assertEqual([raw.status() for _ in range(3)], [200] * 3)
            raw.send(one[10:])
            self.assertEqual(raw.status(), 200)

    def test_large_bodies_and_answers(self):
        """Records of each size, longer than all buffers; the longest answers come in many records."""
        for n in (1, 1000, 16384, 60000):
            status, answer = self.admin.request('POST', 'targets', b'{"name": "' + b'x' * n + b'"}')
            self.assertEqual(status, 400, n)
            self.assertTrue(answer['message'])
        target = self.make_target()['id']
        for n in range(40):
            excludes = [f'/{n}/{i}/' + 'y' * 200 for i in range(100)]
            self.admin.post(
                'tasks',
                {
                    'name': self.unique('large'),
                    'source': {'paths': ['/etc'], 'excludes': excludes},
                    'target_ids': [target],
                },
            )
        with Raw(self.suite) as raw:
            head = f'Host: x\r\nAuthorization: Bearer {self.admin.token}\r\n\r\n'
            for _ in range(3):
                raw.send(f'GET /api/v1/tasks?limit=200 HTTP/1.1\r\n{head}'.encode())
                self.assertEqual(raw.status(), 200)
        self.assertEqual(len(list(self.admin.items('tasks'))), 40)

    def test_renegotiation_is_refused(self):
        """Of TLS 1.2: a client could have handshakes computed for nothing."""
        client = subprocess.run(
            ['openssl', 's_client', '-connect', f'127.0.0.1:{self.suite.port}', '-tls1_2'],
            input='R\n',
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertIn('RENEGOTIATING', client.stdout + client.stderr)
        self.assertNotIn('HTTP/1', client.stdout)
        self.alive()

    def test_events(self):
        connection = self.suite.connect()
        self.addCleanup(connection.close)
        connection.request('GET', '/api/v1/events', headers={'Authorization': f'Bearer {self.admin.token}'})
        response = connection.getresponse()
        self.addCleanup(response.close)
        target = self.make_target()
        wanted = f'data: {{"id":{target["id"]},"change":"created"}}\n'.encode()
        while (line := response.readline()) != wanted:
            self.assertTrue(line, 'the stream ended')


class Waiting(TlsCase):
    """The long poll."""

    def setUp(self):
        self.node = FakeNode(self.suite)
        self.addCleanup(self.node.close)

    def poll(self):
        """A connection whose claim waits."""
        agent = self.node.agent
        body = json.dumps({'agent_id': agent.agent_id, 'capacity': 4}).encode()
        raw = Raw(self.suite, timeout=60)
        self.addCleanup(raw.socket.close)
        raw.send(
            b'POST /api/v1/agent/commands/claim?wait=50 HTTP/1.1\r\nHost: x\r\n'
            + f'Authorization: Bearer {agent.token}\r\n'.encode()
            + f'Content-Length: {len(body)}\r\n\r\n'.encode()
            + body
        )
        wait_until(lambda: b'backupx_waiting_agents 1\n' in self.admin.raw('GET', '/metrics')[2])
        return raw

    def deliver(self, run):
        """A claim gets the first attempt of the run."""
        agent = self.node.agent
        command = agent.claim_one(45)
        self.assertEqual((command['spec']['run'], command['attempt']), (run, 1))
        agent.accept(command)
        agent.result(command)

    def test_wakes(self):
        with self.poll() as raw:
            self.suite.run_task(self.node.task)
            start = time.monotonic()
            self.assertEqual(raw.status(), 200)
            self.assertLess(time.monotonic() - start, 40)

    def test_client_that_says_goodbye(self):
        """Its last bytes (close_notify) are no sign of life."""
        raw = self.poll()
        with contextlib.suppress(OSError):
            raw.socket.settimeout(1)
            raw.socket.unwrap()
        raw.socket.close()
        self.deliver(self.suite.run_task(self.node.task))

    def test_client_that_vanishes(self):
        raw = self.poll()
        os.close(raw.socket.detach())  # no goodbye
        self.deliver(self.suite.run_task(self.node.task))

    def test_client_that_speaks_while_it_waits(self):
        """A key update, the next request: the connection is alive."""
        with self.poll() as raw:
            raw.send(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
            self.suite.run_task(self.node.task)
            self.assertEqual([raw.status(), raw.status()], [200, 200])


class Given(TlsCase):
    """The administrator's certificate."""

    @classmethod
    def make(cls, name, folder, days=10, kind='ec'):
        """A self-signed one: (certificate, key)."""
        certificate, key = folder / f'{name}.crt', folder / f'{name}.key'
        new = {'ec': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'rsa': ['-newkey', 'rsa:2048']}
        subprocess.run(
            ['openssl', 'req', '-x509', *new[kind], '-nodes', '-subj', f'/CN={name}', '-days', str(days)]
            + ['-keyout', key, '-out', certificate],
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return certificate, key

    @classmethod
    def setUpClass(cls):
        cls.prepare = TlsSuite.make_keys

        class GivenSuite(TlsSuite):
            """With a certificate that lies there before the start."""

            def make_keys(self):
                """And without the master's own key."""
                super().make_keys()
                (self.folder / 'keys' / 'tls-key').unlink()
                certificate, key = cls.make('first', self.folder)
                certificate.rename(self.folder / 'tls.crt')
                key.rename(self.folder / 'tls.key')
                self.added.update(
                    BACKUPX_SERVER_TLS_CERTIFICATE=str(self.folder / 'tls.crt'),
                    BACKUPX_SERVER_TLS_KEY=str(self.folder / 'tls.key'),
                )

        cls.kind = GivenSuite
        super().setUpClass()

    def install(self, certificate, key):
        """Puts these in the place of the certificate that is in use."""
        (self.suite.folder / 'tls.crt').write_bytes(certificate.read_bytes())
        (self.suite.folder / 'tls.key').write_bytes(key.read_bytes())

    def reload(self):
        """What "systemctl reload" runs."""
        return subprocess.run(
            [*self.suite.command('api'), f'--reload={self.suite.processes["api"].process.pid}'],
            env=self.suite.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def test_reload(self):
        before = self.shown()
        with Raw(self.suite) as old:
            self.install(*self.make('second', self.suite.folder, kind='rsa'))
            self.assertEqual(self.reload().returncode, 0)
            wait_until(lambda: self.shown() != before, what='the new certificate')
            self.assertEqual(self.shown(), (self.suite.folder / 'tls.crt').read_text())
            # Who was there before goes on as it was.
            old.send(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
            self.assertEqual(old.status(), 200)
            self.assertEqual(self.shown(old.socket), before)

    def test_handshake_costs_nothing(self):
        """Who begins one and says no more keeps nobody busy, and nobody out."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with self.assertRaises(ssl.SSLWantReadError):
            UNVERIFIED.wrap_bio(incoming, outgoing).do_handshake()
        hello = outgoing.read()
        connections = [self.plain() for _ in range(20)]
        for n, connection in enumerate(connections):
            connection.sendall(hello[: 50 * n + 1])
        with open(f'/proc/{self.suite.processes["api"].process.pid}/stat', encoding='ascii') as stat:

            def ticks():
                stat.seek(0)
                return sum(int(field) for field in stat.read().rsplit(')', 1)[1].split()[11:13])

            before, start = ticks(), time.monotonic()
            for _ in range(20):
                self.assertEqual(self.admin.raw('GET', '/health')[0], 200)
                time.sleep(0.05)
            used = (ticks() - before) / os.sysconf('SC_CLK_TCK')
            self.assertLess(used, (time.monotonic() - start) / 4)

    def test_handshake_over_a_reload(self):
        """A connection that began before is shown what was there then."""
        before = self.shown()
        connection = self.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = UNVERIFIED.wrap_bio(incoming, outgoing)
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        connection.sendall(hello[:50])
        connections = b'backupx_connections %d\n'
        wait_until(lambda: connections % 2 in self.admin.raw('GET', '/metrics')[2])
        for name in ('third', 'fourth'):
            last = self.shown()
            self.install(*self.make(name, self.suite.folder))
            self.assertEqual(self.reload().returncode, 0)
            wait_until(lambda last=last: self.shown() != last, what='the new certificate')
        connection.sendall(hello[50:])
        while True:
            incoming.write(connection.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
        self.assertEqual(self.shown(tls), before)

    def test_broken_certificate_changes_nothing(self):
        before = self.shown()
        kept = [(path, path.read_bytes()) for path in self.suite.folder.glob('tls.*')]
        self.addCleanup(lambda: [path.write_bytes(data) for path, data in kept])
        certificate, key = self.make('other', self.suite.folder)
        for files, why in (
            ((certificate, self.suite.folder / 'tls.key'), 'the key is not the one of the certificate'),
            ((key, key), 'the certificate cannot be read'),
            ((certificate, certificate), 'the key cannot be read'),
        ):
            self.install(*files)
            result = self.reload()
            self.assertEqual(result.returncode, 1)
            self.assertIn(why, result.stderr)
            self.assertIn('tls.crt', result.stderr)
            # And who sends the signal alone.
            n = self.log().count('stays in use')
            self.suite.processes['api'].process.send_signal(signal.SIGHUP)
            wait_until(lambda n=n: self.log().count('stays in use') > n, what='the complaint')
            self.assertEqual(self.shown(), before)
        (self.suite.folder / 'tls.key').unlink()
        self.assertIn('Cannot read the key', self.reload().stderr)

    def test_no_pin_and_strict_transport(self):
        self.assertNotIn('The pin of our', self.log())
        _, headers, _ = self.admin.raw('GET', '/health')
        self.assertTrue(headers['Strict-Transport-Security'])


if __name__ == '__main__':
    unittest.main()
