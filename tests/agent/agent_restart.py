#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that is killed at any moment takes up again what it had: nothing is lost, nothing done twice."""

import array
import errno
import os
import random
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

from agent_case import AGENT, FAKE_JOB, AgentCase
from fake_master import Reply


class RestartCase(AgentCase):
    """An agent that is killed at any moment, with jobs that do as they are told."""

    job = FAKE_JOB

    def kill_at_random(self, start, kill):
        """While commands come and go."""
        rounds = 60 if os.environ.get('BACKUPX_TEST_LONG') else 12
        commands = []
        start()
        for _ in range(rounds):
            commands.append(self.master.add('backup', self.backup('hang', seconds=random.random())))
            time.sleep(random.random() * 0.4)
            kill()
            start()
        for command in commands:
            result = self.master.finished(command)
            self.assertEqual(result['status'], 'succeeded', result)
        self.wait_clean()
        names = [name for name, _ in self.jobs()]
        self.assertEqual(len(names), len(set(names)), 'an attempt was done twice')


class Children(RestartCase):
    """Without a service manager: jobs are children, and live on as orphans."""

    def test_job_lives_on(self):
        """The lock is its sign of life; the next agent renews its lease and delivers its result."""
        self.start()
        # Its first heartbeat is not to be taken for one of the next agent.
        self.master.wait(lambda: self.master.heartbeats, what='a heartbeat')
        command = self.master.add('backup', self.backup('hang', seconds=90))
        self.wait_job('1-1')
        self.kill()
        beats = len(self.master.heartbeats)
        self.start()
        self.master.wait(lambda: len(self.master.heartbeats) > beats, what='a heartbeat')
        self.assertEqual(self.master.heartbeats[-1]['running'], [{'command': 1, 'attempt': 1}])
        self.release()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['attempt']), ('succeeded', 1))
        self.assertEqual(command.lines.get(9), 'left')
        self.assertEqual(len(self.jobs()), 1)
        self.wait_clean()

    def test_cancel_of_an_orphan(self):
        """It is reached by a signal."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        self.wait_job('1-1')
        self.kill()
        self.start()
        command.cancel = True
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')

    def test_job_is_gone(self):
        """No line, no lock, no result: said at once."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        pid = self.wait_job('1-1')
        self.kill()
        self.end_process(pid)
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'AGENT_RESTARTED'))
        self.wait_clean()

    def test_killed_before_the_accept(self):
        """Delivered and not accepted: delivered again, and done once."""
        self.master.script('/accept', Reply(503, delay=20))
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.master.wait(lambda: self.master.count('/accept'), what='the accept')
        self.kill()
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['attempt']), ('succeeded', 2))
        self.assertEqual([name for name, _ in self.jobs()], ['1-2'])
        self.assertEqual(command.results, 1)
        self.wait_clean()

    def kill_behind_the_accept(self):
        """Accepted, but the answer never came: the next agent knows that it was not begun."""
        self.master.script('/accept', 'lost', Reply(503, delay=20))
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.master.wait(lambda: command.state == 'accepted', what='the accept')
        self.kill()
        self.assertEqual(self.leftovers(), ['command-1-1.job', 'command-1-1.todo'])
        return command

    def test_killed_behind_the_accept(self):
        """It is given back, delivered again, and done once."""
        command = self.kill_behind_the_accept()
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['attempt']), ('succeeded', 2))
        self.assertEqual([name for name, _ in self.jobs()], ['1-2'])
        self.wait_clean()

    def test_killed_behind_the_accept_under_an_older_master(self):
        """One that does not know of commands that are given back: the run is not left open."""
        self.master.knows_unstarted = False
        command = self.kill_behind_the_accept()
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'AGENT_RESTARTED'))
        self.assertEqual(self.jobs(), [])
        self.wait_clean()

    def test_mark_of_another_boot(self):
        """What was not synced before a power failure proves nothing."""
        command = self.kill_behind_the_accept()
        (self.results / 'command-1-1.todo').write_text('0' * 32)
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'AGENT_RESTARTED'))
        self.assertEqual(self.jobs(), [])

    def test_killed_while_the_job_starts(self):
        """It said hello too late: it ends without orders, and the command is done by another."""
        late = self.folder / 'late-job'
        late.write_text(
            f'#!/bin/sh\ntouch {self.folder}/asked\nuntil [ -e {self.folder}/killed ]; do sleep 0.05; done\n'
            f'exec {FAKE_JOB}\n'
        )
        late.chmod(0o755)
        self.job = late
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.master.wait((self.folder / 'asked').exists, what='the job being started')
        self.kill()
        (self.folder / 'killed').touch()
        self.job = FAKE_JOB
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['attempt']), ('succeeded', 2))
        self.assertEqual([name for name, _ in self.jobs()], ['1-2'])
        self.wait_clean()

    def orders_are_sent(self):
        """The job's lock is taken before it is sent with them; the mark of what is not begun is older."""
        there = self.leftovers()
        return 'command-1-1.lock' in there and 'command-1-1.todo' not in there

    def start_with_slow_job(self):
        """An agent whose jobs do not read their orders until the file is there that this names."""
        gate = self.folder / 'gate'
        self.job = self.folder / 'slow-job'
        self.job.write_text(f'#!/bin/sh\nBACKUPX_FAKE_GATE={gate} exec {FAKE_JOB}\n')
        self.job.chmod(0o755)
        self.start()
        return gate

    def test_killed_before_the_job_reads_its_orders(self):
        """They are sent, and the job is slow: it is alive all the same, and its result is awaited."""
        gate = self.start_with_slow_job()
        command = self.master.add('backup', self.backup('hang', seconds=0))
        self.master.wait(self.orders_are_sent, what='the orders')
        self.assertEqual(self.jobs(), [])
        self.kill()
        self.start()
        gate.touch()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['attempt']), ('succeeded', 1))
        self.assertEqual([name for name, _ in self.jobs()], ['1-1'])
        self.wait_clean()

    def test_cancelled_before_the_job_reads_its_orders(self):
        """The next agent reaches it although it has not said anything since."""
        self.start_with_slow_job()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        self.master.wait(self.orders_are_sent, what='the orders')
        self.kill()
        command.cancel = True
        self.start()
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')

    def test_result_waits_for_the_master(self):
        """An outage from before the end of the job until after a restart of the agent."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=90))
        self.wait_job('1-1')
        self.master.close()
        self.release()
        self.master.wait(lambda: 'command-1-1.json' in self.leftovers(), what='the result on disk')
        self.kill()
        self.start()
        time.sleep(0.5)
        self.master.open()
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.wait_clean()

    def test_damaged_result_file(self):
        """Not silence: failed, with a code of its own."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        pid = self.wait_job('1-1')
        self.kill()
        self.end_process(pid)
        (self.results / 'command-1-1.json').write_text('{"status":"succ')
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'RESULT_UNREADABLE'))
        self.wait_clean()

    def test_foreign_files(self):
        """What is not ours is left alone."""
        self.results.mkdir(parents=True)
        for name in ('command-1-1.json.tmp', 'command-x-1.json', 'notes', 'command-01-1.job'):
            (self.results / name).write_text('x')
        self.start()
        self.master.finished(self.master.add('backup', self.backup('quick')))
        self.master.wait(lambda: len(self.leftovers()) == 4, what='the foreign files alone')

    def test_random_kills(self):
        """Killed at random moments while commands come and go."""
        self.kill_at_random(self.start, self.kill)


