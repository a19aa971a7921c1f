#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Repositories, ours beside stock restic: time, processor time, memory and size, in one run.

Corpora, the same for the same seed and machine: A is big files of random bytes, B a sample of this machine's
files in their directories, C a dump of SQL, D a sparse file. Each is backed up first, unchanged, and with one
percent changed; C also with one row of a hundred changed all over, which is what "scattered" means. Then the
last snapshot is restored, and all data checked; of B one file is restored as well, to see what is read for it.
The two programs run in turn on the same disk, each on a repository that it made itself, and the medians of the
rounds are compared. Goals are ratios of time; those of processor time say the same where the machine is busy
with something else. A restore has ended when it is on the disk: for both of them a sync is part of it.

--small: minutes less, and figures in which the start of the programs weighs more. --full: the sizes that the
goals were set with. --a, --c: MiB of the corpus; --b: its files; --d: MiB between two blocks of data.
--only A: that corpus. --no-verify: nothing is opened again before its upload. With --strict a goal that was
missed is a failure.
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

SIZES = {
    'small': {'a': 256, 'b': 5000, 'c': 128, 'd': 20, 'rounds': 1},
    'middle': {'a': 1024, 'b': 30000, 'c': 512, 'd': 102, 'rounds': 3},
    'full': {'a': 2048, 'b': 100200, 'c': 1000, 'd': 102, 'rounds': 3},
}
GOALS = {
    ('A', 'first'): 0.50, ('A', 'changed'): 0.35, ('A', 'restore'): 0.50, ('A', 'check'): 0.60,
    ('B', 'first'): 0.40, ('B', 'unchanged'): 0.15, ('B', 'changed'): 0.35, ('B', 'restore'): 0.50,
    ('B', 'check'): 0.60,
    ('C', 'first'): 0.50, ('C', 'changed'): 0.35, ('C', 'scattered'): 0.50, ('C', 'check'): 0.60,
    ('D', 'first'): 0.05, ('D', 'unchanged'): 0.05, ('D', 'restore'): 0.05, ('D', 'check'): 0.60,
}
STORED_GOALS = {('A', 'first'): 1.02, ('B', 'first'): 1.02, ('A', 'changed'): 1.05, ('B', 'changed'): 1.05,
                ('C', 'changed'): 1.05}
# MiB that are read for one file of B.
ONE_FILE_GOAL = 2
# MiB of memory: for all, for a file of the largest directory, and for a blob in the index.
MEMORY, MEMORY_FILE, MEMORY_BLOB = 64, 0.1 / 1024, 96 / MIB


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


def rows(start, step):
    """A thousand lines of a table, as they are since that step."""
    words = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta']
    pick = random.Random(f'{start} {step}')
    return [f"INSERT INTO t VALUES ({number},{pick.getrandbits(48)},'{' '.join(pick.choices(words, k=5))}',"
            f"{pick.random()},NULL);\n" for number in range(start, start + 1000)]


