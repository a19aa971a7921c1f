#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The example of packaging/nginx before the real master: everything that travels goes through it."""

import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'http'))

from agent_fake import FakeNode  # noqa: E402
from client import UNVERIFIED, Client  # noqa: E402
from processes import Process, clean_environment  # noqa: E402
from suite import ROOT, Suite, free_port, wait_until  # noqa: E402

EXAMPLE = ROOT / 'packaging' / 'nginx' / 'backupx.conf'
# The client of these tests comes from here; the proxy itself speaks from 127.0.0.1.
CLIENT = '127.0.0.2'

HEAD = '''
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
'''


class Nginx:
    """The example with the ports and the certificate of this test."""

    def __init__(self, master_port):
        self.port, self.plain_port = free_port(), free_port()
        self.master_port = master_port
        self.folder = None
        self.process = None

    def start(self, folder):
        """Starts it."""
        self.folder = folder
        folder.mkdir()
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
            + ['-subj', '/CN=nginx', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
            + ['-keyout', folder / 'privkey.pem', '-out', folder / 'fullchain.pem'],
            stderr=subprocess.DEVNULL,
            check=True,
        )
        text = EXAMPLE.read_text()
        for old, new in (
            ('server 127.0.0.1:8340;', f'server 127.0.0.1:{self.master_port};'),
            ('listen 80;', f'listen 127.0.0.1:{self.plain_port};'),
            ('listen 443 ssl http2;', f'listen 127.0.0.1:{self.port} ssl http2;'),
            ('    listen [::]:80;\n', ''),
            ('    listen [::]:443 ssl http2;\n', ''),
            ('/etc/letsencrypt/live/backup.example.com/', f'{folder}/'),
        ):
            assert old in text, old
            text = text.replace(old, new)
        (folder / 'nginx.conf').write_text(HEAD.format(folder=folder) + text + '}\n')
        nginx = shutil.which('nginx') or '/usr/sbin/nginx'
        command = [nginx, '-p', folder, '-c', folder / 'nginx.conf', '-e', folder / 'error.log']
        self.process = Process('nginx', command, folder, clean_environment()).start(ready=False)
        wait_until(self.listens, what='nginx')

    def listens(self):
        """Whether it takes connections."""
        if not self.process.running():
            raise AssertionError(self.process.tail() + (self.folder / 'error.log').read_text())
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', self.port)) == 0

    def stop(self):
        """Ends it."""
        if self.process:
            self.process.stop()


class Behind(Suite):
    """What speaks to the API does so through the proxy."""

    def __init__(self):
        super().__init__()
        self.nginx = Nginx(self.port)
        self.direct, self.server = self.server, f'https://127.0.0.1:{self.nginx.port}'
        self.client = Client(self.server)
        self.added = {
            'BACKUPX_SERVER_TRUSTED_PROXIES': '127.0.0.1',
            'BACKUPX_SERVER_EXTERNAL_URL': self.server,
            'BACKUPX_SERVER_AGENT_PACKAGES': str(self.folder / 'packages'),
            'BACKUPX_AGENT_CA_CERT': str(self.folder / 'nginx' / 'fullchain.pem'),
        }

    def start_bus(self):
        """And the proxy, which has no need of the others."""
        super().start_bus()
        (self.folder / 'packages').mkdir()
        package = self.folder / 'packages' / 'backupx-agent-0.1.0-linux-amd64.tar.gz'
        package.write_bytes(b'a package')
        package.with_name(package.name + '.sha256').write_text('b' * 64 + '\n')
        self.nginx.start(self.folder / 'nginx')

    def close(self):
        try:
            super().close()
        finally:
            self.nginx.stop()

    def connect(self, timeout=70):
        """For FakeAgent."""
        return http.client.HTTPSConnection(
            '127.0.0.1', self.nginx.port, timeout=timeout, context=UNVERIFIED, source_address=(CLIENT, 0)
        )


