#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent does about a master that refuses, is slow, is away, or is none."""

import json
import pathlib
import subprocess
import time
import unittest

from agent_case import AGENT, FAKE_JOB, AgentCase, wrapped
from fake_master import FakeMaster, Reply


class MasterTrouble(AgentCase):
    """Answers of every kind, to heartbeats, claims and reports."""

    job = FAKE_JOB

    def test_starts_without_a_master(self):
        """Ready, waiting, and telling why."""
        self.master.close()
        self.start()
        self.wait_status('No contact with')
        self.master.open()
        self.wait_status('Connected to')
        self.assertEqual(
            self.master.finished(self.master.add('backup', self.backup('quick')))['status'], 'succeeded'
        )

    def test_server_errors(self):
        """5xx, junk and closed connections: again, with growing distances, and in the end it works."""
        self.master.script(
            'claim',
            Reply(500),
            Reply(503),
            Reply(0),
            Reply(body=b'<html>hello</html>'),
            Reply(502, body=b'bad gateway'),
        )
        self.start()
        command = self.master.add('backup', self.backup('quick'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertGreaterEqual(self.master.count('claim'), 6)

    def test_retry_after(self):
        """429: not before the time that it names."""
        self.master.script('claim', Reply(429, headers={'Retry-After': '3'}))
        self.start()
        self.master.wait(lambda: self.master.count('claim') >= 2, what='another claim')
        first, second, *_ = self.master.moments('claim')
        self.assertGreaterEqual(second - first, 2.9)

    def test_early_empty_answer(self):
        """A 204 before its time is not followed by a storm."""
        self.master.wait_limit = 0
        self.start()
        self.master.wait(lambda: self.master.count('claim') >= 4, what='the fourth claim')
        # A second from an answer to the next claim, at least; the requests themselves take what they take.
        moments = self.master.moments('claim')
        self.assertGreaterEqual(moments[3] - moments[0], 2.9)

    def test_unknown_token(self):
        """401: the agent stays up, says so, and asks slowly."""
        self.token.write_text('bxn_wrong\n')
        self.start()
        self.wait_status('NODE_TOKEN_INVALID')
        time.sleep(3)
        self.assertLessEqual(self.master.count('claim'), 1)
        self.assertTrue(self.agent.running())

    def test_replaced_token(self):
        """A token that is put in the place of a refused one is taken without a restart."""
        self.token.write_text('bxn_wrong\n')
        self.start()
        self.wait_status('NODE_TOKEN_INVALID')
        self.token.write_text(self.master.token)
        self.wait_status('Connected to', 60)
        command = self.master.add('backup', self.backup('quick'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')

    def test_duplicate(self):
        """Another agent of this node: said in the status line."""
        self.master.script('claim', Reply(409, code='NODE_DUPLICATE', headers={'Retry-After': '1'}))
        self.start()
        self.wait_status('was this machine cloned?')
        self.wait_status('Connected to')

    def test_redirect_is_not_followed(self):
        """The token would go with it."""
        other = FakeMaster()
        try:
            self.master.script(
                '.', *[Reply(302, headers={'Location': f'{other.url}/api/v1/agent/heartbeat'})] * 4
            )
            self.start()
            self.wait_status('redirect')
            time.sleep(0.5)
            self.assertEqual(other.seen, [])
        finally:
            other.close()

    def test_refused_report(self):
        """A batch of lines that the master does not take costs these lines, not the run."""
        self.master.script('/progress', Reply(400, code='FIELD_INVALID'))
        self.start()
        command = self.master.add('backup', self.backup('talk'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')

    def test_lost_reports(self):
        """Each line is stored once, although batches are told twice."""
        self.master.script('/progress', 'lost', 'lost')
        self.start()
        command = self.master.add('backup', self.backup('talk'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.assertEqual(command.lines, {n: f'line {n}' for n in range(1, 1501)})

    def test_no_token_yet(self):
        """Ready and waiting; the token may come any time."""
        self.token.unlink()
        self.start()
        self.wait_status('Not enrolled')
        self.token.write_text(self.master.token)
        self.wait_status('Connected to')

    def test_enrols_itself(self):
        """Given the token of an install link only, it enrols; a lost answer burns nothing, and once is enough."""
        self.token.write_text('bxe_' + 'E' * 43)
        self.master.script('/enroll', 'lost')
        self.start()
        self.wait_status('Connected to')
        keys = {body['public_key'] for _, path, body in self.master.seen if path.endswith('/enroll')}
        self.assertEqual((len(keys), self.master.count('/enroll')), (1, 2))
        self.kill()
        self.start()
        self.wait_status('Connected to')
        self.assertEqual(self.master.count('/enroll'), 2)

    def test_refused_link(self):
        """A link that was used is not asked for again and again; another one is taken at once."""
        self.token.write_text('bxe_' + 'E' * 43)
        self.master.script('/enroll', Reply(401, code='ENROLLMENT_USED'))
        self.start()
        self.wait_status('ENROLLMENT_USED')
        time.sleep(3)  # longer than it waits between two looks at the file
        self.assertEqual(self.master.count('/enroll'), 1)
        self.token.write_text('bxe_' + 'F' * 43)
        self.wait_status('Connected to')
        self.assertEqual(self.master.count('/enroll'), 2)

    def test_enrolled_without_a_token(self):
        """An answer that cannot be used is not asked for again and again: each makes a token at the master."""
        self.token.write_text('bxe_' + 'E' * 43)
        self.master.script('/enroll', *[Reply(data={'node': {'id': 7, 'name': 'test-node'}})] * 5)
        self.start()
        self.wait_status('Its answer could not be kept')
        time.sleep(5)  # longer than it waits between two looks at the file
        self.assertEqual(self.master.count('/enroll'), 1)

    def test_refused_link_of_an_enrolled_host(self):
        """The link in the file was used long ago, and somebody enrolled the host by hand since."""
        self.token.write_text('bxe_' + 'E' * 43)
        self.start()
        self.wait_status('Connected to')
        self.kill()
        self.token.write_text('bxe_' + 'F' * 43)
        self.master.script('/enroll', Reply(409, code='ENROLLMENT_USED'))
        self.start()
        self.wait_status('Connected to')
        self.assertIn('going on with the token that it has', self.log_text())

    def test_heartbeat(self):
        """What it tells."""
        self.start()
        beat = self.master.wait(
            lambda: self.master.heartbeats and self.master.heartbeats[0], what='a heartbeat'
        )
        for field in ('boot_id', 'agent_id', 'version', 'os', 'arch', 'hostname', 'public_key', 'clock'):
            self.assertIsInstance(beat[field], str, field)
        self.assertTrue(beat['public_key'].startswith('age1'))
        self.assertEqual((beat['capacity'], beat['probes'], beat['running']), (2, 4, []))
        self.assertGreater(beat['free_bytes'], 0)

    def test_one_connection(self):
        """While nothing runs, heartbeats and long polls share one; what a job needs beside it is closed."""
        self.start()
        beats, claims, marks = self.master.heartbeats, self.master.claims, [0, 0]

        def two_rounds_over_one():
            # Over another one goes what is late by seconds, on a busy machine: then the next ones count.
            if self.master.connections_most > 1:
                self.master.connections_most = self.master.connections
                marks[:] = len(beats), len(claims)
            return len(beats) > marks[0] + 2 and len(claims) > marks[1] + 2

        self.master.wait(two_rounds_over_one, what='heartbeats and claims over one connection')
        # The fake master asks for a heartbeat every 5 s.
        waits = [int(path.split('wait=')[1]) for _, path, _ in self.master.seen if 'wait=' in path]
        self.assertTrue(all(1 <= wait <= 5 for wait in waits), waits)
        command = self.master.add('backup', self.backup('talk'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.master.wait(lambda: self.master.connections == 1, what='the end of the second connection')

    def seal(self, text):
        """For the node's key."""
        identity = (self.state / 'identity').read_text().strip()
        recipient = subprocess.run(
            ['age-keygen', '-y'], input=identity, capture_output=True, text=True, check=True
        ).stdout.strip()
        sealed = subprocess.run(
            ['age', '-r', recipient], input=text.encode(), capture_output=True, check=True
        ).stdout
        return __import__('base64').b64encode(sealed).decode()

    def test_token_hand_over(self):
        """Taken from a heartbeat's answer, kept over a restart, until the credential changes."""
        try:
            subprocess.run(['age', '--version'], capture_output=True, check=True)
        except OSError:
            self.skipTest('age is not installed')
        self.start()
        self.master.wait(lambda: self.master.heartbeats, what='a heartbeat')
        old, new = self.master.token, 'bxn_' + 'B' * 43
        sealed = self.seal(new)
        with self.master.lock:
            self.master.old_tokens = [old]
            self.master.token = new
            self.master.token_sealed = sealed
        self.master.wait(lambda: (self.state / 'token').exists(), what='the new token on disk')
        self.master.token_sealed = None
        self.master.old_tokens = []
        command = self.master.add('backup', self.backup('quick'))
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')
        self.agent.stop()
        self.assertEqual(self.token.read_text().strip(), old)
        self.start()
        self.wait_status('Connected to')
        self.agent.stop()
        # A reinstall: another credential wins over what was kept.
        self.master.token = 'bxn_' + 'C' * 43
        self.token.write_text(self.master.token)
        self.start()
        self.wait_status('Connected to')


class Verbs(AgentCase):
    """enroll and wait-online, as the installer calls them."""

    def verb(self, *arguments, **environment):
        """Runs one; (status, output)."""
        result = subprocess.run(
            wrapped(AGENT) + list(arguments),
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return result.returncode, result.stdout

    def test_enroll(self):
        """The one-time token goes out, the node's own stays here, and the agent works with it."""
        self.token.write_text('bxe_' + 'E' * 43)
        status, output = self.verb('enroll')
        self.assertEqual(status, 0, output)
        body = next(body for _, path, body in self.master.seen if path.endswith('/enroll'))
        self.assertEqual(body['enrollment_token'], 'bxe_' + 'E' * 43)
        self.assertTrue(body['public_key'].startswith('age1'))
        self.token.unlink()
        status, output = self.verb('wait-online')
        self.assertEqual((status, output.strip()), (0, 'test-node is online'))
        self.start()
        self.wait_status('Connected to')
        beat = self.master.wait(
            lambda: self.master.heartbeats and self.master.heartbeats[0], what='a heartbeat'
        )
        self.assertEqual(beat['public_key'], body['public_key'])

    def test_lost_enrolment_answer(self):
        """Asked again with the same token and the same key."""
        self.master.script('/enroll', 'lost', Reply(503))
        status, output = self.verb('enroll')
        self.assertEqual(status, 0, output)
        keys = {body['public_key'] for _, path, body in self.master.seen if path.endswith('/enroll')}
        self.assertEqual(len(keys), 1)
        self.assertEqual(self.master.count('/enroll'), 3)

    def test_refused_enrolment(self):
        """Said at once, with the reason."""
        self.master.script('/enroll', Reply(401, code='ENROLLMENT_TOKEN_INVALID'))
        status, output = self.verb('enroll')
        self.assertEqual(status, 1)
        self.assertIn('ENROLLMENT_TOKEN_INVALID', output)
        self.assertFalse((self.state / 'token').exists())

    def test_wait_online_gives_up(self):
        """After its time, with what it saw last."""
        offline = Reply(data={'id': 7, 'name': 'n', 'status': 'pending', 'last_seen': None})
        self.master.script('/self', *[offline] * 100)
        status, output = self.verb('wait-online', '--timeout', '2s')
        self.assertEqual(status, 1)
        self.assertIn('pending', output)

    def test_permissions(self):
        """Nobody else can read what is secret."""
        self.assertEqual(self.verb('enroll')[0], 0)
        for path in (self.state, self.state / 'identity', self.state / 'token'):
            self.assertEqual(pathlib.Path(path).stat().st_mode & 0o077, 0, path)

    def test_bad_configuration(self):
        """File and line, then the end."""
        config = self.folder / 'config.yaml'
        config.write_text('master: http://127.0.0.1:1\ncapacitty: 3\n')
        status, output = self.verb('--config', str(config))
        self.assertEqual(status, 1)
        self.assertIn(f'{config}:2', output)
        self.assertIn('capacitty', output)

    def test_secret_files_of_the_answer(self):
        """An answer that is no token is not kept."""
        self.master.script(
            '/enroll',
            Reply(
                body=json.dumps(
                    {'code': 'OK', 'data': {'node': {'id': 1, 'name': 'n'}, 'token': 'two\r\nlines'}}
                ).encode()
            ),
        )
        status, _ = self.verb('enroll')
        # What follows the first line is cut; headers cannot be injected with it.
        self.assertIn(status, (0, 1))
        if status == 0:
            self.assertEqual(json.loads((self.state / 'token').read_text())['token'], 'two')


if __name__ == '__main__':
    unittest.main()
