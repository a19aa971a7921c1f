# SPDX-License-Identifier: Apache-2.0
"""Azurite, Microsoft's own emulator of Azure storage, on loopback, and a client of its own that signs.

Debian does not have it: it is taken from the npm registry, once for a build, in the versions and with the digests of
azurite/package-lock.json. BACKUPX_AZURITE may name a program azurite-blob that is there already."""

import base64
import datetime
import hashlib
import hmac
import http.client
import os
import shutil
import ssl
import subprocess
import urllib.parse

import npm
import servers
from processes import die_with_parent

ACCOUNT = 'bxaccount'
KEY = base64.b64encode(hashlib.sha512(b'of the tests').digest()).decode()
CONTAINER = 'backups'
VERSION = '2020-10-02'
# The account's own host, as the real service has one. Programs that do not know .localhost need it in /etc/hosts.
HOST = f'{ACCOUNT}.blob.localhost'


def program():
    """Where it is; it is installed where it is not. npm.Missing: it cannot be."""
    found = os.environ.get('BACKUPX_AZURITE') or shutil.which('azurite-blob')
    if found:
        return found
    return str(npm.folder('azurite', 'Azurite', 'BACKUPX_AZURITE') / '.bin/azurite-blob')


def require():
    """Skips the test where there is none; with CI=true that is a failure."""
    npm.require(program)


class Azurite(servers.Server):
    """One account with one container."""

    def __init__(self, folder, tls=False):
        super().__init__(folder)
        self.tls = tls
        command = [program(), '--silent', '--location', self.data, '--blobHost', '127.0.0.1', '--blobPort',
                   str(self.port)]
        if tls:
            servers.certificate(self.path('certificate'), self.path('key'), HOST)
            command += ['--cert', self.path('certificate'), '--key', self.path('key')]
        with open(self.path('out'), 'ab') as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=die_with_parent,
                                            env={**os.environ, 'AZURITE_ACCOUNTS': f'{ACCOUNT}:{KEY}'})
        self.wait()
        status, body = self.request('PUT', CONTAINER, {'restype': 'container'})
        if status != 201:
            raise AssertionError(body)

    @property
    def endpoint(self):
        """As a target names it."""
        return f'{"https" if self.tls else "http"}://127.0.0.1:{self.port}/{ACCOUNT}'

    @property
    def host_endpoint(self):
        """The same by the account's own host; with TLS alone."""
        return f'https://{HOST}:{self.port}'

    def request(self, method, path, query=None, body=b''):
        """One signed request: its status and its body."""
        when = datetime.datetime.now(datetime.timezone.utc).strftime('%a, %d %b %Y %H:%M:%S GMT')
        where = f'/{ACCOUNT}/{urllib.parse.quote(path)}'
        text = '\n'.join([method, '', '', str(len(body)) if body else ''] + [''] * 8 +
                         [f'x-ms-date:{when}', f'x-ms-version:{VERSION}', f'/{ACCOUNT}{where}'] +
                         [f'{k}:{v}' for k, v in sorted((query or {}).items())])
        mac = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        if self.tls:
            context = ssl.create_default_context(cafile=self.path('certificate'))
            connection = http.client.HTTPSConnection('127.0.0.1', self.port, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        connection.request(method, where + ('?' + urllib.parse.urlencode(query) if query else ''), body=body, headers={
            'x-ms-date': when, 'x-ms-version': VERSION,
            'Authorization': f'SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}'})
        answer = connection.getresponse()
        result = answer.status, answer.read()
        connection.close()
        return result

    def sas(self, permissions='rwdlac', hours=1):
        """A token for the account."""
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
        fields = {'sv': VERSION, 'ss': 'b', 'srt': 'sco', 'sp': permissions, 'se': until.strftime('%Y-%m-%dT%H:%M:%SZ'),
                  'spr': 'https'}
        text = '\n'.join([ACCOUNT, fields['sp'], fields['ss'], fields['srt'], '', fields['se'], '', fields['spr'],
                          fields['sv'], ''])
        mac = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        return urllib.parse.urlencode({**fields, 'sig': base64.b64encode(mac).decode()})

    def target(self, secrets=None, address=None, **config):
        """A target on it."""
        endpoint = self.endpoint
        if address:
            endpoint = endpoint.replace(f'127.0.0.1:{self.port}', '%s:%d' % address)
        if self.tls:
            config.setdefault('ca_cert', self.path('certificate'))
        return {'type': 'azure',
                'config': {'account': ACCOUNT, 'container': CONTAINER, 'endpoint': endpoint, 'prefix': 'a/prefix',
                           'block_size': 4, **config},
                'secrets': {'account_key': KEY} if secrets is None else secrets}
