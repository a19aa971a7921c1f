#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Repositories beside stock restic, and a sealed archive beside tar | zstd | age: time, processor time, memory and
size, in one run, as a table.

Corpora, the same for the same seed and machine: A is big files of random bytes, B a sample of this machine's
files in their directories, C a dump of SQL, D a sparse file, E one directory of small files. Each is backed up
first, unchanged, and with one percent changed; C also with one row of a hundred changed all over, which is what
"scattered" means; A also into a sealed archive, and with nothing opened again before its upload ("unverified").
Then the last snapshot is restored, and all data checked; of B one file is restored as well, with the index at
hand (warm) and without (cold), to see what is read for it. E shows what memory a large directory takes.

The two programs run in turn on the same disk, each on a repository that it made itself, and the medians of the
rounds are compared. Goals are ratios of time; those of processor time say the same where the machine is busy
with something else. A restore has ended when it is on the disk: for both of them a sync is part of it.

Nobody is to pay for what the other one, or a round before, left behind. ext4 without a journal passes over the
inodes that were deleted in the last minutes, one by one, whenever it needs a new one: so what has many files
stays until the end of the run, and six minutes should have passed since somebody else removed many. And memory
that lies free is taken back by the host of a virtual machine, which makes the next one who writes wait for each
page: so before each measurement what is free is filled with the cache of files of holes, which the kernel drops
at once when it wants memory. Before the first backup of a corpus all of it is read once, so that whoever comes
first finds it in memory as the other one does. Who comes first changes from round to round, and between the two
restores of a round.

