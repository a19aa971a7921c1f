#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups into repositories, ours beside stock restic: time, processor time, memory and size, in one run.

Corpora, the same for the same seed and machine: A is big files of random bytes, B a sample of this machine's
files in their directories, C a dump of SQL, D a sparse file. Each is backed up first, unchanged, and with one
percent changed. The two programs run in turn on the same disk, each into a repository that it made itself,
and the medians of the rounds are compared. Goals are ratios of time; those of processor time say the same
where the machine is busy with something else.

--a, --c: MiB of the corpus; --b: its files; --d: MiB between two blocks of data. --only A: that corpus.
--no-verify: nothing is opened again before its upload. With --strict a goal that was missed is a failure.
"""

import argparse
import hashlib
import multiprocessing
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PASSWORD = 'a password of the bench'
MIB = 1 << 20

GOALS = {
    ('A', 'first'): 0.50, ('A', 'changed'): 0.35,
    ('B', 'first'): 0.40, ('B', 'unchanged'): 0.15, ('B', 'changed'): 0.35,
    ('C', 'first'): 0.50, ('C', 'changed'): 0.35,
    ('D', 'first'): 0.05, ('D', 'unchanged'): 0.05,
}
STORED_GOALS = {('A', 'first'): 1.02, ('B', 'first'): 1.02, ('A', 'changed'): 1.05, ('B', 'changed'): 1.05,
                ('C', 'changed'): 1.05}


def make_a(folder, size):
    """Eight files of random bytes."""
    for number in range(8):
        with open(folder / f'big-{number}', 'wb') as file:
            for piece in range(size // 8):
                file.write(random.Random(number * 100_000 + piece).randbytes(MIB))


def change_a(folder, step):
    """One percent, in eight places of each file."""
    for number, path in enumerate(sorted(folder.iterdir())):
        size, places = path.stat().st_size, random.Random(step * 1000 + number)
        with open(path, 'r+b') as file:
            for _ in range(8):
                file.seek(places.randrange(size - size // 800))
                file.write(places.randbytes(size // 800))


def make_b(folder, count):
    """A sample of the files below /usr, by the digests of their names."""
    found = []
    for top in ('/usr/include', '/usr/share', '/usr/lib'):
        for directory, _, names in os.walk(top):
            for path in (os.path.join(directory, name) for name in names):
                if os.path.isfile(path) and not os.path.islink(path) and 0 < os.path.getsize(path) <= MIB // 4:
                    found.append((hashlib.md5(os.fsencode(path)).hexdigest(), path))
    for _, path in sorted(found)[:count]:
        target = folder / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def change_b(folder, step):
    """A line in the middle of one percent of the files."""
    paths = sorted(path for path in folder.glob('**/*') if path.is_file())
    for path in random.Random(step).sample(paths, max(1, len(paths) // 100)):
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] + b'\n/* change %d */\n' % step + data[middle:])


def make_c(folder, size, step=0):
    """Lines of a table; in one place, a percent of all lines is of another step."""
    words = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta']
    lines = size * MIB // 110
    with open(folder / 'dump.sql', 'w', encoding='ascii') as file:
        for start in range(0, lines, 1000):
            changed = step > 0 and lines // 2 <= start < lines // 2 + lines // 100
            pick = random.Random(f'{start} {step if changed else 0}')
            for number in range(start, start + 1000):
                text = ' '.join(pick.choices(words, k=5))
                file.write(f"INSERT INTO t VALUES ({number},{pick.getrandbits(48)},'{text}',{pick.random()},NULL);\n")


def make_d(folder, gap):
    """A hundred blocks of a mebibyte, far from each other."""
    with open(folder / 'disk.img', 'wb') as file:
        for number in range(100):
            file.seek(number * (gap + 1) * MIB)
            file.write(random.Random(number).randbytes(MIB))
        file.truncate(100 * (gap + 1) * MIB)


def change_d(folder, step):
    """One of its blocks."""
    with open(folder / 'disk.img', 'r+b') as file:
        file.seek(0)
        file.write(random.Random(1000 + step).randbytes(MIB))


def run(command, environment):
    """Runs a program: (seconds, processor seconds, MiB of memory)."""
    begun = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f'{command}: {process.stderr.read().decode(errors="replace")}')
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def apart(function, *arguments):
    """Calls it in a process of its own: memory of ours would count as that of the programs we start."""
    process = multiprocessing.Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f'{function.__name__} failed')


def stored(folder):
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.glob('**/*') if path.is_file())


class Side:
    """One of the two programs with its repository."""

    def __init__(self, folder, name, options):
        self.name = name
        self.folder = folder / name
        self.environment = {**os.environ, 'RESTIC_PASSWORD': PASSWORD, 'RESTIC_CACHE_DIR': str(folder / 'cache')}
        self.options = options
        self.ahead = 0

    def init(self):
        """Makes an empty repository."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        if self.name == 'restic':
            run(['restic', '-q', '-r', str(self.folder), 'init'], self.environment)
        else:
            empty = self.folder.parent / 'empty'
            empty.mkdir(exist_ok=True)
            run([self.options.tool, '--init', '--repository', str(self.folder), str(empty)], self.environment)

    def backup(self, source):
        """A backup: figures, and the bytes that came."""
        before = stored(self.folder)
        os.sync()
        if self.name == 'restic':
            command = ['restic', '-q', '-r', str(self.folder), 'backup', str(source)]
        else:
            # Each run says that it began later: the files, which are new, are to count as older.
            self.ahead += 1000
            command = [self.options.tool, '--repository', str(self.folder), '--time-ahead', str(self.ahead),
                       *(['--no-verify'] if self.options.no_verify else []), str(source)]
        figures = run(command, self.environment)
        return (*figures, stored(self.folder) - before)


