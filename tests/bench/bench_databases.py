#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Dumps of PostgreSQL and MariaDB against the server's own program | zstd | age: time, processor time, memory.

Both read the same server and write to the same disk, in turn; the medians are compared. Goal: at least 0.9 of the
pipeline's throughput, although ours looks for the end of the dump, hashes, keeps an index and syncs to disk.

Sizes: --size MiB of rows, --rounds. With --strict a goal that was missed is a failure.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

import mariadb  # noqa: E402 pylint: disable=wrong-import-position
import postgres  # noqa: E402 pylint: disable=wrong-import-position

GOAL = 0.9
MEMORY_GOAL = 128
TOOL = pathlib.Path(os.environ.get('BACKUPX_BUILD', 'build')).resolve() / 'tests/databases/database-tool'
#: Of a row: text that compresses as that of applications does.
ROW = 1000


def measure(command, **environment):
    """Runs a shell command: (seconds, processor seconds of its processes, MiB of the largest of them)."""
    script = f'set -euo pipefail; {command}'
    begun = time.monotonic()
    with subprocess.Popen(['bash', '-c', script], stdout=subprocess.DEVNULL,
                          env={**os.environ, **environment}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (command, process.returncode)
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Postgresql:
    """A server with a table of that size."""

    name, backup = 'PostgreSQL', 'pg-backup'
    pipe = 'pg_dump -Fc -Z0'

    def __init__(self, size):
        self.server = postgres.Server('shared_buffers=256MB', 'max_wal_size=4GB').start()
        rows = (size << 20) // ROW
        self.server.sql('CREATE DATABASE big')
        self.server.sql('CREATE UNLOGGED TABLE t AS SELECT g id, now() - g * interval \'1 s\' made,'
                        ' (SELECT string_agg(md5((g * 7 + h)::text) || \' order \' || h || \' of customer \''
                        f' || g % 1000, \';\') FROM generate_series(1, 15) h) note FROM generate_series(1, {rows}) g;'
                        ' VACUUM ANALYZE', 'big')

    def source(self):
        return {'server': {'host': '127.0.0.1', 'port': self.server.port, 'user': 'postgres'}, 'databases': ['big']}

    def environment(self):
        return {'DATABASE_PASSWORD': postgres.PASSWORD, 'PGPASSWORD': postgres.PASSWORD}

    def command(self):
        return (f'{self.server.programs}/pg_dump -Fc -Z0 -h 127.0.0.1 -p {self.server.port} -U postgres big')


class Mariadb:
    """A server with a table of that size."""

    name, backup = 'MariaDB', 'backup'
    pipe = 'mariadb-dump'

    def __init__(self, size):
        self.server = mariadb.Server('--innodb-buffer-pool-size=256M').start()
        rows = (size << 20) // ROW
        self.server.sql('CREATE DATABASE big; CREATE TABLE big.t (id INT PRIMARY KEY, made DATETIME, note TEXT);'
                        " CREATE USER backup@'127.0.0.1' IDENTIFIED BY 'secret';"
                        " GRANT ALL ON *.* TO backup@'127.0.0.1'")
        for begin in range(0, rows, 50000):
            text = ', '.join(f"md5(seq * 7 + {h}), ' order {h} of customer ', seq % 1000, ';'" for h in range(1, 16))
            self.server.sql(f"INSERT INTO t SELECT seq, '2024-01-01' + INTERVAL seq SECOND, concat({text})"
                            f' FROM seq_{begin + 1}_to_{min(begin + 50000, rows)}', 'big')

    def source(self):
        return {'server': {'host': '127.0.0.1', 'port': self.server.port, 'user': 'backup'}, 'databases': ['big']}

    def environment(self):
        return {'DATABASE_PASSWORD': 'secret', 'MYSQL_PWD': 'secret'}

    def command(self):
        return ('mariadb-dump --no-defaults --single-transaction --quick --routines --triggers --events --hex-blob'
                f' --default-character-set=utf8mb4 -h 127.0.0.1 -P {self.server.port} -u backup big')


def compare(kind, folder, options, recipient):
    """Whether the goal was met."""
    database = kind(options.size)
    try:
        source = json.dumps(database.source())
        ours = {form: f'rm -rf {folder}/out; mkdir {folder}/out; {TOOL} {database.backup} {form} {folder}/out'
                      f" '{source}'" for form in ('archive', 'repository')}
        sealed = f'{database.command()} | zstd -q -3 | age -r {recipient} >{folder}/pipe'
        commands = {'pipe': f'rm -f {folder}/pipe; {sealed}', **ours}
        environment = {**database.environment(), 'RECIPIENT': recipient}
        figures = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                os.sync()
                figure = measure(command, **environment)
                if number > 0:
                    figures[name].append(figure)
    finally:
        database.server.close()
    pipe = statistics.median(f[0] for f in figures['pipe'])
    met = True
    for form in ours:
        seconds, cpu, memory = (statistics.median(f[n] for f in figures[form]) for n in range(3))
        good = pipe / seconds >= GOAL and memory < MEMORY_GOAL
        met = met and (good or form != 'archive')
        print(f'{kind.name}, {form}: {seconds:.2f} s (processor {cpu:.2f} s, {memory:.0f} MiB);'
              f' {kind.pipe} | zstd | age {pipe:.2f} s; throughput {pipe / seconds:.2f} of it,'
              f' goal {GOAL}: {"met" if good else "MISSED"}', flush=True)
    return met


def main():
    """Runs both servers, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--size', type=int, default=1024)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--strict', action='store_true')
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-bench-', dir='/var/tmp'))
    try:
        key = folder / 'key'
        subprocess.run(['age-keygen', '-o', str(key)], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.check_output(['age-keygen', '-y', str(key)], text=True).strip()
        met = [compare(kind, folder, options, recipient) for kind in (Postgresql, Mariadb)]
    finally:
        shutil.rmtree(folder)
    return 0 if all(met) or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