--small: minutes less, and figures in which the start of the programs weighs more. --full: the sizes that the
goals were set with, up to 22 GB of disk. --a, --c: MiB of the corpus; --b, --e: its files; --d: MiB between two
blocks of data. --only A: that corpus. --minutes: a round begins only where it is likely to end within them; the first
always does. --corpora DIR: takes what was prepared there, and prepares what is not. --prepare: does no more than
that. --folder DIR: works below it. With --strict a goal that was missed is a failure.
"""

import argparse
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import corpora

PASSWORD = 'a password of the bench'
MIB = 1 << 20
# Files that may be removed between two measurements.
FEW = 1000

SIZES = {
    'small': {'a': 256, 'b': 5000, 'c': 128, 'd': 20, 'e': 20000, 'rounds': 1},
    'middle': {'a': 1024, 'b': 30000, 'c': 512, 'd': 102, 'e': 100000, 'rounds': 3},
    'full': {'a': 2048, 'b': 100200, 'c': 1000, 'd': 102, 'e': 300000, 'rounds': 3},
}
# Of time; of the archive, against the pipe.
GOALS = {
    ('A', 'archive'): 0.90, ('A', 'first'): 0.50, ('A', 'unverified'): 0.45, ('A', 'changed'): 0.35,
    ('A', 'restore'): 0.50, ('A', 'check'): 0.60,
    ('B', 'first'): 0.40, ('B', 'unchanged'): 0.15, ('B', 'changed'): 0.35, ('B', 'restore'): 0.50,
    ('B', 'check'): 0.60,
    ('C', 'first'): 0.50, ('C', 'changed'): 0.35, ('C', 'scattered'): 0.50, ('C', 'check'): 0.60,
    ('D', 'first'): 0.05, ('D', 'unchanged'): 0.05, ('D', 'restore'): 0.05, ('D', 'check'): 0.60,
}
CPU_GOALS = {('A', 'archive'): 1.15}
STORED_GOALS = {('A', 'first'): 1.02, ('B', 'first'): 1.02, ('A', 'changed'): 1.05, ('B', 'changed'): 1.05,
                ('C', 'changed'): 1.05}
# MiB that are read for one file of B; cold also the index.
ONE_FILE_GOAL = 2
# A round of them is enough: a minute of restic's time for a file that is next to nothing but holes; and memory.
ONCE = ('D', 'E')
# MiB that stay free: about what the kernel keeps free itself.
FREE_MOST, FREE_LEFT = 1536, 1024
# MiB of memory: for all, for a file of the largest directory, and for a blob in the index.
MEMORY, MEMORY_FILE, MEMORY_BLOB = 64, 0.1 / 1024, 96 / MIB


# A small program in between: what a child has at its peak begins with what its parent has.
MEASURE = """import os, resource, subprocess, sys, time
begun = time.monotonic()
status = subprocess.call(sys.argv[2:])
seconds = time.monotonic() - begun
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(int(sys.argv[1]), f'{seconds} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}'.encode())
sys.exit(status)
"""


def run(command, environment):
    """Runs a program: (seconds, processor seconds, MiB of memory)."""
    result, told = os.pipe()
    with open(result, encoding='ascii') as figures:
        done = subprocess.run([sys.executable, '-I', '-S', '-c', MEASURE, str(told), *command], env=environment,
                              check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[told])
        os.close(told)
        if done.returncode != 0:
            raise SystemExit(f'{command}: {done.stderr.decode(errors="replace")}')
        return tuple(map(float, figures.read().split()))


def apart(function, *arguments):
    """Calls it in a process of its own: memory of ours would count as that of the programs we start."""
    process = multiprocessing.Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f'{function.__name__} failed')


def files_below(folder):
    """Paths of files, in little memory: that of ours would count as that of the programs we start."""
    for where, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(where, name)


def read_all(folder):
    """Reads all files below, so that who comes first reads them from memory as well."""
    for path in files_below(folder):
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, 'rb', buffering=0) as file:
                while file.read(MIB):
                    pass


def stored(folder):
    """Bytes of all files below."""
    return sum(os.lstat(path).st_size for path in files_below(folder))


class Machine:
    """What is the same for whoever is measured next."""

    def __init__(self, folder):
        self.folder = folder / 'holes'
        self.folder.mkdir()
        self.filled = 0

    def settle(self):
        """All is on the disk, and no memory lies free that the host may have taken back."""
        os.sync()
        lines = pathlib.Path('/proc/meminfo').read_text(encoding='ascii').splitlines()
        free = next(int(line.split()[1]) // 1024 for line in lines if line.startswith('MemFree:'))
        if free <= FREE_MOST:
            return
        path = self.folder / str(self.filled)
        self.filled += 1
        path.touch()
        os.truncate(path, (free - FREE_LEFT) * MIB)
        subprocess.run(['cat', str(path)], check=True, stdout=subprocess.DEVNULL)


class Side:
    """One of the two programs with its repository."""

    def __init__(self, folder, name, options, machine, verify=True):
        self.name = name
        self.machine = machine
        self.verify = verify
        self.folder = folder / name
        self.environment = {**os.environ, 'RESTIC_PASSWORD': PASSWORD, 'RESTIC_CACHE_DIR': str(folder / 'cache')}
        self.options = options
        self.ahead = self.restored = 0

    def remove(self):
        """Removes the repository."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def init(self):
        """Makes an empty repository."""
        self.remove()
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
        self.machine.settle()
        if self.name == 'restic':
            command = ['restic', '-q', '-r', str(self.folder), 'backup', str(source)]
        else:
            # Each run says that it began later: the files, which are new, are to count as older.
            self.ahead += 1000
            command = [self.tool('backup-tool'), '--repository', str(self.folder), '--time-ahead', str(self.ahead),
                       *([] if self.verify else ['--no-verify']), str(source)]
        figures = run(command, self.environment)
        return (*figures, stored(self.folder) - before)

    def restore(self, source):
        """A restore of all, until it is on the disk. Many files stay there."""
        self.restored += 1
        target = self.folder.parent / f'restored-{self.name}-{self.restored}'
        target.mkdir()
        self.machine.settle()
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
        if sum(1 for _ in files_below(target)) <= FEW:
            shutil.rmtree(target)
        return figures

    def check(self, _):
        """A check of all data."""
        self.machine.settle()
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


class Archive:
    """A sealed archive, ours or by the pipe."""

    def __init__(self, folder, options, machine):
        self.machine = machine
        key = folder / 'key'
        subprocess.run(['age-keygen', '-o', str(key)], check=True, stderr=subprocess.DEVNULL)
        self.recipient = subprocess.check_output(['age-keygen', '-y', str(key)], text=True).strip()
        self.target, self.pipe = folder / 'archive', folder / 'pipe'
        self.tool = str(options.build / 'tests/storage/archive-tool')

    def ours(self, source):
        """One of ours."""
        self.target.mkdir()
        self.machine.settle()
        figures = run([self.tool, '--target', str(self.target), '--level', '3', '--recipient', self.recipient,
                       str(source)], os.environ)
        size = stored(self.target)
        shutil.rmtree(self.target)
        return (*figures, size)

    def peer(self, source):
        """What the pipe makes of it."""
        self.machine.settle()
        figures = run(['bash', '-euo', 'pipefail', '-c', f'tar -C / -cf - "{str(source)[1:]}" | zstd -q -T2 -3 |'
                       f' age -r {self.recipient} >"{self.pipe}"'], os.environ)
        size = self.pipe.stat().st_size
        self.pipe.unlink()
        return (*figures, size)