class Manager:
    """The two things of a service manager that matter here: it starts a job for each connection to a job
    socket, and it keeps descriptors for a service."""

    def __init__(self, folder):
        self.stored = {}
        self.lock = threading.Lock()
        self.processes = []
        self.folder = folder
        self.notify = folder / 'manager.notify'
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notifications.bind(str(self.notify))
        (folder / 'run').mkdir()
        self.listening = []
        for name in ('backup', 'restore', 'probe'):
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(folder / 'run' / f'{name}.sock'))
            listening.listen()
            self.listening.append(listening)
            threading.Thread(target=self.serve, args=(listening,), daemon=True).start()
        threading.Thread(target=self.keep, daemon=True).start()

    def serve(self, listening):
        """Accept=yes."""
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            descriptor = line.fileno()
            self.processes.append(
                subprocess.Popen(
                    [FAKE_JOB], close_fds=False, preexec_fn=lambda fd=descriptor: os.dup2(fd, 3)
                )
            )
            line.close()

    def keep(self):
        """Takes the notifications as they come."""
        while True:
            try:
                select.select([self.notifications], [], [])
                self.take_notifications()
            except (OSError, ValueError):
                return

    def take_notifications(self):
        """FDSTORE=1 and FDSTOREREMOVE=1, as far as they came."""
        with self.lock:
            while select.select([self.notifications], [], [], 0)[0]:
                data, ancillary, _, _ = self.notifications.recvmsg(
                    65536, socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC
                )
                if not data:
                    raise OSError(errno.ESHUTDOWN, 'the end')
                fields = dict(line.split('=', 1) for line in data.decode().splitlines() if '=' in line)
                descriptors = array.array('i')
                for level, kind, content in ancillary:
                    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                        descriptors.frombytes(content)
                if fields.get('FDSTORE') == '1':
                    self.stored[fields['FDNAME']] = descriptors[0]
                elif fields.get('FDSTOREREMOVE') == '1':
                    descriptor = self.stored.pop(fields['FDNAME'], None)
                    if descriptor is not None:
                        os.close(descriptor)

    def start(self, environment, log):
        """The agent, with what is kept. What its predecessor told is looked at before its end, as systemd does."""
        self.take_notifications()
        names = list(self.stored)
        descriptors = [self.stored[name] for name in names]

        def prepare():
            spare = [os.dup(descriptor) for descriptor in descriptors]
            for i, descriptor in enumerate(spare):
                # Behind everything that may be in the way, then to its place.
                os.dup2(descriptor, 200 + i)
            for i in range(len(spare)):
                os.dup2(200 + i, 3 + i)

        # LISTEN_PID has to be the PID of the agent itself.
        command = ['/bin/sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', str(AGENT)]
        environment = {**environment, 'NOTIFY_SOCKET': str(self.notify)}
        if names:
            environment.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=':'.join(names))
        with open(log, 'ab') as file:
            return subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, close_fds=False, preexec_fn=prepare
            )

    def close(self):
        """The end of it all."""
        for listening in self.listening:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.notifications.shutdown(socket.SHUT_RDWR)
        self.notifications.close()
        for process in self.processes:
            process.kill()
            process.wait()


