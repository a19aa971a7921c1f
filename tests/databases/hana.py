# SPDX-License-Identifier: Apache-2.0
"""The database's side of Backint: what SAP HANA does with its hdbbackint, by the published interface. Pieces go
through named pipes that this side makes, opens and fills (or empties) in the order of the input file, several at
a time; answers are read from the output file."""

import hashlib
import os
import random
import shlex
import stat
import subprocess
import sys
import threading

# A program in between: what a child of ours has at its peak begins with what we have.
MEASURE = """import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], 'w') as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""
HEAD = '#SOFTWAREID "backint 1.04" "HANA HDB server 2.00.059.00"'


def quote(word):
    """A word of the input file."""
    return '"' + word.replace('"', '\\"') + '"'


def blocks(pid, number):
    """Whether a process keeps this signal for later, as one that looks after it by itself does."""
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        mask = next(line.split()[1] for line in file if line.startswith('SigBlk:'))
    return int(mask, 16) >> number - 1 & 1 == 1


class Piece:
    """A piece of the database: bytes made from a seed, never held whole."""

    def __init__(self, path, size, seed):
        self.path, self.size, self.seed = path, size, seed

    def blocks(self):
        """Its bytes: half of them can be compressed."""
        left, source = self.size, random.Random(self.seed)
        while left > 0:
            block = source.randbytes(32768) + bytes([source.randrange(256)]) * 32768
            yield block[:left]
            left -= len(block)

    def digest(self):
        """SHA-256 of all of it."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


class Streams:
    """Threads that work off a list of pipes in its order, as the services of the database do."""

    def __init__(self, work, items, count):
        self.work, self.items, self.lock, self.next = work, items, threading.Lock(), 0
        self.results = [None] * len(items)
        self.stopped = False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopped:
            with self.lock:
                at, self.next = self.next, self.next + 1
            if at >= len(self.items):
                return
            try:
                self.results[at] = self.work(self.items[at])
            except OSError as error:
                self.results[at] = error

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.results

    def release(self, paths):
        """Lets go of threads that wait for the other end of a pipe that nobody will open any more."""
        self.stopped = True
        while any(thread.is_alive() for thread in self.threads):
            for path in paths:
                try:
                    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
                except OSError:
                    pass
            for thread in self.threads:
                thread.join(0.01)
        return self.results


class Answers:
    """The output file."""

    def __init__(self, text):
        self.lines = []
        self.comments = []
        for line in text.splitlines():
            if line.startswith('#'):
                self.lines.append(self.split(line))
            else:
                self.comments.append(line.strip())

    @staticmethod
    def split(line):
        lexer = shlex.shlex(line, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.quotes, lexer.escape = True, '', '"', '\\'
        return list(lexer)

    def of(self, keyword):
        """The words behind a keyword, in order."""
        return [line[1:] for line in self.lines if line[0] == keyword]


class Hana:
    """A database with its folder for pipes."""

    def __init__(self, program, parameters, folder, user='HDB'):
        self.program, self.parameters, self.folder, self.user = program, parameters, folder, user
        self.calls = 0
        self.memory = 0  # bytes, at its peak: of the last call that was measured

    def pipe(self, name):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            os.mkfifo(path)
        return path

    def start(self, function, lines, measured=False, **more):
        """Calls the program, as the database does; the path of its answers is in .output."""
        self.calls += 1
        base = os.path.join(self.folder, f'call{self.calls}')
        with open(base + '.in', 'w', encoding='utf-8') as file:
            file.write('\n'.join([HEAD, *lines]) + '\n')
        if 'user' in more:
            with open(base + '.out', 'w', encoding='utf-8'):
                os.chmod(base + '.out', 0o666)
            os.chmod(base + '.in', 0o644)
        command = [*self.program, '-f', function, '-u', self.user, '-i', base + '.in', '-o', base + '.out',
                   '-p', self.parameters, '-c', str(len(lines))]
        if function == 'backup':
            command += ['-s', '1700000000000', '-l', 'COMPLETE']
        if measured:
            command = [sys.executable, '-c', MEASURE, base + '.peak', *command]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, **more)
        process.output, process.peak = base + '.out', base + '.peak' if measured else None
        return process

    @staticmethod
    def answers(process):
        """What was answered up to now."""
        try:
            with open(process.output, encoding='utf-8') as file:
                return Answers(file.read())
        except FileNotFoundError:
            return Answers('')

    def finish(self, process, status=0):
        """The answers at the end; the exit status has to be this one."""
        said = process.communicate(timeout=300)[0]
        if process.peak:
            with open(process.peak, encoding='ascii') as file:
                self.memory = int(file.read()) * 1024
        answers = self.answers(process)
        assert process.returncode == status, (process.returncode, said, answers.lines, answers.comments)
        return answers

    def call(self, function, lines, status=0, **more):
        return self.finish(self.start(function, lines, **more), status)

    # --- Backup and restore ---

    @staticmethod
    def send(piece):
        """The service that writes a piece."""
        with open(piece.path, 'wb', buffering=0) as pipe:
            for block in piece.blocks():
                view = memoryview(block)
                while view:
                    view = view[pipe.write(view):]

    @staticmethod
    def receive(path):
        """The service that reads one: its size and digest."""
        digest, size = hashlib.sha256(), 0
        with open(path, 'rb', buffering=0) as pipe:
            while block := pipe.read(1 << 20):
                digest.update(block)
                size += len(block)
        return size, digest.hexdigest()

    def start_backup(self, pieces, streams, work=None, **more):
        for piece in pieces:
            assert stat.S_ISFIFO(os.stat(piece.path).st_mode)
        process = self.start('backup', [f'#PIPE {quote(p.path)}' for p in pieces], **more)
        return process, Streams(work or self.send, pieces, streams)

    def back_up(self, pieces, streams=8):
        """path -> EBID of pieces that all have to be saved."""
        process, threads = self.start_backup(pieces, streams)
        answers = self.finish(process)
        threads.join()
        saved = {path: (ebid, int(size)) for ebid, path, size in answers.of('#SAVED')}
        assert len(saved) == len(pieces), (len(saved), answers.comments)
        assert all(saved[p.path][1] == p.size for p in pieces)
        assert not answers.of('#ERROR')
        return {path: ebid for path, (ebid, _) in saved.items()}

    def restore(self, wanted, streams=8):
        """[(EBID or None, path)] through pipes of their own: (size, digest) of each."""
        places = [self.pipe(f'r{i}') for i in range(len(wanted))]
        lines = [f'#EBID {quote(e)} {quote(p)} {quote(to)}' if e else f'#NULL {quote(p)} {quote(to)}'
                 for (e, p), to in zip(wanted, places)]
        process = self.start('restore', lines, measured=True)
        threads = Streams(self.receive, places, streams)
        answers = self.finish(process)
        results = threads.join()
        told = {path for _, path in answers.of('#RESTORED')}
        assert told == {path for _, path in wanted}, answers.comments
        return results
