#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""quickstart from the build tree: the main job, and a suite that serves until it is stopped."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from client import Client  # noqa: E402
from processes import clean_environment  # noqa: E402
from suite import ROOT, build_folder, free_port, wait_until  # noqa: E402


class Quickstart(unittest.TestCase):
    """What the script does once the tree is built."""

    def start(self, *arguments):
        """Starts it."""
        return subprocess.Popen(
            ['/usr/bin/python3', ROOT / 'tests/lib/quickstart.py', *map(str, arguments)],
            env=clean_environment(BACKUPX_BUILD=build_folder()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def test_once(self):
        """--once ends with 0 after a comparison that found nothing."""
        process = self.start('--once')
        text, _ = process.communicate(timeout=280)
        self.assertEqual(process.returncode, 0, text)
        self.assertIn('Identical', text)

    def test_serve(self):
        """--serve writes how to reach it, ends in good order, and goes on with its state when started again."""
        with tempfile.TemporaryDirectory(prefix='backupx-serve-', dir='/var/tmp') as folder:
            state, port = pathlib.Path(folder, 'state'), free_port()
            tokens = []
            for number in (signal.SIGTERM, signal.SIGINT):
                (state / 'env').unlink(missing_ok=True)
                process = self.start('--serve', '--state', state, '--port', port)
                wait_until((state / 'env').exists, 120, 'the file env')
                env = dict(line.split('=', 1) for line in (state / 'env').read_text().splitlines())
                self.assertEqual(sorted(env), ['BACKUPX_SERVER', 'BACKUPX_STATE', 'BACKUPX_TOKEN'])
                self.assertEqual(env['BACKUPX_SERVER'], f'http://127.0.0.1:{port}')
                self.assertEqual(env['BACKUPX_STATE'], str(state))
                client = Client(env['BACKUPX_SERVER'], env['BACKUPX_TOKEN'])
                self.assertEqual(client.get('auth/me')['role'], 'admin')
                self.assertEqual(client.get('nodes/1')['status'], 'online')
                tokens.append(env['BACKUPX_TOKEN'])
                process.send_signal(number)
                text, _ = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 0, text)
            self.assertEqual(tokens[0], tokens[1], 'the second start forgot the first')

    def test_refusal(self):
        """What cannot be done is said in one sentence."""
        process = self.start('--once', '--serve')
        text, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 2)
        self.assertIn('exclude each other', text)


if __name__ == '__main__':
    unittest.main(verbosity=2)
