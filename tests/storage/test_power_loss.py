#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a power failure must not take back: nobody is told that something is done before the disk has it.

The real programs run under strace; their system calls are replayed against a model of a disk that forgets whatever
was not synced: bytes that were written behind the last fsync() or fdatasync() of their file, and names that were made
behind the last fsync() of their folder."""

import os
import re
import subprocess
import sys
import unittest

import backups
from suite import Suite, wait_until

CALLS = ('openat,openat2,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,'
         'mkdir,mkdirat,unlink,unlinkat,send,sendto,sendmsg,recvfrom,recvmsg,read')
LINE = re.compile(r'^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$')
FD = r'(?:AT_FDCWD|-?\d+)(?:<((?:[^<>]|<[^<>]*>)*)>)?'
NAME = r'"((?:[^"\\]|\\.)*)"'


class Call:
    """One system call: who, which, with what, and what it gave."""

    def __init__(self, process, name, text):
        self.process = process
        self.name = name
        self.text = text

    def failed(self):
        """Whether it did nothing."""
        return re.search(r'\) += -1 E', self.text) is not None

    def descriptor(self):
        """(number, path) of its first argument."""
        found = re.match(r'(-?\d+)<((?:[^<>]|<[^<>]*>)*)>', self.text)
        return (int(found[1]), found[2]) if found else (-1, '')

    def places(self):
        """The paths among its arguments: a descriptor of a folder and a name in it, or a name alone."""
        found = []
        for folder, name in re.findall(rf'(?:{FD}, )?{NAME}', self.text):
            found.append(os.path.normpath(os.path.join(folder or '/', name)))
        return found


def calls_of(text):
    """The calls of a trace, in the order in which they ended; those that send count from their begin."""
    open_calls = {}
    for line in text.splitlines():
        found = LINE.match(line)
        if not found:
            continue
        process, resumed, name, rest = found.groups()
        if resumed:
            begun = open_calls.pop(process, '')
            if not resumed.startswith('send') and begun is not None:
                yield Call(int(process), resumed, begun + rest)
        elif rest.endswith('<unfinished ...>'):
            begun = rest.removesuffix('<unfinished ...>').rstrip()
            open_calls[process] = begun
            if name.startswith('send'):
                yield Call(int(process), name, begun)
        else:
            yield Call(int(process), name, rest)


class Disk:
    """Below some folders: files with bytes, and folders with names, that a power failure would take."""

    def __init__(self, *folders):
        self.folders = [f'{folder}/' for folder in folders]
        self.files = set()
        self.names = {}  # folder -> names
        self.made = set()
        self.opened = {}  # (process, descriptor) -> path
        self.faults = []

    def watches(self, path):
        """Whether it is one of ours; temporary files of SQLite are nobody's loss."""
        return any(f'{path}/'.startswith(folder) for folder in self.folders) and not path.endswith('-shm')

    def named(self, path, source=None):
        """A name was made; its content has to be there first."""
        if not self.watches(path):
            return
        if source in self.files:
            self.faults.append(f'{path} got its name before its content was synced')
            self.files.discard(source)
        self.names.setdefault(os.path.dirname(path), set()).add(path)
        self.made.add(path)

    def take(self, call):
        """One call of a program."""
        if call.failed():
            return
        number, path = call.descriptor()
        if call.name in ('write', 'pwrite64', 'writev', 'pwritev', 'ftruncate'):
            if self.watches(path):
                self.files.add(path)
        elif call.name in ('fsync', 'fdatasync'):
            self.files.discard(path)
            self.names.pop(path, None)
        elif call.name in ('rename', 'renameat', 'renameat2', 'link', 'linkat'):
            source, target = call.places()[:2]
            if '/proc/self/fd/' in call.text:
                source = self.opened.get((call.process, int(re.search(r'/proc/self/fd/(\d+)', call.text)[1])))
            self.named(target, source)
        elif call.name in ('mkdir', 'mkdirat'):
            self.named(call.places()[0])
        elif call.name in ('unlink', 'unlinkat'):
            gone = call.places()[0]
            self.files.discard(gone)
            self.names.get(os.path.dirname(gone), set()).discard(gone)
        if number >= 0:
            self.opened[call.process, number] = path

    def lost(self, *folders):
        """What a power failure would take now, of these folders."""
        names = {name for names in self.names.values() for name in names}
        return sorted(path for path in self.files | names
                      if any(f'{path}/'.startswith(f'{folder}/') for folder in folders))


