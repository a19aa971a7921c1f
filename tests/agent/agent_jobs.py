#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs that hang, die, or talk nonsense each end in the right state."""

import os
import signal
import stat
import time
import unittest

from agent_case import FAKE_JOB, AgentCase


class Jobs(AgentCase):
    """Fake jobs, started by the agent itself."""

    job = FAKE_JOB

    def outcome(self, script, timeout=120):
        """Status and error code of a job that does this."""
        result = self.master.finished(self.master.add('backup', self.backup(script)), timeout)
        return result['status'], (result.get('error') or {}).get('code')

    def test_cancel_by_progress(self):
        """The answer to progress says so: it takes less than a heartbeat."""
        self.start()
        command = self.master.add('backup', self.backup('tick', seconds=60))
        self.master.wait(lambda: command.progress, what='progress')
        start = time.monotonic()
        command.cancel = True
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')
        self.assertLess(time.monotonic() - start, 30)
        self.wait_clean()

    def test_cancel_by_heartbeat(self):
        """A job that says nothing is reached, too."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        self.wait_job('1-1')
        command.cancel = True
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')

    def test_cancel_by_claim(self):
        """So is one by the answer of the long poll, which does not wait for the next heartbeat."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        self.wait_job('1-1')
        self.master.cancel_by_claim(command)
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')
        self.assertFalse(command.cancel, 'a heartbeat told it')

    def test_killed(self):
        """No result: failed, with the code of a lost job."""
        self.start()
        self.assertEqual(self.outcome('die'), ('failed', 'JOB_KILLED'))
        self.master.wait(lambda: 'ended by signal 9' in self.log_text(), what='the agent telling the signal')
        self.wait_clean()

    def test_killed_from_outside(self):
        """As systemctl kill does."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        os.kill(self.wait_job('1-1'), signal.SIGKILL)
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'JOB_KILLED'))

    def test_cancelled_then_killed(self):
        """Who was cancelled and then died was cancelled."""
        self.start()
        command = self.master.add('backup', self.backup('deaf'))
        pid = self.wait_job('1-1')
        command.cancel = True
        self.master.wait(lambda: 'Cancelling' in self.log_text(), what='the cancel')
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')

    def test_nonsense(self):
        """A line that breaks the protocol is dropped; the job is watched until it ends."""
        self.start()
        self.assertEqual(self.outcome('nonsense'), ('failed', 'JOB_KILLED'))

    def test_bad_status(self):
        """A result that is none is none."""
        self.start()
        self.assertEqual(self.outcome('bad-status'), ('failed', 'JOB_KILLED'))

    def test_log_and_progress(self):
        """Every line once and in order; progress at most twice a second."""
        self.start()
        command = self.master.add('backup', self.backup('talk'))
        start = time.monotonic()
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertEqual(command.lines, {n: f'line {n}' for n in range(1, 1501)})
        posts = self.master.count('commands/1/progress')
        self.assertLessEqual(len(command.progress), 3 + 2 * (time.monotonic() - start))
        self.assertLessEqual(posts, 8 + 2 * (time.monotonic() - start))

    def test_long_log_behind_which_the_job_ends(self):
        """All of it comes before the result ends the command."""
        self.start()
        command = self.master.add('backup', self.backup('wordy'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertEqual([text.split()[1] for _, text in sorted(command.lines.items())],
                         [str(n) for n in range(1, 201)])

    def test_no_program(self):
        """Said, with the path; tried again a few times before."""
        self.job = self.folder / 'nothing'
        self.start()
        status, code = self.outcome('quick')
        self.assertEqual((status, code), ('failed', 'JOB_NOT_STARTED'))
        self.assertIn('nothing', self.master.commands[1].result['error']['message'])

    def test_program_that_fails_at_first(self):
        """The end of the line before a hello is 'not started, try again'."""
        counter = self.folder / 'counter'
        self.job = self.folder / 'job'
        self.job.write_text(
            f'#!/bin/sh\necho x >>{counter}\n[ $(wc -l <{counter}) -ge 3 ] || exit 1\n'
            f'exec {FAKE_JOB}\n'
        )
        self.job.chmod(self.job.stat().st_mode | stat.S_IXUSR)
        self.start()
        self.assertEqual(self.outcome('quick'), ('succeeded', None))
        self.assertEqual(counter.read_text().count('x'), 3)

    def test_closed_environment(self):
        """Nothing of the agent's environment but what is meant for jobs, and no other descriptor."""
        shown = self.folder / 'shown'
        self.job = self.folder / 'job'
        self.job.write_text(
            '#!/usr/bin/python3\nimport os, sys\n'
            f'open("{shown}.fd", "w").write(" ".join(os.listdir("/proc/self/fd")))\n'
            f'open("{shown}.env", "w").write(repr(os.environ))\n'
            f'open("{shown}.args", "w").write(repr(sys.argv))\n'
            f'os.execv("{FAKE_JOB}", ["{FAKE_JOB}"])\n'
        )
        self.job.chmod(0o755)
        self.start(SECRET_OF_THE_HOST='hunter2', BACKUPX_AGENT_TOKEN=self.master.token)
        self.assertEqual(self.outcome('quick'), ('succeeded', None))
        environment = (self.folder / 'shown.env').read_text()
        self.assertNotIn('hunter2', environment)
        self.assertNotIn(self.master.token, environment)
        self.assertNotIn('NOTIFY_SOCKET', environment)
        self.assertNotIn(self.master.token, (self.folder / 'shown.args').read_text())
        # The fourth is the folder that is read; the fifth the file that is written.
        self.assertLessEqual(set((self.folder / 'shown.fd').read_text().split()), set('012345'))

    def test_stop_of_the_agent(self):
        """Its own children end with it, and the master hears why."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        self.wait_job('1-1')
        self.assertEqual(self.agent.stop(), 0)
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'AGENT_STOPPED'))
        self.agent = None

    def test_stop_during_an_outage(self):
        """The result waits on disk for the next agent."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        self.wait_job('1-1')
        self.master.close()
        self.agent.stop()
        self.assertIn('command-1-1.json', self.leftovers())
        self.master.open()
        self.start()
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'AGENT_STOPPED'))
        self.wait_clean()


if __name__ == '__main__':
    unittest.main()
