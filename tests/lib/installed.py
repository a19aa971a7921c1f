# SPDX-License-Identifier: Apache-2.0
"""The suite as it is installed: units, users, the system bus; quickstart where PID 1 is systemd."""

import pathlib
import subprocess

from client import Client
from processes import Failed, clean_environment
from suite import Suite, build_folder, wait_until

UNITS = ('backupx-scheduler', 'backupx-dispatcher', 'backupx-api', 'backupx-agent')


class InstalledSuite(Suite):
    """The installed suite, used like the one from the build tree."""

    def __init__(self):
        super().__init__(state='/var/lib/backupx-quickstart', port=8340)
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def storage(self):
        """What backup jobs may write to without more ado."""
        return pathlib.Path('/var/lib/backupx-agent/storage')

    def command(self, *command):
        """Runs a command of the machine."""
        result = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode != 0:
            raise Failed(f'{" ".join(map(str, command))}: status {result.returncode}:\n{result.stdout}')
        return result.stdout

    def install(self):
        """Installs the programs and units of the build and starts the target."""
        self.command('meson', 'install', '-C', build_folder(), '--no-rebuild')
        self.command('systemd-sysusers')
        self.command('systemd-tmpfiles', '--create')
        self.command('journalctl', '--update-catalog')
        self.command('systemctl', 'daemon-reload')
        self.command('systemctl', 'try-reload-or-restart', 'dbus.service')
        self.command('systemctl', 'enable', 'backupx.target', 'backupx-agent.service')
        self.command('systemctl', 'restart', 'backupx.target', 'backupx-agent.service')

    def start(self):
        """Makes the first administrator, and waits for the agent of this machine."""
        wait_until(self.answers, what='an answer of the API')
        self.set_up()
        self.wait_online()
        return self

    def answers(self):
        """Whether the API serves."""
        try:
            return Client(self.server, timeout=2).raw('GET', '/health')[0] == 200
        except OSError:
            return False

    def make_target(self, name='disk', path=None, kind='local', **config):
        """Creates a target. Its directory belongs to the user of the jobs."""
        if kind == 'local':
            path = pathlib.Path(path or self.storage / name)
            self.command('install', '-d', '-o', 'backupx', '-g', 'backupx', '-m', '0700', path)
        return super().make_target(name, path, kind, **config)

    def tails(self):
        """The ends of all logs."""
        return '\n'.join(
            self.command('journalctl', '--no-pager', '-n', '15', '-u', unit) for unit in UNITS
        )
