# SPDX-License-Identifier: Apache-2.0
"""Makes directory trees with everything a file system can hold, and compares two of them."""

import hashlib
import os
import socket
import stat
import subprocess


def write(path, data=b'', mode=None):
    """Writes a file."""
    with open(path, 'wb') as file:
        file.write(data)
    if mode is not None:
        os.chmod(path, mode)


def make_small(folder):
    """A little of everything that any user can make."""
    folder = os.fsencode(folder)
    os.makedirs(folder + b'/documents/empty')
    write(folder + b'/documents/letter.txt', b'Dear reader,\n' * 1000)
    write(folder + b'/documents/secret', b'not for everyone\n', 0o600)
    write(folder + b'/documents/empty-file')
    write(folder + b'/documents/big', os.urandom(3 << 20))
    write(folder + b'/documents/run.sh', b'#!/bin/sh\necho hello\n', 0o755)
    write(folder + b'/documents/new\nline', b'a name with a newline\n')
    write(folder + b'/documents/caf\xe9', b'a name that is no UTF-8\n')
    write(folder + '/documents/日本語.txt'.encode(), b'a name in UTF-8\n')
    os.symlink(b'letter.txt', folder + b'/documents/link')
    os.symlink(b'/nowhere/at/all', folder + b'/documents/dangling')
    os.link(folder + b'/documents/letter.txt', folder + b'/documents/same-letter')
    os.mkfifo(folder + b'/documents/pipe')
    with open(folder + b'/documents/sparse', 'wb') as file:
        file.truncate(64 << 20)
        file.seek(20 << 20)
        file.write(b'in the middle')
    os.utime(
        folder + b'/documents/letter.txt', ns=(1_600_000_000_123_456_789, 1_600_000_000_987_654_321)
    )
    write(folder + b'/documents/set-uid', b'#!/bin/true\n')
    os.chmod(folder + b'/documents/set-uid', 0o6755)
    os.chmod(folder + b'/documents/empty', 0o1777)