SUITE = Behind()


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Proxied(unittest.TestCase):
    """Each kind of request."""

    def ask(self, method, path, body=None, headers=None):
        """(response, its body) of a request from CLIENT."""
        connection = SUITE.connect()
        self.addCleanup(connection.close)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        return response, response.read()

    def test_full_backup(self):
        """The real agent: sealed, to a disk and in parts to the relay; and back."""
        source = SUITE.folder / 'source'
        source.mkdir()
        (source / 'large').write_bytes(os.urandom(20 << 20))
        targets = [SUITE.make_target('disk'), SUITE.make_target('relay', kind='relay')]
        run = SUITE.backup(SUITE.make_task([source], targets, encryption='sealed'))
        self.assertEqual((run['state'], run.get('error')), ('succeeded', None))
        shutil.rmtree(SUITE.storage / 'disk')
        restored = SUITE.restore(run['id'], SUITE.storage / 'back')
        self.assertEqual(restored['state'], 'succeeded', restored)
        found = next((SUITE.storage / 'back').rglob('large'))
        self.assertEqual(found.read_bytes(), (source / 'large').read_bytes())
        log = (SUITE.nginx.folder / 'access.log').read_text()
        self.assertIn('PUT /api/v1/relay/', log)
        self.assertIn('POST /api/v1/agent/commands/claim?wait=', log)

    def test_client_is_known(self):
        """By its own address, whatever it claims to be; and its cookie is for https."""
        body = {'username': 'admin', 'password': SUITE.password}
        response, _ = self.ask(
            'POST',
            '/api/v1/auth/login',
            body,
            {'X-Forwarded-For': '192.0.2.99', 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': 'evil'},
        )
        self.assertEqual(response.status, 200)
        self.assertIn('; Secure', response.getheader('Set-Cookie'))
        self.assertTrue(response.getheader('Strict-Transport-Security'))
        cookie = response.getheader('Set-Cookie').split(';')[0]
        response, _ = self.ask('POST', '/api/v1/auth/logout', {}, {'Cookie': cookie, 'X-BackupX': '1'})
        self.assertEqual(response.status, 200)
        addresses = {row['address'] for row in SUITE.client.get('audit')['items']}
        self.assertIn(CLIENT, addresses)
        self.assertNotIn('192.0.2.99', addresses)

    def test_long_poll(self):
        node = FakeNode(SUITE)
        self.addCleanup(node.close)
        commands = []
        waiter = threading.Thread(target=lambda: commands.extend(node.agent.claim(50)))
        waiter.start()
        wait_until(lambda: self.waiting() == 2, what='both agents waiting')
        run, start = SUITE.run_task(node.task), time.monotonic()
        waiter.join(60)
        self.assertEqual([command['spec']['run'] for command in commands], [run])
        self.assertLess(time.monotonic() - start, 20)
        node.agent.accept(commands[0])
        node.agent.result(commands[0])

    @unittest.skipUnless(os.environ.get('BACKUPX_TEST_LONG'), 'long rounds: takes 50 s')
    def test_long_poll_to_its_end(self):
        node = FakeNode(SUITE)
        self.addCleanup(node.close)
        start = time.monotonic()
        self.assertEqual(node.agent.claim(50), [])
        self.assertGreater(time.monotonic() - start, 49)

    def test_client_that_goes_away(self):
        """The proxy tells the master; nothing is given to nobody."""
        node = FakeNode(SUITE)
        self.addCleanup(node.close)
        gone = SUITE.connect()
        gone.request(
            'POST',
            '/api/v1/agent/commands/claim?wait=50',
            json.dumps({'agent_id': node.agent.agent_id, 'capacity': 4}),
            {'Authorization': f'Bearer {node.agent.token}'},
        )
        wait_until(lambda: self.waiting() == 2, what='both agents waiting')
        gone.close()
        log = SUITE.nginx.folder / 'access.log'
        wait_until(lambda: 'claim?wait=50 HTTP/1.1" 499' in log.read_text(), what='nginx seeing it')
        run = SUITE.run_task(node.task)
        command = node.agent.claim_one(45)
        self.assertEqual((command['spec']['run'], command['attempt']), (run, 1))
        node.agent.accept(command)
        node.agent.result(command)

    def waiting(self):
        """How many agents wait; asked directly."""
        text = Client(SUITE.direct, SUITE.client.token).raw('GET', '/metrics')[2].decode()
        line = next(line for line in text.splitlines() if line.startswith('backupx_waiting_agents '))
        return int(line.split()[1])

    def test_events(self):
        """As they come, not when a buffer is full."""
        connection = SUITE.connect(60)
        self.addCleanup(connection.close)
        connection.request(
            'GET', '/api/v1/events', headers={'Authorization': f'Bearer {SUITE.client.token}'}
        )
        response = connection.getresponse()
        self.addCleanup(response.close)
        self.assertEqual(response.getheader('Content-Type'), 'text/event-stream')
        target = SUITE.make_target('seen')
        wanted = f'data: {{"id":{target},"change":"created"}}\n'.encode()
        while (line := response.readline()) != wanted:
            self.assertTrue(line, 'the stream ended')

    def test_install_link(self):
        """It works once, and stands in no log."""
        made = SUITE.client.post('install-links', {'names': ['web-1']})['items'][0]
        self.assertTrue(made['url'].startswith(f'{SUITE.server}/install/'), made['url'])
        path = made['url'].removeprefix(SUITE.server)
        token = path.rsplit('/', 1)[1]
        self.assertEqual(self.ask('GET', path)[0].status, 200)
        self.assertEqual(self.ask('GET', path)[0].status, 410)
        self.assertNotIn(token, (SUITE.nginx.folder / 'access.log').read_text())

    def test_what_is_not_served(self):
        self.assertEqual(self.ask('GET', '/metrics')[0].status, 404)
        connection = http.client.HTTPConnection('127.0.0.1', SUITE.nginx.plain_port, timeout=60)
        self.addCleanup(connection.close)
        connection.request('GET', '/api/v1/setup', headers={'Host': 'backup.example.com'})
        response = connection.getresponse()
        self.assertEqual(response.status, 301)
        self.assertEqual(response.getheader('Location'), 'https://backup.example.com/api/v1/setup')

    def test_verified(self):
        """The agent believed the certificate: nothing here is without a check."""
        self.assertNotIn('BACKUPX_AGENT_INSECURE_TLS', SUITE.agent_environment())
        with self.assertRaises(ssl.SSLError):
            with socket.create_connection(('127.0.0.1', SUITE.nginx.port)) as raw:
                ssl.create_default_context().wrap_socket(raw, server_hostname='127.0.0.1')


if __name__ == '__main__':
    unittest.main()
