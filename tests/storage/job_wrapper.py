#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for the job and runs it as a test wants it. In its folder are, each where it is wanted:

    before      words that go before the job: strace with a fault to inject
    writable    the only directories that it can write to, one a line; the first is for temporary files and has
                room for 1 MiB. Everything else is read-only.
    peaks       gets a line for each job: MiB of memory at its peak
"""

import ctypes
import os
import pathlib
import resource
import sys

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
KERNEL = ('proc', 'sysfs', 'devpts', 'cgroup', 'cgroup2', 'mqueue', 'fuse', 'binfmt_misc', 'securityfs')


def mount(source, where, kind=None, flags=0, data=None):
    """mount(2); an error ends the job, and the test with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [None if word is None else os.fsencode(word) for word in (source, where, kind)]
    if libc.mount(*words, flags, data.encode() if data else None) != 0:
        raise OSError(ctypes.get_errno(), f'mount {where}')


def confine(writable):
    """A mount namespace in which nothing but these directories can be written to."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), 'unshare')
    mount(None, '/', flags=MS_REC | MS_PRIVATE)
    mounts = [line.split()[1:3] for line in pathlib.Path('/proc/self/mounts').read_text().splitlines()]
    mount('tmpfs', writable[0], 'tmpfs', data='size=1M')
    for path in writable[1:]:
        mount(path, path, flags=MS_BIND)
    for where, kind in mounts:
        where = where.encode().decode('unicode_escape')
        if kind not in KERNEL and where not in writable:
            mount(None, where, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
    os.environ['TMPDIR'] = writable[0]


def main():
    """Runs the job to its end; its exit status."""
    folder, job = pathlib.Path(sys.argv[1]), sys.argv[2:]
    before, writable = folder / 'before', folder / 'writable'
    child = os.fork()
    if child == 0:
        if writable.exists():
            confine(writable.read_text().splitlines())
        if before.exists():
            job = before.read_text().split('\n') + job
        os.execvp(job[0], job)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(folder / 'peaks', 'a', encoding='ascii') as file:
        file.write('%d\n' % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024))
    return status


if __name__ == '__main__':
    sys.exit(main())