def measure(corpus, source, change, sides, rounds):
    """All phases of a corpus: phase -> side -> list of figures."""
    figures = {}
    for step in range(1, rounds + 1):
        for side in sides:
            side.init()
        for phase in ('first', 'unchanged', 'changed'):
            if phase == 'changed':
                apart(change, source, step)
            for side in sides if step % 2 else sides[::-1]:
                figures.setdefault((corpus, phase), {}).setdefault(side.name, []).append(side.backup(source))
    return figures


def report(figures):
    """Prints a line a phase; gives whether all goals were met."""
    met = True
    for (corpus, phase), by_side in figures.items():
        ours, restic = ([statistics.median(f[column] for f in by_side[name]) for column in range(4)]
                        for name in ('ours', 'restic'))
        ratio, goal = ours[0] / restic[0], GOALS.get((corpus, phase))
        words = 'no goal' if goal is None else f'goal {goal}: {"met" if ratio <= goal else "MISSED"}'
        print(f'{corpus} {phase:9}: ours {ours[0]:6.2f} s (cpu {ours[1]:6.2f}, {ours[2]:4.0f} MiB,'
              f' +{ours[3] / 1e6:.1f} MB), restic {restic[0]:6.2f} s ({restic[1]:6.2f}, {restic[2]:4.0f},'
              f' +{restic[3] / 1e6:.1f}); ratio {ratio:.2f}, cpu {ours[1] / restic[1]:.2f}; {words}', flush=True)
        met = met and (goal is None or ratio <= goal)
        size_goal = STORED_GOALS.get((corpus, phase))
        if size_goal:
            size_ratio = ours[3] / restic[3]
            print(f'{corpus} {phase:9}: stored ratio {size_ratio:.3f}; goal {size_goal}: '
                  f'{"met" if size_ratio <= size_goal else "MISSED"}', flush=True)
            met = met and size_ratio <= size_goal
    return met


def main():
    """Makes each corpus, and runs both programs over it."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--a', type=int, default=512)
    parser.add_argument('--b', type=int, default=20000)
    parser.add_argument('--c', type=int, default=256)
    parser.add_argument('--d', type=int, default=20)
    parser.add_argument('--only', action='append', choices=['A', 'B', 'C', 'D'])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--no-verify', action='store_true')
    parser.add_argument('--strict', action='store_true')
    options = parser.parse_args()
    options.tool = str(pathlib.Path(os.environ.get('BACKUPX_BUILD', 'build')).resolve() /
                       'tests/repository/backup-tool')
    corpora = {
        'A': (lambda f: make_a(f, options.a), change_a),
        'B': (lambda f: make_b(f, options.b), change_b),
        'C': (lambda f: make_c(f, options.c), lambda f, step: make_c(f, options.c, step)),
        'D': (lambda f: make_d(f, options.d), change_d),
    }
    met = True
    folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-bench-', dir='/var/tmp'))
    try:
        sides = [Side(folder, 'ours', options), Side(folder, 'restic', options)]
        for corpus in options.only or corpora:
            make, change = corpora[corpus]
            source = folder / 'source'
            source.mkdir()
            apart(make, source)
            met = report(measure(corpus, source, change, sides, options.rounds)) and met
            shutil.rmtree(source)
    finally:
        shutil.rmtree(folder)
    return 0 if met or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
