#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Commands are done once, whatever happens to requests and answers."""

import unittest

from agent_case import FAKE_JOB, AgentCase
from fake_master import Reply


class Delivery(AgentCase):
    """Between the claim and the acknowledged result."""

    job = FAKE_JOB

    def test_one_command(self):
        """The ordinary way."""
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        result = self.master.finished(command)
        self.assertEqual(result['status'], 'succeeded')
        self.assertEqual(result['result'], {'files': 1})
        self.assertEqual(command.results, 1)
        self.wait_clean()
        self.assertEqual([name for name, _ in self.jobs()], ['1-1'])

    def test_lost_accept_reply(self):
        """The accept is told again; the job runs once."""
        self.master.script('/accept', 'lost', 'lost')
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertEqual(command.attempt, 1)
        self.assertEqual(len(self.jobs()), 1)

    def test_lost_result_reply(self):
        """The result is told until it is acknowledged."""
        self.master.script('/result', 'lost', Reply(503), Reply(0))
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.master.wait(lambda: command.results == 2, what='a second result')
        self.wait_clean()
        self.assertEqual(len(self.jobs()), 1)

    def test_lost_claim_reply(self):
        """What was delivered into the void is delivered again with the next attempt."""
        self.start()
        self.master.wait(lambda: self.master.claims, what='a claim')
        self.master.script('claim', 'lost')
        self.agent.stop()
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')

    def test_stale_accept(self):
        """409: dropped without a word, and nothing is started; the next claim does not hold it any more."""
        self.master.script('/accept', Reply(409, code='COMMAND_ATTEMPT_STALE'))
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.wait_clean()
        self.assertEqual([name for name, _ in self.jobs()], ['1-2'])
        self.assertEqual(self.master.count('/result'), 1)

    def test_gone_while_running(self):
        """410: the job is cancelled, and its result is nobody's."""
        self.start()
        command = self.master.add('backup', self.backup('tick', seconds=60))
        self.master.wait(lambda: command.progress, what='progress')
        command.state = 'timeout'
        self.wait_clean()
        self.assertEqual(self.master.count('/result'), 0)
        self.assertEqual(command.results, 0)

    def test_same_delivery_twice(self):
        """A repeated delivery of an attempt that is held is no second job."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=90))
        self.wait_job('1-1')
        self.master.script('claim', Reply(data={'commands': [command.delivery()]}))
        self.master.add('self_check', {})
        self.master.wait(lambda: not self.master.scripts[-1][1], what='the second delivery')
        claims = self.master.count('claim')
        self.master.wait(lambda: self.master.count('claim') > claims, what='the claim behind it')
        self.release()
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertEqual([name for name, _ in self.jobs() if name == '1-1'], ['1-1'])

    def test_newer_attempt(self):
        """The older attempt is cancelled, the newer one starts behind it."""
        self.start()
        command = self.master.add('backup', self.backup('hang', seconds=60))
        first = self.wait_job('1-1')
        with self.master.lock:
            command.spec = self.backup('quick')
            command.state = 'pending'
            self.master.lock.notify_all()
        result = self.master.finished(command)
        self.assertEqual((result['attempt'], result['status']), (2, 'succeeded'))
        self.assertEqual(command.results, 1)
        self.assertNotEqual(dict(self.jobs())['1-2'], first)
        self.wait_clean()

    def test_unknown_kind(self):
        """Said plainly, without a job."""
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        command.kind = 'dance'
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'KIND_UNSUPPORTED'))
        self.assertEqual(self.jobs(), [])

    def test_unknown_need(self):
        """What this agent would leave out is refused by name, before anything else is looked at."""
        self.start()
        spec = {**self.backup('quick'), 'needs': ['hooks', 'time-travel'], 'format': 'punched cards'}
        result = self.master.finished(self.master.add('backup', spec))
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'FEATURE_UNSUPPORTED'))
        self.assertIn("'time-travel'", result['error']['message'])
        self.assertIn('upgrade', result['error']['message'])
        self.assertEqual(self.jobs(), [])
        known = {**self.backup('quick'), 'needs': ['hooks']}
        self.assertEqual(self.master.finished(self.master.add('backup', known))['status'], 'succeeded')
        self.assertTrue(all('hooks' in claim['features'] for claim in self.master.claims))

    def test_bad_spec(self):
        """Likewise, with the field."""
        self.start()
        spec = self.backup('quick')
        del spec['source']['paths']
        result = self.master.finished(self.master.add('backup', spec))
        self.assertEqual(result['status'], 'failed')
        self.assertIn('source.paths', result['error']['message'])

    def test_garbage_beside_a_command(self):
        """What cannot be understood does not hide what can."""
        self.start()
        self.master.wait(lambda: self.master.claims, what='a claim')
        command = self.master.add('self_check', {})
        command.state = 'dispatched'
        command.attempt = 1
        command.kind = 'backup'
        command.spec = self.backup('quick')
        good = command.delivery()
        self.master.script('claim', Reply(data={'commands': [{'id': 'x'}, 5, None, good]}))
        self.agent.stop()
        self.start()
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')

    def test_secrets_of_another(self):
        """Sealed to somebody else: failed, and said."""
        self.start()
        command = self.master.add('backup', self.backup('quick'), secrets='bm90IGFuIGFnZSBmaWxl')
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'SECRETS_UNREADABLE'))

    def test_refused_result(self):
        """The run does not stay open because the master stumbles over the result."""
        self.master.script('/result', Reply(413, code='BODY_TOO_LARGE'))
        self.start()
        command = self.master.add('backup', self.backup('large'))
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'RESULT_REFUSED'))
        self.wait_clean()

    def test_capacity(self):
        """Two backups at a time; a probe is answered beside them."""
        self.start()
        hanging = [
            self.master.add('backup', self.backup('hang', seconds=90), number=n) for n in (1, 2, 3)
        ]
        self.wait_job('1-1')
        self.wait_job('2-1')
        probe = self.master.add('list_dir', {'path': '/', 'limit': 1, 'cursor': ''}, number=4)
        self.master.wait(lambda: probe.state == 'accepted', what='the probe beside two backups')
        self.assertEqual(hanging[2].state, 'pending')
        self.release()
        self.assertEqual(self.master.finished(hanging[2])['status'], 'succeeded')


if __name__ == '__main__':
    unittest.main()
