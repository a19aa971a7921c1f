#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the package of the agent: one archive that runs on any Linux with glibc and systemd, whatever the
distribution, because it brings every library but glibc along.

    make_package.py --description build/packaging/agent-package.json --output DIR

writes backupx-agent-VERSION-linux-ARCH.tar.gz, its .sha256 (as sha256sum writes it), its .sig (Ed25519 over the
archive, base64) and the public key for it, signing-key.pem. The same programs and libraries give the same bytes:
names are sorted, owners are 0, and every time is SOURCE_DATE_EPOCH, or that of the last commit.

The private key is the PEM file that BACKUPX_SIGNING_KEY or the build option agent_signing_key names. Without one
a key for development is made beside the description."""

import argparse
import base64
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

TOP = 'backupx-agent'

# What belongs to glibc: the machine's own, since the kernel's loader and the name service modules are of one piece.
GLIBC = re.compile(
    r'^(ld-linux.*|linux-vdso|linux-gate|libc|libm|libmvec|libdl|libpthread|librt|libresolv|libutil|libanl'
    r'|libnsl|libthread_db|libBrokenLocale|libc_malloc_debug|libmemusage|libpcprofile)\.so(\.\d+)*$'
)
# What libmariadb loads at a login, from a directory that other distributions do not have; none of those that send
# a password as it is.
MARIADB = 'libmariadb.so.3'
MARIADB_PLUGINS = ('caching_sha2_password.so', 'client_ed25519.so', 'sha256_password.so')
COMMON_LICENSES = pathlib.Path('/usr/share/common-licenses')


class PackageError(Exception):
    """What a person reads when there is no package."""


def run(*command, **options):
    """The output of a command that must not fail."""
    result = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'LC_ALL': 'C'},
        **options,
    )
    if result.returncode != 0:
        raise PackageError(f'{command[0]} failed with status {result.returncode}: {result.stderr.strip()}')
    return result.stdout


def needed_libraries(programs):
    """name -> path of every library but glibc's that the programs load, directly or not."""
    found = {}
    for line in run('ldd', *programs).splitlines():
        name, arrow, rest = line.strip().partition(' => ')
        name = os.path.basename(name.split(' ')[0])
        if not arrow or GLIBC.match(name):
            continue
        path = rest.split(' (')[0]
        if not path.startswith('/'):
            raise PackageError(f'{name} is not installed')
        if 'glibc-hwcaps' in path:
            raise PackageError(f'{path} is for newer processors only; a package must run on all of them')
        found[name] = os.path.realpath(path)
    return found


