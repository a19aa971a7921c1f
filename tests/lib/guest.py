# SPDX-License-Identifier: Apache-2.0
"""A machine that systemd boots: a container over an overlay of this machine's own root file system, gone
without a trace afterwards. Needs root, systemd-nspawn and nsenter."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

from processes import Failed, clean_environment

HIERARCHIES = ('/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified')
# As a login of root has it, whatever ours is.
ROOT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
# What boots in a container of this machine's packages and has nothing to do with us.
UNWANTED = (
    'multi-user.target.wants',
    'timers.target.wants',
    'sysinit.target.wants',
    'sysstat.service.wants',
)
# Where the suite, installed by a package or by hand, has something.
TRACES = (
    'etc/backupx*',
    'etc/credstore.encrypted/backupx*',
    'etc/systemd/system/backupx*',
    'etc/systemd/system/*/backupx*',
    'opt/backupx-agent*',
    'usr/bin/backupx',
    'usr/lib/backupx',
    'usr/lib/*.d/backupx*',
    'usr/lib/systemd/*/backupx*',
    'usr/libexec/backupx*',
    'usr/local/bin/backupx',
    'usr/share/backupx',
    'usr/share/dbus-1/*/org.backupx*',
    'var/lib/backupx*',
)


def why_not():
    """Why no guest can be booted here, or an empty text."""
    if os.geteuid() != 0:
        return 'booting a guest needs root'
    for tool in ('systemd-nspawn', 'nsenter', 'mount', 'dbus-daemon'):
        if not shutil.which(tool):
            return f'{tool} is not installed'
    return ''


class Guest:
    """One booted machine."""

    def __init__(self, name='guest', network=None, base='/'):
        """network: the path of a network namespace; without it the machine has none but its loopback.
        base: the system that it boots, this machine's own or another distribution's."""
        self.name = f'{name}-{os.getpid()}'
        self.network = network
        self.base = base
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-guest-', dir='/var/tmp'))
        self.root = self.folder / 'root'
        self.process = None
        self.leader = None

    def __enter__(self):
        try:
            self.make_root()
            self.boot()
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def make_root(self):
        """Mounts the overlay and makes it a machine of its own."""
        for name in ('upper', 'work', 'root'):
            (self.folder / name).mkdir()
        layers = f'lowerdir={self.base},upperdir={self.folder}/upper,workdir={self.folder}/work'
        subprocess.run(['mount', '-t', 'overlay', self.name, '-o', layers, str(self.root)], check=True)
        etc = self.root / 'etc'
        for name, text in (('machine-id', uuid.uuid4().hex), ('hostname', self.name), ('fstab', '')):
            (etc / name).unlink(missing_ok=True)
            (etc / name).write_text(text + '\n' if text else '')
        for name in UNWANTED:
            folder = etc / 'systemd/system' / name
            for entry in folder.iterdir() if folder.is_dir() else ():
                entry.unlink()
        if self.base == '/':
            self.forget_suite()
        journal = self.root / 'var/log/journal'
        shutil.rmtree(journal, ignore_errors=True)
        journal.mkdir(parents=True)

    def forget_suite(self):
        """Takes away what this machine itself may have of the suite: a guest never had it."""
        for name in ('passwd', 'shadow', 'group', 'gshadow'):
            file = self.root / 'etc' / name
            text = file.read_text(errors='surrogateescape')
            kept = re.sub(r'^backupx[a-z-]*:.*\n', '', text, flags=re.M)
            if kept != text:
                file.write_text(kept, errors='surrogateescape')
        for pattern in TRACES:
            for path in self.root.glob(pattern):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def enter_own_cgroup(self):
        """Runs in the child: two guests must not share one control group."""
        os.setsid()
        for hierarchy in HIERARCHIES:
            folder = pathlib.Path(hierarchy, 'backupx-guests', self.name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / 'cgroup.procs').write_text(str(os.getpid()))
            except OSError:
                pass

    def boot(self, timeout=180):
        """Starts PID 1 and waits until the machine is up."""
        command = [
            'systemd-nspawn',
            '--boot',
            '--quiet',
            '--register=no',
            '--keep-unit',
            '-M',
            self.name,
            '-D',
            str(self.root),
            f'--network-namespace-path={self.network}' if self.network else '--private-network',
            '--system-call-filter=bpf',
            '--capability=CAP_BPF',
        ]
        with open(self.folder / 'console', 'wb') as console:
            self.process = subprocess.Popen(
                command,
                env=clean_environment(SYSTEMD_NSPAWN_UNIFIED_HIERARCHY='1'),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=self.enter_own_cgroup,
            )
        deadline = time.monotonic() + timeout
        while not self.find_leader():
            if self.process.poll() is not None or time.monotonic() > deadline:
                console = (self.folder / 'console').read_text(errors='replace')
                raise Failed(f'the guest did not boot:\n{console}')
            time.sleep(0.02)
        state = self.run('systemctl', 'is-system-running', '--wait', check=False, timeout=timeout).stdout
        if state.strip() not in ('running', 'degraded'):
            raise Failed(f'the guest is {state.strip()}')

    def reboot(self, timeout=180):
        """Shuts the machine down cleanly and boots it again."""
        self.run('systemctl', 'reboot', check=False)
        self.process.wait(timeout)
        self.leader = None
        Guest.boot(self, timeout)

    def kill(self):
        """Pulls the plug: every process of the machine is gone at once."""
        os.kill(int(self.leader), signal.SIGKILL)
        self.process.wait(60)
        self.leader = None

    def children(self):
        """The processes that systemd-nspawn started: PID 1 of the guest."""
        children = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
        return children.read_text().split() if children.exists() else []

    def find_leader(self):
        """The process that is PID 1 of the guest, once it can be talked to."""
        found = self.children()
        if found and os.path.exists(f'/proc/{found[0]}/root/run/systemd/private'):
            self.leader = found[0]
        return self.leader

    def run(self, *command, check=True, stdin=None, timeout=180, environment=None):
        """Runs a command in the guest; the completed process, output as text."""
        env = ['env', *(f'{key}={value}' for key, value in environment.items())] if environment else []
        result = subprocess.run(
            ['nsenter', '-t', self.leader, '-a', '-r', '--', *env, *map(str, command)],
            input='' if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors='surrogateescape',
            check=False,
            timeout=timeout,
            env=clean_environment(LC_ALL='C.UTF-8', PATH=ROOT_PATH),
        )
        if check and result.returncode != 0:
            raise Failed(
                f'{" ".join(map(str, command))}: status {result.returncode}:\n{result.stdout}\n'
                f'{result.stderr}'
            )
        return result

    def shell(self, script, **options):
        """Runs a shell script in the guest; its output."""
        return self.run('bash', '-euc', script, **options).stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.run('systemctl', 'show', '-P', name, unit).stdout.strip()

    def journal(self, *arguments):
        """Text of the guest's journal, with all that was written to it so far."""
        self.run('journalctl', '--sync', check=False)
        return self.run(
            'journalctl', '--no-pager', '-o', 'short-monotonic', *arguments, check=False
        ).stdout

    def wait(self, condition, timeout=120, what='the condition'):
        """Asks until the answer is true; gives the answer."""
        deadline = time.monotonic() + timeout
        while True:
            answer = condition()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise Failed(f'{what} did not come true within {timeout} s')
            time.sleep(0.05)

    def kill_leader(self):
        """The end of PID 1 is the end of its whole machine; the end of what started it is not."""
        leader = self.leader or next(iter(self.children()), None)
        if not leader:
            return
        try:
            os.kill(int(leader), signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.kill()
        self.process.wait()
        stat = pathlib.Path(f'/proc/{leader}/stat')
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if stat.read_text().rpartition(')')[2].split()[0] == 'Z':
                    return
            except (FileNotFoundError, ProcessLookupError):
                return
            time.sleep(0.02)

    def close(self):
        """Stops the machine and removes every trace of it."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill_leader()
                self.process.kill()
                self.process.wait()
        if self.root.is_mount():
            subprocess.run(['umount', '-l', str(self.root)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        for hierarchy in HIERARCHIES:
            folder = pathlib.Path(hierarchy, 'backupx-guests', self.name)
            for path, _, _ in os.walk(folder, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    pass