def make_privileged(folder):
    """What only root can make: owners without a name, device nodes, ACLs, attributes, capabilities."""
    folder = os.fsencode(folder)
    os.makedirs(folder + b'/system')
    write(folder + b'/system/foreign', b'owner without a name\n')
    os.chown(folder + b'/system/foreign', 54321, 54322)
    os.mknod(folder + b'/system/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(folder + b'/system/loop', stat.S_IFBLK | 0o660, os.makedev(7, 0))
    write(folder + b'/system/attributes', b'with attributes\n')
    os.setxattr(folder + b'/system/attributes', b'user.plain', b'value')
    os.setxattr(folder + b'/system/attributes', b'user.eq=per%cent', bytes(range(256)))
    write(folder + b'/system/access', b'with an ACL\n')
    os.makedirs(folder + b'/system/inherits')
    subprocess.run(['setfacl', '-m', 'u:54321:r,g:54322:rw', folder + b'/system/access'], check=True)
    subprocess.run(['setfacl', '-d', '-m', 'u:54321:rwx', folder + b'/system/inherits'], check=True)
    write(folder + b'/system/capable', b'\x7fELF')
    subprocess.run(['setcap', 'cap_net_raw+ep', folder + b'/system/capable'], check=True)
    os.symlink(b'null', folder + b'/system/link')
    os.lchown(folder + b'/system/link', 54321, 54322)


def make_deep(folder, length=3000):
    """A path of this many bytes, made from its parts as it is longer than a system call takes."""
    part = b'd' * 200
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(length // (len(part) + 1)):
            os.mkdir(part, dir_fd=here)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        with os.fdopen(os.open(b'bottom', os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here), 'wb') as file:
            file.write(b'deep down\n')
    finally:
        os.close(here)


ODD_NAMES = [
    b'n' * 255, b' ', b'-rf', b'~', b'%s%n', b'quo"te', b"it's", b'back\\slash', b'\\n', b'\\x00', b'\\u1234',
    b'tab\there', b'bell\x07', b'escape\x1b[31m', b'delete\x7f', b'trailing ', b'a:b', b'*?[]', b'\xff\xfe',
    b'overlong\xc0\xaf', b'surrogate\xed\xa0\x80', b'beyond\xf4\x90\x80\x80', b'cut\xe2\x82',
    '\ufffd'.encode(), '\u2028\u2029'.encode(), '\U0010ffff'.encode(), 'e\u0301'.encode(), '\u00e9'.encode(),
]
MOMENTS = [-1, 0, 1, 999_999_999, -500_000_000, 2**31 * 10**9 + 1, -(2**31) * 10**9, 4_294_967_296_123_456_789]


def make_odd(folder):
    """What few people have: names of any bytes, times long ago and far off, modes and attributes of all kinds of
    objects, more than one name for things that are no files, sizes at the borders of chunks. Needs root."""
    folder = os.fsencode(folder) + b'/odd'
    for below in (b'/names', b'/times', b'/kinds/other', b'/sizes', b'/attributes'):
        os.makedirs(folder + below)
    for name in ODD_NAMES + [bytes([byte]) for byte in range(1, 256) if byte not in b'./']:
        write(folder + b'/names/' + name, name)
    os.symlink(b'l' * 4095, folder + b'/kinds/long-link')
    os.symlink('caf\u00e9\n'.encode(), folder + b'/kinds/link')
    for name, mode in ((b'none', 0), (b'all', 0o7777), (b'group', 0o2070), (b'sticky', 0o1000)):
        write(folder + b'/kinds/' + name, name, mode)
        os.mkdir(folder + b'/kinds/dir-' + name)
        os.chmod(folder + b'/kinds/dir-' + name, mode)
    os.mknod(folder + b'/kinds/high', stat.S_IFCHR | 0o600, os.makedev(4095, 1048575))
    os.mkfifo(folder + b'/kinds/pipe')
    os.chown(folder + b'/kinds/pipe', 4_294_967_294, 4_294_967_293)
    for name in (b'link', b'high', b'pipe', b'all', b'none'):
        os.link(folder + b'/kinds/' + name, folder + b'/kinds/other/' + name, follow_symlinks=False)
    for name in (b'kinds', b'kinds/none', b'kinds/link', b'kinds/pipe'):
        os.setxattr(folder + b'/' + name, b'trusted.note', name, follow_symlinks=False)
    write(folder + b'/attributes/file')
    for name, value in ((b'user.empty', b''), (b'user.' + b'n' * 250, b'\0'), ('user.\u00e9'.encode(), b'\xff'),
                        (b'user.large', b'x' * 2000)):
        os.setxattr(folder + b'/attributes/file', name, value)
    subprocess.run(['setfacl', '-m', 'u:54321:rwx,m::r', folder + b'/attributes'], check=True)
    for size in (0, 1, (512 << 10) - 1, 512 << 10, (512 << 10) + 1):
        write(folder + b'/sizes/%d' % size, os.urandom(size))
        write(folder + b'/sizes/zeros-%d' % size, bytes(size))
    for size in ((8 << 20) - 1, 8 << 20, (8 << 20) + 1):
        write(folder + b'/sizes/zeros-%d' % size, bytes(size))
    for number, moment in enumerate(MOMENTS):
        write(folder + b'/times/%d' % number)
        os.utime(folder + b'/times/%d' % number, ns=(moment, moment))
    os.utime(folder + b'/kinds/other', ns=(1, 1))


def make_socket(path):
    """A unix socket, which no backup holds."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.fspath(path))


def attributes_of(path):
    """Extended attributes of a file, without following a link; those only a kernel sets are left out."""
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        if not name.startswith(('security.selinux', 'trusted.')):
            found[name] = os.getxattr(path, name, follow_symlinks=False).hex()
    return found


def digest(path):
    """SHA-256 of a file."""
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def describe(path, links):
    """Everything about one file that a backup has to bring back."""
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    entry = {
        'type': kind,
        'mode': stat.S_IMODE(st.st_mode),
        'uid': st.st_uid,
        'gid': st.st_gid,
        'mtime': st.st_mtime_ns,
        'xattrs': attributes_of(path),
    }
    if kind == stat.S_IFREG:
        entry['size'] = st.st_size
        entry['sha256'] = digest(path)
        entry['holes'] = st.st_size > (1 << 20) and st.st_blocks * 512 < st.st_size // 2
    elif kind == stat.S_IFLNK:
        entry['target'] = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry['device'] = st.st_rdev
    if st.st_nlink > 1 and kind != stat.S_IFDIR:
        entry['same as'] = links.setdefault((st.st_dev, st.st_ino), os.path.basename(path))
    return entry


def scan(folder, ignore=()):
    """path below folder -> description, in a fixed order. Sockets are left out, as backups do."""
    folder = os.fsencode(folder)
    ignore = {os.fsencode(path) for path in ignore}
    entries, links = {}, {}
    for here, folders, names in os.walk(folder):
        folders.sort()
        relative = os.path.relpath(here, folder)
        entries[relative] = describe(here, links)
        for name in sorted(names + [f for f in folders if os.path.islink(os.path.join(here, f))]):
            path = os.path.join(here, name)
            below = os.path.normpath(os.path.join(relative, name))
            if below not in ignore and not stat.S_ISSOCK(os.lstat(path).st_mode):
                entries[below] = describe(path, links)
    return entries


def differences(one, other, ignore=()):
    """What differs between two trees, in words; empty when they are identical."""
    a, b = scan(one, ignore), scan(other, ignore)
    found = [f'missing: {path!r}' for path in a if path not in b]
    found += [f'not in the source: {path!r}' for path in b if path not in a]
    for path in a:
        for key in a[path] if path in b else ():
            if a[path][key] != b[path].get(key):
                found.append(f'{path!r}: {key} is {b[path].get(key)!r}, was {a[path][key]!r}')
    return found