class Managed(RestartCase):
    """As under systemd: jobs are nobody's children, and their lines survive in the fd store."""

    def setUp(self):
        super().setUp()
        self.manager = Manager(self.folder)
        self.process = None

    def tearDown(self):
        if self.process:
            self.process.terminate()
            self.process.wait(90)
        self.manager.close()
        super().tearDown()

    def start_managed(self):
        """Starts the agent."""
        self.process = self.manager.start(self.environment(), self.folder / 'agent.log')

    def kill_managed(self):
        """Kills it."""
        self.process.kill()
        self.process.wait()

    def test_line_is_kept(self):
        """Held again: cancel and result go over the old line."""
        self.start_managed()
        command = self.master.add('backup', self.backup('tick', seconds=60))
        self.master.wait(lambda: command.progress, what='progress')
        self.master.wait(lambda: list(self.manager.stored) == ['command-1-1'], what='the line in the fd store')
        self.kill_managed()
        time.sleep(1)
        seen = len(command.progress)
        self.start_managed()
        self.master.wait(lambda: len(command.progress) > seen, what='progress through the new agent')
        command.cancel = True
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')
        self.wait_clean()
        self.master.wait(lambda: not self.manager.stored, what='an empty fd store')

    def test_stop_leaves_jobs(self):
        """A stop is no cancel: the job goes on."""
        self.start_managed()
        command = self.master.add('backup', self.backup('hang', seconds=90))
        self.wait_job('1-1')
        self.process.terminate()
        self.assertEqual(self.process.wait(60), 0)
        self.start_managed()
        self.release()
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertEqual(command.results, 1)

    def test_killed_job(self):
        """Its line ends."""
        self.start_managed()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        os.kill(self.wait_job('1-1'), signal.SIGKILL)
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'JOB_KILLED'))

    def test_random_kills(self):
        """Killed at random moments; the lines are kept each time."""
        self.kill_at_random(self.start_managed, self.kill_managed)


if __name__ == '__main__':
    unittest.main()