class PowerLoss(backups.Case):
    """One run through real daemons; each law is read off the traces."""

    @classmethod
    def setUpClass(cls):
        if not backups.has_strace():
            raise unittest.SkipTest('needs strace')
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.close)
        names = ('api', 'scheduler', 'agent', 'enroll')
        cls.traces = {name: cls.suite.folder / f'{name}.trace' for name in names}
        # The tracer is nobody's parent, so that the programs stay the harness's children.
        cls.suite.wrap = {name: ['strace', '-f', '-D', '-y', '-qq', '-s', '400', '-e', f'trace={CALLS}', '-e',
                                 'signal=none', '-A', '-o', path] for name, path in cls.traces.items()}
        cls.suite.wrap['job'] = []  # traced with the agent that starts it
        cls.suite.start()
        cls.source = cls.suite.folder / 'source'
        cls.source.mkdir()
        (cls.source / 'large').write_bytes(os.urandom(9 << 20))
        targets = [cls.suite.make_target('disk'), cls.suite.make_target('relay', kind='relay')]
        cls.run_of = cls.suite.backup(cls.suite.make_task([cls.source], targets, 'power'))
        cls.other = cls.suite.folder / 'other'
        cls.enroll(cls.suite.client.post('nodes', {'name': 'other'})['id'])
        cls.rotate()
        cls.suite.stop()

    @classmethod
    def enroll(cls, node):
        """Another agent, with the one-time token of an install link."""
        given = cls.suite.folder / 'given'
        given.write_text(cls.suite.client.post(f'nodes/{node}/enrollment')['token'])
        environment = cls.suite.agent_environment(
            BACKUPX_AGENT_TOKEN_FILE=given, BACKUPX_AGENT_STATE_DIR=cls.other
        )
        command = [str(word) for word in (*cls.suite.wrap['enroll'], cls.suite.program('agent'), 'enroll')]
        subprocess.run(command, env=environment, check=True, timeout=120)

    @classmethod
    def rotate(cls):
        """A new token for the agent that is there; it is handed over with the first heartbeat of a start."""
        assert cls.suite.client.post('nodes/1/rotate-token')['handed_over']
        cls.suite.restart('agent')
        token = cls.suite.agent_state / 'token'
        wait_until(token.exists, 60, 'the new token')
        heard = len(re.findall('POST /api/v1/agent/', cls.traces['agent'].read_text(errors='replace')))
        wait_until(
            lambda: len(re.findall('POST /api/v1/agent/', cls.traces['agent'].read_text(errors='replace')))
            > heard + 1,
            60,
            'the use of it',
        )

    def setUp(self):
        super().setUp()
        self.assertEqual(self.run_of['state'], 'succeeded', self.run_of)
        self.keys = {t['target_id']: t['key'] for t in self.run_of['targets']}

    def replay(self, name, *folders):
        """(call, disk before it) of a program's trace."""
        disk = Disk(*folders)
        for call in calls_of(self.traces[name].read_text(errors='replace')):
            yield call, disk
            disk.take(call)
        self.assertEqual(disk.faults, [])

    def test_answers_of_the_api(self):
        """A success is told when the database has it, and an object of the relay when its name is kept."""
        state = self.suite.master_state
        log, relay = str(state / 'backupx.db-wal'), state / 'relay'
        asked, answered, synced = {}, [], set()
        for call, disk in self.replay('api', state):
            _, path = call.descriptor()
            request = re.search(r'"(POST|PUT|DELETE) (/api/v1/\S*)', call.text)
            if call.name in ('recvfrom', 'recvmsg', 'read') and request:
                asked[path] = request[2]
                synced.discard(path)
            elif call.name in ('fsync', 'fdatasync') and path == log:
                synced.update(asked)
            elif call.name.startswith(('send', 'write')) and 'HTTP/1.1 2' in call.text and path in asked:
                what = asked.pop(path)
                self.assertNotIn(log, disk.files, f'{what} was answered before the database had it')
                answered.append(what)
                if re.search(r'/(accept|result|enroll|enrollment|rotate-token)$|/(nodes|targets|tasks)$', what):
                    self.assertIn(path, synced, f'{what} was answered without a sync')
                if 'commit=' in what:
                    key = what.partition('/relay/')[2].partition('?')[0]
                    self.assertIn(str(relay / key), disk.made)
                    self.assertEqual(disk.lost(relay / key, relay), [], what)
        for part in ('/accept', '/result', '/nodes', '/tasks', '/enrollment', '/agent/enroll', '/rotate-token'):
            self.assertTrue([what for what in answered if what.endswith(part)], (part, answered))
        self.assertEqual(len([what for what in answered if 'commit=' in what]), 3, answered)

    def test_runs_of_the_scheduler(self):
        """A run that is told on the bus is in the database."""
        state = self.suite.master_state
        told = 0
        for call, disk in self.replay('scheduler', state):
            if call.name == 'sendmsg' and 'RunQueued' in call.text:
                told += 1
                self.assertEqual(disk.lost(state / 'backupx.db-wal'), [])
                self.assertTrue([path for path in disk.opened.values() if path.endswith('-wal')])
        self.assertGreater(told, 0)

    def test_files_of_the_agent(self):
        """The identity before anybody hears of it, a new token before it is used; the note of a run's command before
        it is accepted; its result before the job may forget it."""
        state = self.suite.agent_state
        heard, used, accepted, acknowledged = 0, False, {}, []
        for call, disk in self.replay('agent', state):
            if not call.name.startswith(('send', 'write')):
                continue
            made = {os.path.basename(path) for path in disk.made}
            kept = [path for path in disk.lost(state) if re.search(r'/(identity|agent-id|token)$|\.json$|\.job$', path)]
            if re.search(r'POST /api/v1/agent/', call.text):
                heard += 1
                used = used or 'token' in made
                self.assertEqual(kept, [], call.text)
                self.assertTrue({'identity', 'agent-id'} <= made, made)
            found = re.search(r'POST \S*/commands/(\d+)/accept ', call.text)
            if found:
                accepted[found[1]] = f'command-{found[1]}-1.job' in made
            if r'\"type\":\"ack\"' in call.text:
                self.assertEqual(kept, [])
                acknowledged.append({name for name in made if name.endswith('.json')})
        self.assertGreater(heard, 2)
        self.assertTrue(used, 'the new token was not handed over')
        # Probes have neither note nor result file: nobody waits for them behind a restart.
        noted = [number for number, was in accepted.items() if was]
        self.assertEqual(len(noted), 1, accepted)
        self.assertEqual(acknowledged[-1], {f'command-{noted[0]}-1.json'})

    def test_enrolment(self):
        """The identity before the one-time token is spent for it; the node's token before the installer goes on."""
        spent, disk = 0, None
        for call, disk in self.replay('enroll', self.other):
            if call.name.startswith(('send', 'write')) and 'POST /api/v1/agent/enroll' in call.text:
                spent += 1
                made = {os.path.basename(path) for path in disk.made}
                self.assertIn('identity', made)
                self.assertEqual(disk.lost(self.other), [])
        self.assertEqual(spent, 1)
        self.assertIn(str(self.other / 'token'), disk.made)
        self.assertEqual(disk.lost(self.other), [])

    def test_objects_of_a_local_target(self):
        """All of an archive, its folders too, before the job says that it succeeded; the manifest last."""
        target = self.suite.storage / 'disk'
        told = 0
        for call, disk in self.replay('agent', target):
            objects = [path for path in disk.made if '.zst' in path]
            if call.name.startswith(('link', 'rename')) and '"manifest' in call.text:
                self.assertEqual(len(objects), 2, disk.made)
                self.assertEqual(disk.lost(*objects), [], 'the manifest came before what it commits')
            if call.name.startswith(('send', 'write')) and r'\"type\":\"result\"' in call.text and objects:
                told += 1
                self.assertEqual(len(objects), 3, disk.made)
                self.assertEqual(disk.lost(target), [])
        self.assertGreater(told, 0)


if __name__ == '__main__':
    sys.exit(unittest.main(verbosity=2))