class Bench:
    """All corpora and what was measured."""

    def __init__(self, folder, options):
        self.begun = time.monotonic()
        self.folder = folder
        self.options = options
        self.corpora = {
            'A': (corpora.make_a, options.a, {'changed': corpora.change_a}),
            'B': (corpora.make_b, options.b, {'changed': corpora.change_b}),
            'C': (corpora.make_c, options.c, {'changed': corpora.change_c, 'scattered': corpora.scatter_c}),
            'D': (corpora.make_d, options.d, {}),
            'E': (corpora.make_e, options.e, {}),
        }
        for name in set(self.corpora) - set(options.only or self.corpora):
            del self.corpora[name]
        machine = Machine(folder)
        self.machine = machine
        self.sides = [Side(folder, name, options, machine) for name in ('ours', 'restic')]
        self.unverified = Side(folder, 'unverified', options, machine, verify=False)
        self.archive = Archive(folder, options, machine) if 'A' in self.corpora else None
        self.figures = {}  # (corpus, phase): by side: of each round
        self.memory = {}
        self.reads = []

    def prepare(self):
        """Makes the corpora, or takes those that are kept."""
        for name, (make, size, _) in self.corpora.items():
            source = self.folder / name
            kept = self.options.corpora / f'{name}-{size}' if self.options.corpora else None
            if not kept or not kept.exists():
                made = kept.with_suffix('.new') if kept else source
                shutil.rmtree(made, ignore_errors=True)
                made.mkdir(parents=True)
                apart(make, made, size)
                if kept:
                    made.rename(kept)
            if kept and not self.options.prepare:
                subprocess.run(['cp', '-a', str(kept), str(source)], check=True)

    def add(self, corpus, phase, side, figures):
        """One more measurement."""
        self.figures.setdefault((corpus, phase), {}).setdefault(side, []).append(figures)
        print(f'{corpus} {phase} {side}: {figures[0]:.2f} s, cpu {figures[1]:.2f} s, {figures[2]:.0f} MiB,'
              f' {figures[3] / 1e6:.1f} MB', flush=True)

    def extras_of_a(self, source, step):
        """Archive and pipe, and a first backup that is not verified."""
        works = [('ours', self.archive.ours), ('pipe', self.archive.peer)]
        for name, work in works if step % 2 else works[::-1]:
            self.add('A', 'archive', name, work(source))
        self.unverified.init()
        self.add('A', 'unverified', 'ours', self.unverified.backup(source))
        self.unverified.remove()

    def round(self, corpus, step):
        """All phases of a corpus."""
        source, changes = self.folder / corpus, self.corpora[corpus][2]
        for side in self.sides:
            side.init()
        if corpus == 'A':
            self.extras_of_a(source, step)
        if step == 1:
            self.memory[corpus] = memory_goal(source)
        if corpus != 'D':
            self.machine.settle()
            apart(read_all, source)
        restores = [] if corpus == 'E' else ['restore'] if corpus in ONCE else ['restore', 'restore']
        turn = step
        for phase in ('first', 'unchanged', *changes, *restores, 'check'):
            if phase in changes:
                apart(changes[phase], source, step)
            turn += phase == 'restore'
            for side in self.sides if turn % 2 else self.sides[::-1]:
                work = {'restore': side.restore, 'check': side.check}.get(phase, side.backup)
                self.add(corpus, phase, side.name, work(source))
        if corpus == 'B' and step == 1:
            self.reads = [one_file(source, self.sides[0], warm) for warm in (True, False)]
        for side in self.sides:
            side.remove()

    def run(self):
        """Rounds over all corpora, as many as there is time for; gives their number."""
        for step in range(1, self.options.rounds + 1):
            started = time.monotonic()
            for corpus in self.corpora:
                if corpus not in ONCE or step == 1:
                    self.round(corpus, step)
            now = time.monotonic()
            if self.options.minutes and 2 * now - started - self.begun > self.options.minutes * 60:
                return step
        return self.options.rounds


def one_file(source, side, warm):
    """MiB that a restore of one small file reads of our repository, and the most that it may read."""
    wanted = pathlib.Path(min(files_below(source), key=lambda path: (abs(os.lstat(path).st_size - 10240), path)))
    target, trace, cache = (side.folder.parent / name for name in ('restored', 'trace', 'cache-of-one'))
    environment = {**side.environment, **({'READ_TOOL_CACHE': str(cache)} if warm else {})}
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
    for path in (target, trace, cache):
        shutil.rmtree(path, ignore_errors=True)
    index = 0 if warm else stored(side.folder / 'index') / MIB
    return sum(int(n) for n in read if n.isdigit()) / MIB, ONE_FILE_GOAL + index


