# SPDX-License-Identifier: Apache-2.0
"""Starts the suite's programs as the service manager would: with a notification socket and a log."""

import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1
# Loaded here and not in the child, where a lock may be held by a thread that is not there.
LIBC = ctypes.CDLL(None)


def die_with_parent():
    """Runs in the child: a harness that is killed leaves no daemon behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Failed(Exception):
    """A program that did not do what it was started for."""


class Process:
    """One program with its log and its notifications."""

    def __init__(self, name, command, folder, environment, orphan_dies=True):
        self.name = name
        self.command = [str(part) for part in command]
        self.folder = pathlib.Path(folder)
        self.environment = environment
        self.orphan_dies = orphan_dies
        self.log = self.folder / f'{name}.log'
        self.process = None
        self.status = ''
        self.notifications = None
        self.ready = threading.Event()

    def start(self, ready=True, timeout=90):
        """Starts it, and waits for its READY=1 when asked to."""
        path = self.folder / f'{self.name}.notify'
        path.unlink(missing_ok=True)
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.notifications.bind(str(path))
        environment = {**self.environment, 'NOTIFY_SOCKET': str(path)}
        with open(self.log, 'ab') as log:
            before = die_with_parent if self.orphan_dies else None
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=before,
            )
        # As a service manager does, all the time: a full queue would hold the program up.
        threading.Thread(target=self.read_notifications, args=(self.notifications,), daemon=True).start()
        if ready:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=90):
        """Waits for READY=1."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(
                    f'{self.name} ended with status {self.process.returncode} before it was ready; '
                    f'its log:\n{self.tail()}'
                )
            if self.ready.wait(0.02):
                return
        raise Failed(f'{self.name} was not ready after {timeout} s; its log:\n{self.tail()}')

    def read_notifications(self, notifications):
        """Takes what the program notifies until its end; keeps the last STATUS=."""
        while True:
            try:
                text = notifications.recv(65536).decode(errors='replace')
            except OSError:
                return
            for line in text.splitlines():
                if line.startswith('STATUS='):
                    self.status = line.removeprefix('STATUS=')
                elif line == 'READY=1':
                    self.ready.set()
            if not text:
                return

    def tail(self, lines=40):
        """The end of its log."""
        if not self.log.exists():
            return ''
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])

    def running(self):
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self, number=signal.SIGKILL):
        """Sends a signal, and waits for the end where that is what it means."""
        if self.running():
            self.process.send_signal(number)
            if number in (signal.SIGKILL, signal.SIGTERM):
                self.wait()

    def wait(self, timeout=60):
        """Waits for its end; the exit status."""
        return self.process.wait(timeout)

    def stop(self, timeout=90):
        """Ends it in good order, or else at once. The exit status."""
        if self.process is None:
            return None
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(
                    f'{self.name} did not end within {timeout} s of SIGTERM; ' f'its log:\n{self.tail()}'
                )
        self.notifications.shutdown(socket.SHUT_RDWR)
        self.notifications.close()
        return self.process.returncode


# What a service manager or an administrator told this process, and its children must not see.
FOREIGN_PREFIXES = ('BACKUPX_', 'LISTEN_', 'NOTIFY_', 'WATCHDOG_')
FOREIGN = ('JOURNAL_STREAM', 'CREDENTIALS_DIRECTORY', 'STATE_DIRECTORY', 'RUNTIME_DIRECTORY')


def clean_environment(**added):
    """This process's environment without proxies and without what a service manager told us."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith('_proxy')
        and not key.startswith(FOREIGN_PREFIXES)
        and key not in FOREIGN
    }
    environment.update({key: str(value) for key, value in added.items()})
    return environment
