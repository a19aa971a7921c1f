# SPDX-License-Identifier: Apache-2.0
"""The real agent on private ground, with a master of Python."""

import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from fake_master import FakeMaster  # noqa: E402
from processes import Process, clean_environment  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get('BACKUPX_BUILD') or HERE.parents[1] / 'build').resolve()
AGENT = BUILD / 'agent' / 'backupx-agent'
JOB = BUILD / 'agent' / 'backupx-job'
FAKE_JOB = HERE / 'fake_job.py'


def wrapped(program):
    """The command of a program, under what BACKUPX_TEST_WRAP says (valgrind …)."""
    return os.environ.get('BACKUPX_TEST_WRAP', '').split() + [str(program)]


class AgentCase(unittest.TestCase):
    """A folder, a master, and an agent when the test starts it."""

    job = JOB

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-'))
        self.state = self.folder / 'state'
        self.results = self.state / 'results'
        self.storage = self.state / 'storage'
        self.storage.mkdir(parents=True)
        self.master = FakeMaster()
        self.token = self.folder / 'token'
        self.token.write_text(self.master.token + '\n')
        self.agent = None
        self.runs = 11
        self.level = 3

    def tearDown(self):
        try:
            if self.agent:
                if self.agent.running():
                    self.assertEqual(self.agent.stop(), 0, self.agent.tail())
                self.check_log()
        finally:
            self.end_jobs()
            self.master.close()
            if os.environ.get('BACKUPX_TEST_SHOW'):
                print((self.folder / 'agent.log').read_text(errors='replace'), file=sys.stderr)
            shutil.rmtree(self.folder, ignore_errors=True)

    def check_log(self):
        """No sanitizer spoke."""
        log = self.agent.log.read_text(errors='replace')
        for word in ('Sanitizer', 'runtime error', 'Assertion', 'ERROR SUMMARY: [1-9]'):
            self.assertIsNone(re.search(word, log), log[-4000:])

    def end_jobs(self):
        """Fake jobs that outlived their agent."""
        for _, pid in self.jobs():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def end_process(self, pid):
        """Kills somebody else's child, and waits for its end."""
        os.kill(pid, signal.SIGKILL)
        state = pathlib.Path(f'/proc/{pid}/stat')
        deadline = time.monotonic() + 60
        try:
            while state.read_text().rpartition(')')[2].split()[0] != 'Z':
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
        except (FileNotFoundError, ProcessLookupError):
            pass  # and nobody's zombie any more

    def environment(self, **more):
        """What the agent sees."""
        return clean_environment(
            **{
                'BACKUPX_AGENT_MASTER': self.master.url,
                'BACKUPX_AGENT_TOKEN_FILE': self.token,
                'BACKUPX_AGENT_STATE_DIR': self.state,
                'BACKUPX_AGENT_RUNTIME_DIR': self.folder / 'run',
                'BACKUPX_AGENT_TEMP_DIR': self.folder / 'temp',
                'BACKUPX_AGENT_JOB': self.job,
                'BACKUPX_AGENT_POLICY': self.folder / 'policy.yaml',
                'BACKUPX_AGENT_TOOLS_PATH': self.folder / 'tools',
                'BACKUPX_LOG_LEVEL': 'debug',
                'DBUS_SYSTEM_BUS_ADDRESS': f'unix:path={self.folder}/no-bus',
                **more,
            }
        )

    def start(self, **more):
        """Starts the agent, and waits for its READY=1."""
        self.agent = Process('agent', wrapped(AGENT), self.folder, self.environment(**more), False)
        return self.agent.start()

    def kill(self):
        """As the kernel does when memory is short."""
        self.agent.kill()
        self.agent.stop()

    def jobs(self):
        """[(name, pid)] of the fake jobs that got their orders."""
        file = self.state / 'jobs.txt'
        if not file.exists():
            return []
        lines = file.read_text().splitlines(keepends=True)
        return [(line.split()[0], int(line.split()[1])) for line in lines if line.endswith('\n')]

    def wait_job(self, name, timeout=120):
        """Waits until a fake job runs; its PID."""
        return self.master.wait(lambda: dict(self.jobs()).get(name), timeout, f'job {name}')

    def release(self):
        """Lets the hanging jobs end well."""
        (self.state / 'release').touch()

    def wait_status(self, text, timeout=120):
        """Waits until the status line holds the text."""
        deadline = time.monotonic() + timeout
        while text not in self.agent.status:
            self.assertLess(time.monotonic(), deadline, f'{text!r} is not in {self.agent.status!r}')
            time.sleep(0.02)

    def log_text(self):
        """What the agent wrote so far."""
        return self.agent.log.read_text(errors='replace')

    def target(self, name='disk', number=5):
        """A local target where jobs may write."""
        (self.storage / name).mkdir(exist_ok=True)
        return {
            'id': number,
            'name': name,
            'type': 'local',
            'config': {'path': str(self.storage / name)},
        }

    def backup(self, script='etc', paths=('/etc',), seconds=30.0, targets=None):
        """The spec of a backup; for a fake job the name of the task is what it is to do."""
        targets = targets or [self.target()]
        run = self.runs = self.runs + 1
        return {
            'run': run,
            'task': {'id': 3, 'name': script},
            'node': {'id': 7, 'name': 'test-node'},
            'source': {
                'paths': [str(path) for path in paths],
                'excludes': [str(seconds)],
                'one_file_system': False,
                'follow_symlinks': False,
            },
            'format': 'archive',
            'compression': {'algorithm': 'zstd', 'level': self.level},
            'recipients': [],
            'targets': [
                {**target, 'prefix': f'test-node/{script}/20261122T221501.123Z-{run}-'}
                for target in targets
            ],
        }

    def leftovers(self):
        """What is in results/."""
        return sorted(path.name for path in self.results.iterdir() if not path.name.endswith('~'))

    def wait_clean(self, timeout=120):
        """Waits until nothing is left in results/."""
        self.master.wait(
            lambda: not self.leftovers(), timeout, f'an empty results/, not {self.leftovers()}'
        )