class Table:
    """Lines of cells; and whether all goals in them were met."""

    HEAD = ('what', 'goal', 'ratio', '', 'cpu ratio', 'ours s', 'peer s', 'ours MiB', 'bound', '', 'peer MiB', 'stored',
            'goal', '')

    def __init__(self):
        self.lines = [self.HEAD]
        self.missed = []

    def verdict(self, what, value, goal):
        """The word; empty where there is no goal."""
        if goal is None:
            return ''
        if value <= goal:
            return 'met'
        self.missed.append(what)
        return 'MISSED'

    def add(self, key, ours, peer, memory):
        """A phase: medians of both."""
        name = ' '.join(key)
        goal, cpu_goal, stored_goal = GOALS.get(key), CPU_GOALS.get(key), STORED_GOALS.get(key)
        ratio, cpu = ours[0] / peer[0], ours[1] / peer[1]
        # What a run adds that finds nothing new is not worth a ratio.
        size = ours[3] / peer[3] if peer[3] > MIB / 10 and key[1] != 'restore' else 0
        bound = memory if key[1] == 'archive' else min(memory, peer[2])
        more = f' of {cpu_goal} {self.verdict(name + " cpu", cpu, cpu_goal)}' if cpu_goal else ''
        self.lines.append((
            name, f'{goal:.2f}' if goal else '-', f'{ratio:.3f}', self.verdict(name, ratio, goal), f'{cpu:.3f}{more}',
            f'{ours[0]:.2f}', f'{peer[0]:.2f}', f'{ours[2]:.1f}', f'{bound:.1f}',
            self.verdict(name + ' memory', ours[2], bound), f'{peer[2]:.0f}', f'{size:.3f}' if size else '-',
            f'{stored_goal:.2f}' if stored_goal else '-', self.verdict(name + ' stored', size, stored_goal)))

    def print(self):
        """All of it."""
        widths = [max(len(line[i]) for line in self.lines) for i in range(len(self.HEAD))]
        for line in self.lines:
            print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def report(bench, rounds):
    """Prints the table; gives whether all goals were met."""
    table = Table()
    for key, by_side in bench.figures.items():
        peers = by_side.get('restic') or by_side.get('pipe') or bench.figures[key[0], 'first']['restic']
        table.add(key, *([statistics.median(f[column] for f in figures) for column in range(4)]
                         for figures in (by_side['ours'], peers)), bench.memory[key[0]])
    print(f'\nMedians of {rounds} rounds (D, E: 1; of restores twice as many). Peer: restic; of the archive'
          ' tar | zstd -T2 | age. The bound of memory is the lower one of the goal and of what restic took.')
    table.print()
    for name, (read, goal) in zip(('warm', 'cold'), bench.reads):
        print(f'B one file, {name}: {read:.2f} MiB read of the storage, goal {goal:.2f}:'
              f' {table.verdict("B one file " + name, read, goal)}')
    print(f'Missed: {", ".join(table.missed) or "nothing"}', flush=True)
    return not table.missed


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n\n')[0])
    for name in SIZES:
        parser.add_argument(f'--{name}', dest='size', action='store_const', const=name, default='middle')
    for name in ('a', 'b', 'c', 'd', 'e', 'rounds', 'minutes'):
        parser.add_argument(f'--{name}', type=int)
    parser.add_argument('--only', action='append', choices=['A', 'B', 'C', 'D', 'E'])
    parser.add_argument('--corpora', type=pathlib.Path)
    parser.add_argument('--folder', default='/var/tmp')
    for name in ('--prepare', '--strict'):
        parser.add_argument(name, action='store_true')
    options = parser.parse_args()
    for name, value in SIZES[options.size].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.prepare and not options.corpora:
        parser.error('--prepare wants --corpora DIR')
    options.build = pathlib.Path(os.environ.get('BACKUPX_BUILD', 'build')).resolve()
    return options


def main():
    """Makes the corpora, and runs both programs over them."""
    options = parse()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-bench-', dir=options.folder))
    try:
        bench = Bench(folder, options)
        bench.prepare()
        met = options.prepare or report(bench, bench.run())
    finally:
        shutil.rmtree(folder)
    return 0 if met or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
