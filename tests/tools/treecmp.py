#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two directory trees by everything that a backup has to bring back:

    treecmp.py [--no-owners] [--no-directory-times] ONE OTHER

names, types, content, sizes, modes, owners, modification times in nanoseconds, extended attributes (ACLs and
capabilities among them), link targets, device numbers, which names are hard links of each other, and where
files have holes. Paths of any length and any bytes. Sockets are left out, as backups do. Prints one line a
difference; the exit status is 0 when there is none, 1 when there are some."""

import argparse
import hashlib
import os
import resource
import stat
import sys

BLOCK = 1 << 20
# Set by the kernel or by security modules of the host, not part of what a user stored.
FOREIGN_ATTRIBUTES = ('security.selinux', 'security.ima', 'security.evm', 'security.SMACK64')
LINES = 50


def attributes(fd):
    """Extended attributes by a descriptor that may be O_PATH."""
    path = f'/proc/self/fd/{fd}'
    found = {}
    for name in os.listxattr(path):
        if not name.startswith(FOREIGN_ATTRIBUTES):
            found[name] = os.getxattr(path, name)
    return found


def extents(fd, size):
    """Where there is data: [(from, to)], joined."""
    found, at = [], 0
    if 0 < size <= os.fstat(fd).st_blocks * 512:
        return [(0, size)]
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, end))
        at = end
    return found


def content(fd, size):
    """SHA-256 of the bytes, holes read as zeros."""
    total = hashlib.sha256()
    at = 0
    while at < size:
        block = os.pread(fd, min(BLOCK, size - at), at)
        if not block:
            break
        total.update(block)
        at += len(block)
    return at, total.hexdigest()


class Tree:
    """Everything below a directory, by path."""

    def __init__(self, root, owners=True, directory_times=True):
        # A deep tree is a deep recursion, with a descriptor at each level.
        sys.setrecursionlimit(20000)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.owners = owners
        self.directory_times = directory_times
        self.entries = {}
        self.links = {}
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.add_directory(fd, b'')

    def add_directory(self, fd, path):
        """Walks by descriptors: a path may be longer than a system call takes."""
        self.entries[path] = self.describe(fd, path)
        try:
            for name in sorted(os.fsencode(n) for n in os.listdir(fd)):
                self.add(fd, name, path + b'/' + name)
        finally:
            os.close(fd)

    def add(self, parent, name, path):
        """One object of a directory."""
        kind = stat.S_IFMT(os.lstat(name, dir_fd=parent).st_mode)
        if kind == stat.S_IFSOCK:
            return
        if kind == stat.S_IFDIR:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            self.add_directory(below, path)
            return
        flags = os.O_RDONLY if kind == stat.S_IFREG else os.O_PATH
        fd = os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
        try:
            self.entries[path] = self.describe(fd, path)
            if kind == stat.S_IFLNK:
                self.entries[path]['target'] = os.readlink(name, dir_fd=parent)
        finally:
            os.close(fd)

    def describe(self, fd, path):
        """What counts of one object."""
        st = os.fstat(fd)
        kind = stat.S_IFMT(st.st_mode)
        entry = {'type': stat.filemode(st.st_mode)[0]}
        if kind != stat.S_IFLNK:
            entry['mode'] = oct(stat.S_IMODE(st.st_mode))
            entry['attributes'] = attributes(fd)
        if self.owners:
            entry['owner'] = (st.st_uid, st.st_gid)
        if kind != stat.S_IFDIR or self.directory_times:
            entry['mtime'] = st.st_mtime_ns
        if kind == stat.S_IFREG:
            entry['size'] = st.st_size
            entry['content'] = content(fd, st.st_size)
            entry['data at'] = extents(fd, st.st_size)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            entry['device'] = (os.major(st.st_rdev), os.minor(st.st_rdev))
        if kind != stat.S_IFDIR and st.st_nlink > 1:
            self.links.setdefault((st.st_dev, st.st_ino), []).append(path)
        return entry

    def link_groups(self):
        """Names that are one object. Names outside of the tree do not count."""
        return {tuple(sorted(group)) for group in self.links.values() if len(group) > 1}


def differences(one, other, owners=True, directory_times=True):
    """What differs between two trees, in words."""
    return compare(Tree(one, owners, directory_times), Tree(other, owners, directory_times))


def compare(a, b):
    """The same of trees that were read before."""
    found = [f'{path!r}: missing' for path in a.entries if path not in b.entries]
    found += [f'{path!r}: not in the first tree' for path in b.entries if path not in a.entries]
    for path, entry in a.entries.items():
        for key, value in entry.items() if path in b.entries else ():
            now = b.entries[path].get(key)
            if now != value:
                found.append(f'{path!r}: {key} is {now!r}, was {value!r}')
    found += [f'not hard links any more: {group!r}' for group in a.link_groups() - b.link_groups()]
    found += [f'hard links now: {group!r}' for group in b.link_groups() - a.link_groups()]
    return found


def main():
    """Prints the differences."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('one')
    parser.add_argument('other')
    parser.add_argument('--no-owners', action='store_true', help='owners may differ')
    parser.add_argument('--no-directory-times', action='store_true', help='times of directories may differ')
    options = parser.parse_args()
    found = differences(options.one, options.other, not options.no_owners, not options.no_directory_times)
    for line in found[:LINES]:
        print(line if len(line) < 500 else line[:250] + ' … ' + line[-250:])
    if len(found) > LINES:
        print(f'and {len(found) - LINES} more')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
