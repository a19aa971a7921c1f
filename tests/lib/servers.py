# SPDX-License-Identifier: Apache-2.0
"""Real storage servers on loopback, for one test each: started in a folder of theirs, gone with it.

Root is needed, and nothing of this machine changes: users are added in a mount namespace.
"""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import time

from processes import die_with_parent
from suite import free_port

USER = 'bxstore'
PASSWORD = 'a pass/word: 1%'
UID = 61234


def write(path, text, mode=0o644):
    """A small file."""
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, mode)


def have(*programs):
    """Whether all are installed."""
    return all(shutil.which(p, path='/usr/sbin:/usr/bin:/sbin:/bin') for p in programs)


class Server:
    """The common part: a folder, a port, a process."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.process = None
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        self.data = self.path('data')
        os.makedirs(self.data, exist_ok=True)
        os.chown(self.data, UID, UID)

    def path(self, name):
        """In the server's folder."""
        return os.path.join(self.folder, name)

    def read(self, name):
        """A file of the folder."""
        with open(self.path(name), encoding='utf-8') as file:
            return file.read()

    def user_files(self):
        """passwd, group and shadow with one user more."""
        digest = subprocess.run(['openssl', 'passwd', '-6', '-stdin'], input=PASSWORD, text=True, check=True,
                                capture_output=True).stdout.strip()
        lines = {'passwd': f'{USER}:x:{UID}:{UID}::{self.data}:/bin/sh\n', 'group': f'{USER}:x:{UID}:\n',
                 'shadow': f'{USER}:{digest}:19000:0:99999:7:::\n'}
        for name, line in lines.items():
            with open('/etc/' + name, encoding='utf-8') as file:
                write(self.path(name), file.read() + line, 0o600 if name == 'shadow' else 0o644)
        return lines

    def start(self, command, users=True):
        """Runs it where the user exists, and waits until it listens."""
        script = ''
        if users:
            script = ''.join(f'mount --bind {self.path(n)} /etc/{n} && ' for n in self.user_files())
        with open(self.path('out'), 'ab') as out:
            self.process = subprocess.Popen(['unshare', '-m', '/bin/sh', '-c', script + 'exec "$@"', 'sh', *command],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=die_with_parent)
        self.wait()

    def wait(self):
        """Until the port answers."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with socket.create_connection(('127.0.0.1', self.port), timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        with open(self.path('out'), encoding='utf-8', errors='replace') as file:
            raise AssertionError(f'{type(self).__name__} did not start: {file.read()}')

    def stop(self):
        """Ends it and waits."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def children(self):
        """The processes of its connections."""
        done = subprocess.run(['pgrep', '-P', str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in done.stdout.split()]


class Sshd(Server):
    """OpenSSH with a user of a password and a key."""

    KINDS = ('ed25519', 'ecdsa')

    def __init__(self, folder, options=()):
        super().__init__(folder)
        for kind in self.KINDS:
            self.keygen('host_' + kind, kind)
        self.keygen('id', 'ed25519')
        self.keygen('locked', 'ed25519', 'a phrase')
        authorized = ''.join(self.read(n + '.pub') for n in ('id', 'locked'))
        write(self.path('authorized'), authorized)
        host_keys = ''.join(f'HostKey {self.path("host_" + k)}\n' for k in self.KINDS)
        write(self.path('config'), f'''Port {self.port}
ListenAddress 127.0.0.1
{host_keys}PidFile none
AuthorizedKeysFile {self.path('authorized')}
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
LogLevel VERBOSE
Subsystem sftp internal-sftp
''' + ''.join(line + '\n' for line in options))
        os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
        self.start(['/usr/sbin/sshd', '-D', '-e', '-f', self.path('config')])

    def keygen(self, name, kind, phrase=''):
        """A pair of keys."""
        subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', phrase, '-f', self.path(name)], check=True)

    def fingerprint(self, kind='ed25519'):
        """As people copy it."""
        return subprocess.check_output(['ssh-keygen', '-lf', self.path(f'host_{kind}.pub')],
                                       text=True).split()[1]

    def target(self, secrets=None, **config):
        """A target on it, with the key where nothing else is said."""
        return {'type': 'sftp',
                'config': {'host': '127.0.0.1', 'port': self.port, 'user': USER, 'path': 'backups',
                           'host_key': self.fingerprint(), **config},
                'secrets': {'private_key': self.read('id')} if secrets is None else secrets}


class Apache(Server):
    """mod_dav with one user; over TLS where a certificate is wanted."""

    MODULES = ('mpm_event', 'authn_core', 'authn_file', 'authz_core', 'authz_user', 'auth_basic', 'dav', 'dav_fs',
               'mime')

    def __init__(self, folder, tls=False, options=()):
        super().__init__(folder)
        self.tls = tls
        os.makedirs(self.path('lock'), exist_ok=True)
        for name in ('lock', 'data'):
            shutil.chown(self.path(name), 'www-data')
        self.passwords()
        modules = (*self.MODULES, 'ssl') if tls else self.MODULES
        lines = [f'LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so' for m in modules]
        if tls:
            certificate(self.path('certificate'), self.path('key'))
            lines += ['SSLEngine on', f'SSLCertificateFile {self.path("certificate")}',
                      f'SSLCertificateKeyFile {self.path("key")}']
        write(self.path('config'), f'''ServerName localhost
PidFile {self.path('pid')}
Listen 127.0.0.1:{self.port}
''' + '\n'.join(lines) + f'''
TypesConfig /etc/mime.types
User www-data
Group www-data
ErrorLog {self.path('log')}
DavLockDB {self.path('lock/db')}
DocumentRoot {self.data}
LimitRequestBody 0
<Directory {self.data}>
Dav On
AuthType Basic
AuthName x
AuthUserFile {self.path('passwords')}
Require valid-user
</Directory>
''' + ''.join(line + '\n' for line in options))
        self.launch()

    def launch(self):
        """Starts it, a first time or again."""
        self.start(['apache2', '-DFOREGROUND', '-f', self.path('config')], users=False)

    def passwords(self):
        """The one user."""
        digest = subprocess.run(['openssl', 'passwd', '-apr1', '-stdin'], input=PASSWORD, text=True, check=True,
                                capture_output=True).stdout.strip()
        write(self.path('passwords'), f'{USER}:{digest}\n')

    def target(self, secrets=None, address=None, **config):
        """A target on it."""
        host, port = address or ('127.0.0.1', self.port)
        return {'type': 'webdav',
                'config': {'url': f'http{"s" if self.tls else ""}://{host}:{port}/back%20ups', 'user': USER, **config},
                'secrets': {'password': PASSWORD} if secrets is None else secrets}


class Proftpd(Server):
    """ProFTPD with one user; tls is 'none', 'explicit' or 'implicit', and then nothing goes without it."""

    def __init__(self, folder, tls='none', options=()):
        super().__init__(folder)
        self.tls = tls
        lines = []
        if tls != 'none':
            certificate(self.path('certificate'), self.path('key'))
            lines = ['LoadModule mod_tls.c', 'TLSEngine on', 'TLSRequired on', 'TLSProtocol TLSv1.3',
                     f'TLSECCertificateFile {self.path("certificate")}', f'TLSECCertificateKeyFile {self.path("key")}',
                     'TLSOptions NoSessionReuseRequired' + (' UseImplicitSSL' if tls == 'implicit' else '')]
        digest = subprocess.run(['openssl', 'passwd', '-6', '-stdin'], input=PASSWORD, text=True, check=True,
                                capture_output=True).stdout.strip()
        write(self.path('passwords'), f'{USER}:{digest}:{UID}:{UID}::{self.data}:/bin/sh\n', 0o600)
        write(self.path('config'), f'''ServerName test
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port {self.port}
PidFile {self.path('pid')}
ScoreboardFile {self.path('board')}
DelayTable none
WtmpLog off
UseReverseDNS off
User nobody
Group nogroup
RequireValidShell off
AuthPAM off
AuthUserFile {self.path('passwords')}
AuthOrder mod_auth_file.c
DefaultRoot ~
''' + ''.join(line + '\n' for line in (*lines, *options)))
        self.launch()

    def launch(self):
        """Starts it, a first time or again."""
        self.start(['/usr/sbin/proftpd', '--nodaemon', '--config', self.path('config')], users=False)

    def pin(self):
        """Of the certificate's key, as the manual of curl has it computed."""
        return pin(self.path('certificate'))

    def target(self, secrets=None, address=None, **config):
        """A target on it."""
        host, port = address or ('127.0.0.1', self.port)
        if self.tls != 'none':
            config.setdefault('ca_cert', self.path('certificate'))
        return {'type': 'ftp',
                'config': {'host': host, 'port': port, 'user': USER, 'path': 'back ups', 'tls': self.tls, **config},
                'secrets': {'password': PASSWORD} if secrets is None else secrets}


def pin(path):
    """The hash of a certificate's public key."""
    key = subprocess.run(['openssl', 'x509', '-in', path, '-pubkey', '-noout'], check=True, capture_output=True).stdout
    der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'der'], input=key, check=True,
                         capture_output=True).stdout
    return 'sha256//' + base64.b64encode(hashlib.sha256(der).digest()).decode()


def certificate(path, key, *names):
    """Of one's own, for localhost and more names."""
    names = ','.join(['DNS:localhost', 'IP:127.0.0.1', *(f'DNS:{name}' for name in names)])
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                    '-days', '30', '-subj', '/CN=localhost', '-addext', f'subjectAltName={names}',
                    '-keyout', key, '-out', path], check=True, capture_output=True)
