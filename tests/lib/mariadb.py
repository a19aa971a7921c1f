# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB of this machine on private ground."""

import atexit
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time

from suite import free_port

#: As small and as careless of a power failure as it goes.
OPTIONS = ['--innodb-log-file-size=32M', '--innodb-buffer-pool-size=64M', '--innodb-flush-log-at-trx-commit=2',
           '--innodb-flush-method=nosync', '--skip-innodb-doublewrite']


def available():
    """Whether there is one to start."""
    return bool(shutil.which('mariadbd') and shutil.which('mariadb-install-db'))


def user_option():
    """Whom it runs as."""
    return ['--user=mysql'] if os.geteuid() == 0 else []


@functools.cache
def installed():
    """A data directory as it is made, for copies."""
    folder = tempfile.mkdtemp(prefix='backupx-mariadb-new-')
    atexit.register(shutil.rmtree, folder)
    if os.geteuid() == 0:
        shutil.chown(folder, 'mysql')
    subprocess.run(['mariadb-install-db', '--no-defaults', *user_option(), f'--datadir={folder}/d',
                    '--auth-root-authentication-method=normal', '--skip-test-db', OPTIONS[0]],
                   check=True, capture_output=True)
    return folder


class Server:
    """Has a user root without a password through its socket, and listens on loopback."""

    def __init__(self, *options):
        self.folder = tempfile.mkdtemp(prefix='backupx-mariadb-')
        self.socket = self.folder + '/s'
        self.port = free_port()
        self.process = None
        self.options = options
        if os.geteuid() == 0:
            shutil.chown(self.folder, 'mysql')
        os.chmod(self.folder, 0o755)
        subprocess.run(['cp', '-a', installed() + '/d', self.folder], check=True)
        self.command = ['mariadbd', '--no-defaults', *user_option(), f'--datadir={self.folder}/d',
                        f'--socket={self.socket}', f'--pid-file={self.folder}/pid',
                        '--bind-address=127.0.0.1', f'--port={self.port}', *OPTIONS, *options]

    def start(self):
        """Starts it; it answers then."""
        with open(self.folder + '/log', 'ab') as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while subprocess.run(['mariadb-admin', '--no-defaults', '-uroot', '-S', self.socket, 'ping'],
                             capture_output=True, check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)
        return self

    def log(self):
        with open(self.folder + '/log', encoding='utf-8', errors='replace') as file:
            return file.read()[-3000:]

    def kill(self):
        """As a power failure would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)

    def sql(self, text, database=''):
        """What the client prints of these statements."""
        command = ['mariadb', '--no-defaults', '-uroot', '-S', self.socket, '-N', '-r',
                   '--default-character-set=utf8mb4']
        done = subprocess.run([*command, *([database] if database else [])], input=text, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def checksums(self, database):
        """table -> checksum of its rows."""
        tables = self.sql("SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
                          f" AND table_schema = '{database}'").split('\n')[:-1]
        if not tables:
            return {}
        quoted = [table.replace('`', '``') for table in tables]
        names = ', '.join(f'`{database}`.`{table}`' for table in quoted)
        return {line.split('\t')[0].split('.', 1)[1]: line.split('\t')[1]
                for line in self.sql(f'CHECKSUM TABLE {names} EXTENDED').split('\n')[:-1]}