def make_c(folder, size):
    """Lines of a table."""
    with open(folder / 'dump.sql', 'w', encoding='ascii') as file:
        for start in range(0, size * MIB // 110, 1000):
            file.writelines(rows(start, 0))


def rewrite(folder, change):
    """Replaces the dump by what becomes of each thousand of its lines."""
    with open(folder / 'dump.sql', encoding='ascii') as old, open(folder / 'new', 'w', encoding='ascii') as new:
        start = 0
        while lines := [line for line in (old.readline() for _ in range(1000)) if line]:
            new.writelines(change(start, lines))
            start += 1000
    os.rename(folder / 'new', folder / 'dump.sql')


def change_c(folder, step):
    """One percent of the lines, in one place."""
    count = (folder / 'dump.sql').stat().st_size // 110
    first = count // 2000 * 1000
    rewrite(folder, lambda start, lines: rows(start, step) if first <= start <= first + count // 100 else lines)


def scatter_c(folder, step):
    """One line of each hundred."""
    def change(_, lines):
        for at in range(step % 100, len(lines), 100):
            lines[at] = lines[at].replace('NULL', f'{step}')
        return lines
    rewrite(folder, change)


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
            run([self.tool('backup-tool'), '--init', '--derived', '--repository', str(self.folder), str(empty)],
                self.environment)

    def tool(self, name):
        """One of our tools."""
        return str(self.options.build / 'tests/repository' / name)

    def backup(self, source):
        """A backup: figures, and the bytes that came."""
        before = stored(self.folder)
        os.sync()
        if self.name == 'restic':
            command = ['restic', '-q', '-r', str(self.folder), 'backup', str(source)]
        else:
            # Each run says that it began later: the files, which are new, are to count as older.
            self.ahead += 1000
            command = [self.tool('backup-tool'), '--repository', str(self.folder), '--time-ahead', str(self.ahead),
                       *(['--no-verify'] if self.options.no_verify else []), str(source)]
        figures = run(command, self.environment)
        return (*figures, stored(self.folder) - before)

    def restore(self, source):
        """A restore of all, until it is on the disk."""
        target = self.folder.parent / 'restored'
        target.mkdir()
        os.sync()
        if self.name == 'restic':
            command = ['restic', '-q', '-r', str(self.folder), 'restore', 'latest', '--target', str(target)]
        else:
            command = [self.tool('read-tool'), str(self.folder), PASSWORD, 'restore', 'latest', str(target), 'fail']
        figures = run(command, self.environment)
        begun = time.monotonic()
        os.sync()
        figures = (figures[0] + time.monotonic() - begun, *figures[1:], stored(target))
        if figures[3] != stored(source):
            raise SystemExit(f'{self.name} restored {figures[3]} bytes')
        shutil.rmtree(target)
        return figures

    def check(self, _):
        """A check of all data."""
        if self.name == 'restic':
            command = ['restic', '-q', '-r', str(self.folder), 'check', '--read-data']
        else:
            command = [self.tool('read-tool'), str(self.folder), PASSWORD, 'check', '1', '1']
        return (*run(command, self.environment), 0)


def memory_goal(source):
    """What a run over this corpus may hold."""
    largest = blobs = 0
    for _, folders, names in os.walk(source):
        largest = max(largest, len(folders) + len(names))
        blobs += 1 + len(names)
    return MEMORY + largest * MEMORY_FILE + (blobs + stored(source) // MIB) * MEMORY_BLOB


def measure(corpus, source, changes, sides, rounds):
    """All phases of a corpus: phase -> side -> list of figures."""
    figures = {}
    for step in range(1, rounds + 1):
        for side in sides:
            side.init()
        for phase in ('first', 'unchanged', *changes, 'restore', 'check'):
            if phase in changes:
                apart(changes[phase], source, step)
            for side in sides if step % 2 else sides[::-1]:
                work = {'restore': side.restore, 'check': side.check}.get(phase, side.backup)
                figures.setdefault((corpus, phase), {}).setdefault(side.name, []).append(work(source))
    return figures


def one_file(source, side):
    """MiB that a restore of one small file reads of our repository, when the index is at hand."""
    files = (path for path in source.glob('**/*') if path.is_file())
    wanted = min(files, key=lambda path: (abs(path.stat().st_size - 10240), path))
    target, trace = side.folder.parent / 'restored', side.folder.parent / 'trace'
    environment = {**side.environment, 'READ_TOOL_CACHE': str(side.folder.parent / 'cache')}
    command = [side.tool('read-tool'), str(side.folder), PASSWORD]
    run([*command, 'ls', 'latest'], environment)
    target.mkdir()
    trace.mkdir()
    run(['strace', '-ff', '-qq', '-y', '-e', 'trace=read,pread64', '-o', str(trace / 'of'), *command, 'restore',
         'latest', str(target), 'fail', str(wanted)], environment)
    if (target / str(wanted)[1:]).read_bytes() != wanted.read_bytes():
        raise SystemExit(f'{wanted} is not what it was')
    lines = (line for path in trace.iterdir() for line in path.read_text().splitlines())
    read = [line.rpartition(' = ')[2] for line in lines if f'<{side.folder}/' in line]
    shutil.rmtree(target)
    shutil.rmtree(trace)
    return sum(int(n) for n in read if n.isdigit()) / MIB


def verdict(what, value, goal):
    """Whether a goal was met, in words."""
    return f'{what} {value:.3f}, goal {goal}: {"met" if value <= goal else "MISSED"}', value <= goal


def report(figures, memory):
    """Prints a line a phase and what was missed; gives whether all goals were met."""
    met = True
    for (corpus, phase), by_side in figures.items():
        ours, restic = ([statistics.median(f[column] for f in by_side[name]) for column in range(4)]
                        for name in ('ours', 'restic'))
        ratio, goal = ours[0] / restic[0], GOALS.get((corpus, phase))
        words = 'no goal' if goal is None else f'goal {goal}: {"met" if ratio <= goal else "MISSED"}'
        print(f'{corpus} {phase:9}: ours {ours[0]:6.2f} s (cpu {ours[1]:6.2f}, {ours[2]:4.0f} MiB,'
              f' +{ours[3] / 1e6:.1f} MB), restic {restic[0]:6.2f} s ({restic[1]:6.2f}, {restic[2]:4.0f},'
              f' +{restic[3] / 1e6:.1f}); ratio {ratio:.3f}, cpu {ours[1] / restic[1]:.3f}; {words}', flush=True)
        met = met and (goal is None or ratio <= goal)
        more = [verdict('MiB', round(ours[2], 1), round(min(memory, restic[2]), 1))]
        if (corpus, phase) in STORED_GOALS:
            more.append(verdict('stored ratio', ours[3] / restic[3], STORED_GOALS[corpus, phase]))
        print(f'{corpus} {phase:9}:   ' + '; '.join(text for text, _ in more), flush=True)
        met = met and all(good for _, good in more)
    return met


def main():
    """Makes each corpus, and runs both programs over it."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    for name in SIZES:
        parser.add_argument(f'--{name}', dest='size', action='store_const', const=name, default='middle')
    for name in ('a', 'b', 'c', 'd', 'rounds'):
        parser.add_argument(f'--{name}', type=int)
    parser.add_argument('--only', action='append', choices=['A', 'B', 'C', 'D'])
    parser.add_argument('--no-verify', action='store_true')
    parser.add_argument('--strict', action='store_true')
    options = parser.parse_args()
    for name, value in SIZES[options.size].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.build = pathlib.Path(os.environ.get('BACKUPX_BUILD', 'build')).resolve()
    corpora = {
        'A': (lambda f: make_a(f, options.a), {'changed': change_a}),
        'B': (lambda f: make_b(f, options.b), {'changed': change_b}),
        'C': (lambda f: make_c(f, options.c), {'changed': change_c, 'scattered': scatter_c}),
        'D': (lambda f: make_d(f, options.d), {'changed': change_d}),
    }
    met = True
    folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-bench-', dir='/var/tmp'))
    try:
        sides = [Side(folder, 'ours', options), Side(folder, 'restic', options)]
        for corpus in options.only or corpora:
            make, changes = corpora[corpus]
            source = folder / 'source'
            source.mkdir()
            apart(make, source)
            # A minute of restic's time is enough for a file that is next to nothing but holes.
            rounds = 1 if corpus == 'D' else options.rounds
            met = report(measure(corpus, source, changes, sides, rounds), memory_goal(source)) and met
            if corpus == 'B':
                text, good = verdict('one file  : MiB read of the storage', one_file(source, sides[0]), ONE_FILE_GOAL)
                print(f'B {text}', flush=True)
                met = met and good
            shutil.rmtree(source)
    finally:
        shutil.rmtree(folder)
    return 0 if met or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
