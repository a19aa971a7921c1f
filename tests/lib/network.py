# SPDX-License-Identifier: Apache-2.0
"""A network of its own for booted machines: a switch in a network namespace, a port and a namespace for each
machine. Nothing of it is connected to this machine's own network."""

import os
import subprocess

PREFIX = 24


class Network:
    """The switch, and the cables to it."""

    def __init__(self):
        self.switch = f'bx-switch-{os.getpid()}'
        self.hosts = []

    def ip(self, *arguments, check=True):
        """Runs ip(8)."""
        subprocess.run(['ip', *map(str, arguments)], check=check, stdin=subprocess.DEVNULL)

    def __enter__(self):
        self.ip('netns', 'add', self.switch)
        self.ip('-n', self.switch, 'link', 'add', 'bridge', 'type', 'bridge')
        self.ip('-n', self.switch, 'link', 'set', 'bridge', 'up')
        return self

    def __exit__(self, *_):
        self.close()

    def add_host(self, name, address):
        """Plugs a machine in; the path of its namespace."""
        host = f'bx-{name}-{os.getpid()}'
        self.ip('netns', 'add', host)
        self.hosts.append(host)
        ends = ['netns', self.switch, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host]
        self.ip('link', 'add', 'name', f'to-{name}', *ends)
        self.plug(name)
        self.ip('-n', self.switch, 'link', 'set', 'dev', f'to-{name}', 'up')
        self.ip('-n', host, 'addr', 'add', f'{address}/{PREFIX}', 'dev', 'eth0')
        for device in ('lo', 'eth0'):
            self.ip('-n', host, 'link', 'set', device, 'up')
        return f'/run/netns/{host}'

    def cut(self, name):
        """From now on every packet to and from the machine vanishes; nobody is told."""
        self.ip('-n', self.switch, 'link', 'set', 'dev', f'to-{name}', 'nomaster')

    def plug(self, name):
        """Connects the machine (again)."""
        self.ip('-n', self.switch, 'link', 'set', 'dev', f'to-{name}', 'master', 'bridge')

    def set_rate(self, name, megabits):
        """Limits what the machine can send, in megabits a second; None: no limit."""
        host = f'bx-{name}-{os.getpid()}'
        remove = ['tc', '-n', host, 'qdisc', 'del', 'dev', 'eth0', 'root']
        subprocess.run(remove, check=False, stderr=subprocess.DEVNULL)
        if megabits:
            limit = ['root', 'tbf', 'rate', f'{megabits}mbit', 'burst', '64k', 'latency', '200ms']
            subprocess.run(['tc', '-n', host, 'qdisc', 'add', 'dev', 'eth0', *limit], check=True)

    def close(self):
        """Takes everything away."""
        for host in (*self.hosts, self.switch):
            self.ip('netns', 'del', host, check=False)
        self.hosts = []
