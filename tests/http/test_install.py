#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Install links: commands that carry the installer, links that work once, packages."""

import base64
import gzip
import hashlib
import pathlib
import re
import sqlite3
import subprocess
import tempfile
import threading
import unittest

from http_case import Client, HttpCase, Raw, wait_until

VERSION = '0.1.0'
MARKER = 'BACKUPX_AGENT_INSTALL_V1'
PACKAGE = f'backupx-agent-{VERSION}-linux-amd64.tar.gz'


def unpacked(command):
    """The script that a one-line command carries."""
    return gzip.decompress(base64.b64decode(re.match(r"echo '([A-Za-z0-9+/=]+)' \|", command).group(1))).decode()


def value(script, name):
    """What a script sets a variable to."""
    return re.search(rf"^BX_{name}='([^']*)'$", script, re.M).group(1)


class Install(HttpCase):
    """A master with one package."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='backupx-packages-')
        cls.packages = pathlib.Path(cls.folder.name)
        cls.content = b'a package' * 1000
        cls.sum = hashlib.sha256(cls.content).hexdigest()
        (cls.packages / PACKAGE).write_bytes(cls.content)
        (cls.packages / f'{PACKAGE}.sha256').write_text(f'{cls.sum}  {PACKAGE}\n')
        # Known by its checksum alone: good enough for another source.
        (cls.packages / f'backupx-agent-{VERSION}-linux-arm64.tar.gz.sha256').write_text('b' * 64 + '\n')
        (cls.packages / 'private.key').write_text('secret')
        cls.environment = {'BACKUPX_SERVER_AGENT_PACKAGES': cls.packages}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def make(self, client=None, **more):
        """One link for a new node."""
        body = {'names': [self.unique('web')], **more} if 'node_id' not in more else more
        return (client or self.admin).post('install-links', body)['items'][0]

    def fetch(self, url, method='GET', server=None):
        """(status, headers, text) without any credential."""
        path = re.sub(r'^https?://[^/]+', '', url)
        status, headers, data = Client(server or self.server).raw(method, path)
        return status, headers, data.decode()

    def audit(self, action):
        """Names of the objects that this was done to."""
        return [entry['object_name'] for entry in self.admin.items(f'audit?action={action}')]

    def test_command_carries_the_installer(self):
        made = self.admin.post('install-links', {'names': ["it's a node"], 'ttl_s': 300})
        item = made['items'][0]
        script = unpacked(item['command'])
        self.assertTrue(script.startswith(f'#!/bin/sh\n# {MARKER}\n'))
        self.assertIn("BX_NODE='it'\\''s a node'\n", script)
        self.assertEqual(value(script, 'MASTER'), self.server)
        self.assertEqual(value(script, 'SHA256_AMD64'), self.sum)
        self.assertEqual(value(script, 'URL_AMD64'), f'{self.server}/api/v1/agent-package/{PACKAGE}')
        self.assertEqual(value(script, 'URL_ARM64'), '', 'a file that is not here')
        self.assertNotIn('\n', item['command'])
        self.assertIn("'it'\\''s a node')\n", made['bundle'])
        self.assertIn('server.external_url', made['warnings'][-1])
        self.assertIn("it's a node", self.audit('node.install'))
        self.assertIn("it's a node", self.audit('node.create'))
        node = self.admin.get(f'nodes/{item["node"]["id"]}')
        self.assertEqual((node['name'], node['status']), ("it's a node", 'pending'))
        # The token in it enrols one agent.
        body = {
            'enrollment_token': value(script, 'TOKEN'),
            'public_key': 'age1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm',
            'hostname': 'h',
            'os': 'linux',
            'arch': 'amd64',
            'version': VERSION,
        }
        enrolled = Client(self.server).post('agent/enroll', body)
        self.assertEqual(enrolled['node']['name'], "it's a node")

    def test_agent_enrols_itself(self):
        """The guide's variables with the one-time token of a link are enough; they stay enough afterwards."""
        item = self.make()
        token = value(unpacked(item['command']), 'TOKEN')
        folder = pathlib.Path(self.folder.name) / 'agent'
        own = {
            'BACKUPX_AGENT_TOKEN': token,
            'BACKUPX_AGENT_TOKEN_FILE': '',
            'BACKUPX_AGENT_STATE_DIR': folder,
            'BACKUPX_AGENT_TEMP_DIR': folder / 'tmp',
        }
        for _ in range(2):
            process = self.suite.start_agent(**own)
            try:
                self.suite.wait_online(item['node']['id'])
                environment = self.suite.agent_environment(**own)
                command = [self.suite.program('agent'), 'wait-online', '--timeout', '100s']
                shown = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
                self.assertEqual(shown.stdout, f'{item["node"]["name"]} is online\n')
            finally:
                self.suite.processes.pop('agent')
                self.assertEqual(process.stop(), 0, process.tail())
        # Whoever found the token later has nothing of it.
        stranger = {**own, 'BACKUPX_AGENT_STATE_DIR': pathlib.Path(self.folder.name) / 'stranger'}
        process = self.suite.start_agent(**stranger)
        try:
            wait_until(lambda: 'Another key is pinned' in process.status, what='the refusal in the status')
        finally:
            self.suite.processes.pop('agent')
            process.stop()

    def test_link_works_once(self):
        item = self.make()
        status, headers, text = self.fetch(item['url'], 'HEAD')
        self.assertEqual((status, text), (200, ''))
        status, headers, text = self.fetch(item['url'])
        self.assertEqual(status, 200)
        self.assertEqual(text, unpacked(item['command']))
        self.assertEqual(headers['Cache-Control'], 'no-store')
        self.assertEqual(headers['X-Content-Type-Options'], 'nosniff')
        self.assertIn(headers['Content-Type'].split(';')[0], ('text/x-shellscript', 'text/plain'))
        for address in (item['url'], item['url'].replace('/install/', '/api/install/')):
            for method in ('GET', 'HEAD'):
                status, headers, text = self.fetch(address, method)
                self.assertEqual(status, 410)
                self.assertEqual(headers['Content-Type'].split(';')[0], 'text/plain')
        self.assertIn('used', self.fetch(item['url'])[2])
        self.assertIn(item['node']['name'], self.audit('node.install_fetch'))
        other = self.make()
        self.assertEqual(self.fetch(other['url'].replace('/install/', '/api/install/'))[0], 200)

    def test_two_at_once(self):
        """Many ask in the same moment: one gets it."""
        path = re.sub(r'^https?://[^/]+', '', self.make()['url'])
        connections = [Raw(self.suite) for _ in range(12)]
        barrier, found = threading.Barrier(len(connections)), []

        def ask(connection):
            connection.send(f'GET {path} HTTP/1.1\r\nHost: x'.encode())
            barrier.wait()
            connection.send(b'\r\n\r\n')
            found.append(connection.status())
            connection.socket.close()

        threads = [threading.Thread(target=ask, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(found), [200] + [410] * 11)

    def test_expired(self):
        item = self.make()
        with sqlite3.connect(self.suite.master_state / 'backupx.db', timeout=60) as db:
            db.execute('UPDATE install_links SET expires = 1700000000000000 WHERE used = 0 AND node_id = ?',
                       (item['node']['id'],))
        db.close()
        status, _, text = self.fetch(item['url'])
        self.assertEqual(status, 410)
        self.assertIn('expired', text)

    def test_nothing_in_the_clear(self):
        """Neither the tokens nor what the link gives are in the database."""
        item = self.make(proxy_url='http://user:pa55word@proxy:3128')
        token = value(unpacked(item['command']), 'TOKEN')
        link = item['url'].rsplit('/', 1)[1]
        for name in ('backupx.db', 'backupx.db-wal'):
            data = (self.suite.master_state / name).read_bytes()
            for secret in (token, link, 'pa55word'):
                self.assertNotIn(secret.encode(), data, name)

    def test_docker(self):
        item = self.make(mode='docker')
        status, _, text = self.fetch(f'{item["url"]}/compose.yml', 'HEAD')
        self.assertEqual((status, text), (200, ''))
        status, headers, text = self.fetch(f'{item["url"]}/compose.yml')
        self.assertEqual(status, 200)
        self.assertEqual(headers['Cache-Control'], 'no-store')
        script = unpacked(item['command'])
        self.assertIn(f'BACKUPX_AGENT_TOKEN: "{value(script, "TOKEN")}"', text)
        self.assertIn(f'--checksum=sha256:{self.sum}', text)
        self.assertEqual(self.fetch(item['url'])[0], 410, 'it was one link')
        plain = self.make()
        self.assertEqual(self.fetch(f'{plain["url"]}/compose.yml')[0], 404)
        self.assertEqual(self.fetch(plain['url'])[0], 200, 'nothing was used')

    def test_batch(self):
        names = [self.unique('n') for _ in range(50)]
        made = self.admin.post('install-links', {'names': names})
        self.assertEqual([item['node']['name'] for item in made['items']], names)
        tokens = {value(unpacked(item['command']), 'TOKEN') for item in made['items']}
        self.assertEqual(len(tokens), 50)
        for token in tokens:
            self.assertIn(token, made['bundle'])
        self.assertEqual(made['bundle'].count('find_machine() {'), 1)

    def test_batch_is_all_or_nothing(self):
        taken = self.make()['node']['name']
        before = len(list(self.admin.items('nodes')))
        a, b, c = (self.unique('n') for _ in range(3))
        cases = (
            ([a, b, taken, c], 409, 'NODE_EXISTS', 'Line 3'),
            ([a, b, c, b], 400, 'FIELD_INVALID', 'Line 4'),
            ([a, 'no/slash'], 400, 'FIELD_INVALID', 'Line 2'),
            ([a, '-rf'], 400, 'FIELD_INVALID', 'Line 2'),
            ([a, 'new\nline'], 400, 'FIELD_INVALID', 'Line 2'),
            ([f'm{i}' for i in range(51)], 400, 'FIELD_INVALID', ''),
            ([], 400, 'FIELD_INVALID', ''),
        )
        for names, status, code, text in cases:
            answer = self.refused(status, code, 'POST', 'install-links', {'names': names})
            self.assertIn(text, answer['message'])
        self.assertEqual(len(list(self.admin.items('nodes'))), before)
        self.admin.post('install-links', {'names': [a, b, c]})

    def test_existing_node(self):
        node = self.admin.post('nodes', {'name': self.unique('old')})
        item = self.make(node_id=node['id'])
        self.assertEqual(item['node'], {'id': node['id'], 'name': node['name']})
        self.refused(404, 'NODE_NOT_FOUND', 'POST', 'install-links', {'node_id': 9999}, field='node_id')
        self.refused(409, 'NODE_IS_LOCAL', 'POST', 'install-links', {'node_id': 1})
        self.refused(400, 'FIELD_INVALID', 'POST', 'install-links', {'node_id': 2, 'names': ['x']})

    def test_options(self):
        script = unpacked(self.make(source='github', architecture='arm64')['command'])
        file = f'backupx-agent-{VERSION}-linux-arm64.tar.gz'
        self.assertTrue(value(script, 'URL_ARM64').endswith(f'/v{VERSION}/{file}'))
        self.assertTrue(value(script, 'URL_ARM64').startswith('https://github.com/'))
        self.assertEqual((value(script, 'SHA256_ARM64'), value(script, 'URL_AMD64')), ('b' * 64, ''))
        script = unpacked(self.make(source='ghproxy')['command'])
        self.assertRegex(value(script, 'URL_AMD64'), r'^https://[^/]+/https://github\.com/.*amd64\.tar\.gz$')
        pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'
        script = unpacked(self.make(ca_cert=pem, proxy_url='http://proxy:3128')['command'])
        self.assertEqual(value(script, 'CA_CERT'), pem)
        self.assertEqual(value(script, 'PROXY_URL'), 'http://proxy:3128')
        wrong = (
            ({'architecture': 'arm64'}, 'architecture'),
            ({'version': '9.9'}, 'version'),
            ({'version': '../x'}, 'version'),
            ({'mode': 'snap'}, 'mode'),
            ({'source': 'ftp'}, 'source'),
            ({'ttl_s': 59}, 'ttl_s'),
            ({'ttl_s': 86401}, 'ttl_s'),
            ({'proxy_url': "http://x'; rm -rf /; '"}, 'proxy_url'),
            ({'proxy_url': 'file:///etc/passwd'}, 'proxy_url'),
            ({'ca_cert': '/etc/ssl/ca.pem'}, 'ca_cert'),
        )
        for more, field in wrong:
            body = {'names': [self.unique('x')], **more}
            self.refused(400, 'FIELD_INVALID', 'POST', 'install-links', body, field=field)

    def test_host_header_cannot_smuggle(self):
        """Without an external URL the request's own host is taken, and only one that is plain."""
        body = {'names': [self.unique('x')]}
        for host in ("evil'; id; '", 'a b', '$(id)', ''):
            with Raw(self.suite) as raw:
                data = b'{"names":["smuggled"]}'
                raw.send(
                    f'POST /api/v1/install-links HTTP/1.1\r\nHost: {host}\r\n'
                    f'Authorization: Bearer {self.admin.token}\r\nContent-Type: application/json\r\n'
                    f'Content-Length: {len(data)}\r\n\r\n'.encode() + data
                )
                self.assertIn(raw.status(), (400, 409), host)
        self.assertEqual(len(self.admin.post('install-links', body)['items']), 1)

    def test_roles(self):
        body = {'names': [self.unique('r')]}
        self.refused(403, 'FORBIDDEN', 'POST', 'install-links', body, self.member('viewer')[1])
        self.refused(401, 'AUTH_REQUIRED', 'POST', 'install-links', body, Client(self.server))
        self.assertTrue(self.make(client=self.member('operator')[1])['command'])

    def test_packages(self):
        listed = Client(self.server).get('agent-package')['items']
        self.assertEqual([(p['file'], p['version'], p['arch'], p['sha256'], p['size'], p['signed']) for p in listed],
                         [(PACKAGE, VERSION, 'amd64', self.sum, len(self.content), False)])
        status, headers, data = Client(self.server).raw('GET', f'agent-package/{PACKAGE}')
        self.assertEqual((status, data), (200, self.content))
        self.assertEqual(headers['Content-Type'], 'application/octet-stream')
        self.assertEqual(Client(self.server).raw('GET', f'agent-package/{PACKAGE}.sha256')[0], 200)
        for name in ('private.key', '..%2fbackupx.db', '%2e%2e', 'signing-key.pem', f'{PACKAGE}.key'):
            self.refused(404, 'NOT_FOUND', 'GET', f'agent-package/{name}', client=Client(self.server))


class Throttled(HttpCase):
    """Guesses are slowed down for their address. The configured address is in everything that is made."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='backupx-packages-')
        packages = pathlib.Path(cls.folder.name)
        (packages / PACKAGE).write_bytes(b'x')
        (packages / f'{PACKAGE}.sha256').write_text('a' * 64 + '\n')
        cls.environment = {
            'BACKUPX_SERVER_AGENT_PACKAGES': packages,
            'BACKUPX_SERVER_EXTERNAL_URL': 'https://backup.example.com/base/',
        }
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def test_external_url(self):
        made = self.admin.post('install-links', {'names': ['web-1'], 'mode': 'docker'})
        item = made['items'][0]
        script = unpacked(item['command'])
        base = 'https://backup.example.com/base'
        self.assertEqual(made['warnings'], [])
        self.assertEqual(value(script, 'MASTER'), base)
        self.assertEqual(value(script, 'URL_AMD64'), f'{base}/api/v1/agent-package/{PACKAGE}')
        self.assertTrue(item['url'].startswith(f'{base}/install/bxi_'))
        self.assertIn(item['url'], item['url_command'])
        path = item['url'].removeprefix(base)
        compose = Client(self.server).raw('GET', f'{path}/compose.yml')[2].decode()
        self.assertIn(f'BACKUPX_AGENT_MASTER: "{base}"', compose)

    def test_throttled(self):
        client, seen = Client(self.server), []
        for i in range(40):
            status, headers, data = client.raw('GET', f'/install/bxi_{i:043d}')
            self.assertIn(headers['Content-Type'].split(';')[0], ('text/plain',))
            seen.append(status)
            if status == 429:
                self.assertGreaterEqual(int(headers['Retry-After']), 1)
                self.assertIn(b'Wait', data)
                break
        self.assertEqual(seen, [404] * (len(seen) - 1) + [429])
        self.assertGreater(len(seen), 10)
        # Logins of the same address are another matter.
        self.assertTrue(self.login('admin', self.suite.password).get('auth/me'))


if __name__ == '__main__':
    unittest.main()