def owners_of(paths):
    """path -> the Debian package that it comes from."""
    names = {}
    for path in paths:
        # On a merged /usr the package database may know a file by its older name.
        names[path] = path
        names[path.removeprefix('/usr')] = path
    result = subprocess.run(
        ['dpkg-query', '-S', *names], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    owners = {}
    for line in result.stdout.splitlines():
        package, _, path = line.rpartition(': ')
        if path in names:
            owners[names[path]] = package.split(',')[0]
    missing = sorted(set(paths) - set(owners))
    if missing:
        raise PackageError(f'the licence of {missing[0]} is not known: no package owns it')
    return owners


def copy_file(source, target, mode=0o644):
    """Copies one file, making its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def plugins_of(libraries):
    """place below lib -> path of what the libraries load when they need it."""
    folder = pathlib.Path(libraries[MARIADB]).parent / 'libmariadb3/plugin'
    return {f'mysql-plugins/{name}': os.path.realpath(folder / name) for name in MARIADB_PLUGINS}


def copy_programs(description, tree):
    """The programs, without symbols; their libraries beside them, found by where the program lies."""
    programs = {TOP + '/' + place: path for place, path in description['programs'].items()}
    libraries = needed_libraries(programs.values())
    plugins = plugins_of(libraries)
    libraries = {**needed_libraries(plugins.values()), **libraries, **plugins}
    for place, path in programs.items():
        copy_file(path, tree / place, 0o755)
        run('strip', '--strip-all', tree / place)
        run('patchelf', '--set-rpath', '$ORIGIN/../lib', tree / place)
    for name, path in sorted(libraries.items()):
        target = tree / TOP / 'lib' / name
        copy_file(path, target)
        run('strip', '--strip-unneeded', target)
        # A run path holds for the needs of the file that has it, not for those of its libraries.
        run('patchelf', '--set-rpath', '$ORIGIN/..' if '/' in name else '$ORIGIN', target)
    return libraries


def copy_licenses(libraries, folder):
    """The licence of each library, and which version of what it is."""
    owners = owners_of(libraries.values())
    asked = run(
        'dpkg-query', '-W', '-f', '${Package}:${Architecture} ${Version} ${source:Package} ${source:Version}\n',
        *sorted(set(owners.values())),
    )  # fmt: skip
    versions = {line.split(' ')[0].split(':')[0]: line.split(' ')[1:] for line in asked.splitlines()}
    lines = ['# library, Debian package and version, source package and version: sources are at snapshot.debian.org']
    referred = set()
    for name, path in sorted(libraries.items()):
        package = owners[path].split(':')[0]
        version, source, source_version = versions[package]
        lines.append(f'{name} {package} {version} {source} {source_version}')
        text = pathlib.Path(f'/usr/share/doc/{package}/copyright')
        copy_file(text, folder / package / 'copyright')
        referred |= set(re.findall(r'/usr/share/common-licenses/([\w.-]*\w)', text.read_text('utf-8', 'replace')))
    for name in sorted(referred):
        if (COMMON_LICENSES / name).is_file():
            copy_file(COMMON_LICENSES / name, folder / 'common-licenses' / name)
    (folder / 'LIBRARIES').write_text('\n'.join(lines) + '\n')


def copy_texts(description, tree):
    """Units with the paths of this package, and what else systemd and the bus want to know."""
    for path in map(pathlib.Path, description['units']):
        text = path.read_text()
        for name, value in description['values'].items():
            text = text.replace(f'@{name}@', value)
        # Instances have an @ as well, but never two around a word.
        left = re.search(r'@[a-z_]+@', text) if path.suffix == '.in' else None
        if left:
            raise PackageError(f'{path} has {left.group()}, which the package does not define')
        target = tree / TOP / 'units' / path.name.removesuffix('.in')
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
    for place, paths in description['files'].items():
        for path in paths:
            copy_file(path, tree / TOP / place / os.path.basename(path))
    (tree / TOP / 'VERSION').write_text(description['version'] + '\n')


def source_date(folder):
    """The time that every file of the archive gets."""
    if os.environ.get('SOURCE_DATE_EPOCH'):
        return int(os.environ['SOURCE_DATE_EPOCH'])
    try:
        return int(run('git', '-c', 'safe.directory=*', '-C', folder, 'log', '-1', '--format=%ct'))
    except (PackageError, OSError, ValueError):
        return int(os.stat(os.path.join(folder, 'meson.build')).st_mtime)


def write_archive(tree, path, time):
    """The same tree gives the same bytes."""
    with open(path, 'wb') as raw, gzip.GzipFile('', 'wb', 9, raw, mtime=0) as packed:
        with tarfile.open(mode='w', fileobj=packed, format=tarfile.USTAR_FORMAT) as archive:
            for entry in [tree / TOP, *sorted((tree / TOP).rglob('*'))]:
                info = archive.gettarinfo(entry, str(entry.relative_to(tree)))
                info.uid = info.gid = 0
                info.uname = info.gname = 'root'
                info.mtime = time
                info.mode = 0o755 if entry.is_dir() or info.mode & 0o100 else 0o644
                if info.isreg():
                    with open(entry, 'rb') as data:
                        archive.addfile(info, data)
                else:
                    archive.addfile(info)


def signing_key(description):
    """The private key: the one that was named, or one for development, made once."""
    named = os.environ.get('BACKUPX_SIGNING_KEY') or description['signing_key']
    if named:
        return named
    key = description['development_key']
    if not os.path.exists(key):
        old = os.umask(0o077)
        run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', key)
        os.umask(old)
    return key


def sign(archive, key, output):
    """Checksum, signature and public key beside the archive."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (output / f'{archive.name}.sha256').write_text(f'{digest}  {archive.name}\n')
    raw = output / f'.{archive.name}.sig'
    try:
        run('openssl', 'pkeyutl', '-sign', '-rawin', '-inkey', key, '-in', archive, '-out', raw)
        if raw.stat().st_size != 64:
            raise PackageError(f'{key} is not an Ed25519 key')
        (output / f'{archive.name}.sig').write_bytes(base64.b64encode(raw.read_bytes()) + b'\n')
    finally:
        raw.unlink(missing_ok=True)
    (output / 'signing-key.pem').write_text(run('openssl', 'pkey', '-in', key, '-pubout'))


def make_package(description, output):
    """Everything, in a folder of its own first."""
    for tool in ('ldd', 'strip', 'patchelf', 'openssl', 'dpkg-query'):
        if not shutil.which(tool):
            raise PackageError(f'{tool} is not installed')
    output.mkdir(parents=True, exist_ok=True)
    name = f'{TOP}-{description["version"]}-linux-{description["arch"]}.tar.gz'
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        libraries = copy_programs(description, tree)
        copy_licenses(libraries, tree / TOP / 'share/licenses')
        copy_texts(description, tree)
        write_archive(tree, output / name, source_date(description['source']))
    sign(output / name, signing_key(description), output)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description='Makes the package of the agent.')
    parser.add_argument('--description', required=True, help='what meson wrote about the build')
    parser.add_argument('--output', required=True, type=pathlib.Path, help='the folder to write to')
    options = parser.parse_args()
    try:
        make_package(json.loads(pathlib.Path(options.description).read_text()), options.output)
    except (PackageError, OSError) as error:
        print(f'No agent package: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
