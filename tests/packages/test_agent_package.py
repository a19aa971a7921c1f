#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The package of the agent: what is in it, that it needs nothing but glibc, that it is signed and reproducible."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from agent_package import agent_archive  # noqa: E402
from processes import clean_environment  # noqa: E402
from suite import ROOT, build_folder  # noqa: E402

MAKE = ROOT / 'packaging/agent/make_package.py'
PROGRAMS = (
    'bin/backupx',
    'libexec/backupx-agent',
    'libexec/backupx-backint',
    'libexec/backupx-hook',
    'libexec/backupx-job',
)
# Of the machine: the loader and what is of one piece with it.
GLIBC = re.compile(r'^(ld-linux.*|linux-vdso|libc|libm|libdl|libpthread|librt|libresolv)\.so(\.\d+)*$')
# The oldest glibc that the package is meant for is that of Debian 12.
GLIBC_VERSION = (2, 36)


def output_of(*command, **options):
    """(status, output and errors) of a command."""
    options.setdefault('env', clean_environment(LC_ALL='C'))
    result = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    return result.returncode, result.stdout


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that answers every request with 501, and says nothing."""

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Nothing."""


class AgentPackage(unittest.TestCase):
    """One archive, unpacked once."""

    @classmethod
    def setUpClass(cls):
        cls.archive = agent_archive()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-package-', dir='/var/tmp'))
        with tarfile.open(cls.archive) as archive:
            cls.members = archive.getmembers()
            archive.extractall(cls.folder)
        cls.tree = cls.folder / 'backupx-agent'

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def objects(self):
        """Programs and libraries."""
        return [self.tree / name for name in PROGRAMS] + self.libraries()

    def libraries(self):
        """Those that programs are linked with, and those that are loaded when they are needed."""
        return sorted(path for path in (self.tree / 'lib').rglob('*') if not path.is_dir())

    def make(self, folder, key=None, **environment):
        """Makes the package of this build once more, in another folder."""
        description = pathlib.Path(build_folder()) / 'packaging/agent-package.json'
        if key is not None:
            environment['BACKUPX_SIGNING_KEY'] = str(key)
        return output_of(
            MAKE, '--description', description, '--output', folder, env=clean_environment(**environment)
        )

    def verify(self, folder):
        """Whether the signature beside the archive is right, as an installer with openssl asks."""
        raw = self.folder / 'signature'
        raw.write_bytes(base64.b64decode((folder / f'{self.archive.name}.sig').read_text(), validate=False))
        return output_of(
            'openssl', 'pkeyutl', '-verify', '-pubin', '-inkey', folder / 'signing-key.pem', '-rawin',
            '-in', folder / self.archive.name, '-sigfile', raw,
        )  # fmt: skip

    def test_layout(self):
        """What the installer relies on is there, below one folder, owned by root and writable by nobody else."""
        names = {member.name for member in self.members}
        for name in (*PROGRAMS, 'VERSION', 'LICENSE', 'share/sysusers.d/backupx-agent.conf',
                     'share/tmpfiles.d/backupx-agent.conf', 'share/dbus-1/system.d/org.backupx.Agent1.conf',
                     'share/catalog/backupx.catalog', 'share/man/man1/backupx.1'):  # fmt: skip
            self.assertIn(f'backupx-agent/{name}', names)
        for member in self.members:
            self.assertEqual(member.name.split('/')[0], 'backupx-agent')
            self.assertTrue(member.isdir() or member.isreg(), member.name)
            self.assertEqual((member.uid, member.gid), (0, 0), member.name)
            executable = member.isdir() or member.name.removeprefix('backupx-agent/') in PROGRAMS
            self.assertEqual(member.mode, 0o755 if executable else 0o644, member.name)
        self.assertEqual(len({member.mtime for member in self.members}), 1)
        version = (self.tree / 'VERSION').read_text().strip()
        self.assertRegex(self.archive.name, rf'^backupx-agent-{re.escape(version)}-linux-(amd64|arm64)\.tar\.gz$')
        status, said = output_of(self.tree / 'bin/backupx', '--version')
        self.assertEqual(status, 0, said)
        self.assertIn(version, said)

    def test_units(self):
        """All units of the agent and none of the master, with the paths of the package."""
        units = {path.name for path in (self.tree / 'units').iterdir()}
        here = {path.name.removesuffix('.in') for path in (ROOT / 'units').iterdir()} - {'meson.build'}
        master = re.compile(r'^backupx(\.target$|-(api|scheduler|dispatcher|keys|self-backup)\b)')
        self.assertEqual(units, {name for name in here if not master.match(name)})
        self.assertIn('backupx-agent.service', units)
        for path in (self.tree / 'units').iterdir():
            for line in path.read_text().splitlines():
                self.assertNotIn('/usr/', line, path.name)
                program = re.match(r'Exec\w+=[-+!:@]*(\S+)', line)
                if program:
                    inside = program.group(1).removeprefix('/opt/backupx-agent/')
                    self.assertTrue((self.tree / inside).is_file(), line)

    def test_libraries(self):
        """Each object finds what it needs in the package, and nothing but glibc elsewhere."""
        for path in self.objects():
            dynamic = output_of('readelf', '-d', path)[1]
            wanted = {'lib': '[$ORIGIN]', 'mysql-plugins': '[$ORIGIN/..]'}.get(path.parent.name, '[$ORIGIN/../lib]')
            self.assertRegex(dynamic, rf'\(RUNPATH\)\s+Library runpath: {re.escape(wanted)}', path.name)
            for name in re.findall(r'\(NEEDED\)\s+Shared library: \[(.*)\]', dynamic):
                here = (self.tree / 'lib' / name).is_file()
                self.assertNotEqual(here, bool(GLIBC.match(name)), f'{path.name} needs {name}')
            versions = re.findall(r'GLIBC_(\d+)\.(\d+)', output_of('objdump', '-T', path)[1])
            self.assertLessEqual(max((int(a), int(b)) for a, b in versions), GLIBC_VERSION, path.name)

    def test_licenses(self):
        """Each library has its licence, and its source can be found."""
        lines = (self.tree / 'share/licenses/LIBRARIES').read_text().splitlines()
        listed = {line.split(' ')[0]: line.split(' ') for line in lines if not line.startswith('#')}
        self.assertEqual(set(listed), {str(path.relative_to(self.tree / 'lib')) for path in self.libraries()})
        for name, (_, package, version, source, source_version) in listed.items():
            self.assertTrue(version and source and source_version, name)
            text = (self.tree / 'share/licenses' / package / 'copyright').read_text('utf-8', 'replace')
            self.assertGreater(len(text), 100)
            for common in re.findall(r'/usr/share/common-licenses/([\w.-]*\w)', text):
                if os.path.exists(f'/usr/share/common-licenses/{common}'):
                    self.assertTrue((self.tree / 'share/licenses/common-licenses' / common).is_file(), common)

    def test_plugins(self):
        """The library for servers of databases finds its logins in the package, and none that sends passwords."""
        script = (
            'import ctypes, sys; tree, name, found = sys.argv[1:]\n'
            'library = ctypes.CDLL(tree + "/lib/libmariadb.so.3")\n'
            'library.mysql_init.restype = library.mysql_client_find_plugin.restype = ctypes.c_void_p\n'
            'connection = ctypes.c_void_p(library.mysql_init(None))\n'
            'folder = ctypes.c_char_p((tree + "/lib/mysql-plugins").encode())\n'
            'assert library.mysql_options(connection, 22, folder) == 0  # MYSQL_PLUGIN_DIR\n'
            'plugin = library.mysql_client_find_plugin(connection, name.encode(), 2)  # authentication\n'
            'assert (plugin is not None) == (found == "True"), name\n'
        )
        for name, found in (('mysql_native_password', True), ('caching_sha2_password', True), ('client_ed25519', True),
                            ('sha256_password', True), ('mysql_clear_password', False), ('dialog', False)):  # fmt: skip
            status, said = output_of(sys.executable, '-c', script, self.tree, name, found)
            self.assertEqual(status, 0, said)

    def test_checksum_and_signature(self):
        """Both hold for these bytes, and for no others."""
        name = self.archive.name
        digest = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        self.assertEqual((self.archive.parent / f'{name}.sha256').read_text(), f'{digest}  {name}\n')
        status, said = self.verify(self.archive.parent)
        self.assertEqual(status, 0, said)
        changed = self.folder / 'changed'
        shutil.copytree(self.archive.parent, changed)
        with open(changed / name, 'r+b') as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 1]))
        self.assertNotEqual(self.verify(changed)[0], 0)
        for path in self.archive.parent.iterdir():
            self.assertNotIn(b'PRIVATE KEY', path.read_bytes(), path.name)

    def test_reproducible(self):
        """The same build gives the same bytes, whatever the clock, the umask and the key for development."""
        key = self.folder / 'key.pem'
        self.assertEqual(output_of('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', key)[0], 0)
        second = self.folder / 'second'
        old = os.umask(0o077)
        try:
            status, said = self.make(second, key, TZ='Pacific/Apia')
        finally:
            os.umask(old)
        self.assertEqual(status, 0, said)
        self.assertEqual((second / self.archive.name).read_bytes(), self.archive.read_bytes())
        # The key that was named signed it.
        self.assertEqual(
            (second / 'signing-key.pem').read_text(), output_of('openssl', 'pkey', '-in', key, '-pubout')[1]
        )
        self.assertEqual(self.verify(second)[0], 0)

    def test_wrong_key(self):
        """A key that cannot sign so, or is not there, is an error that names it."""
        key = self.folder / 'rsa.pem'
        self.assertEqual(output_of('openssl', 'genpkey', '-algorithm', 'rsa', '-out', key)[0], 0)
        sys.path.insert(0, str(MAKE.parent))
        import make_package  # pylint: disable=import-outside-toplevel,import-error

        small = self.folder / 'small.tar.gz'
        small.write_bytes(b'not much')
        for wrong in (key, self.folder / 'no-such-key.pem'):
            with self.assertRaises(make_package.PackageError) as caught:
                make_package.sign(small, wrong, self.folder)
            self.assertRegex(str(caught.exception), 'openssl|Ed25519')
            self.assertFalse((self.folder / 'small.tar.gz.sig').exists())
        description = json.loads((pathlib.Path(build_folder()) / 'packaging/agent-package.json').read_text())
        self.assertNotIn('agent/', os.path.relpath(description['development_key'], build_folder() / 'packaging'))

    def test_runs_with_nothing_but_glibc(self):
        """In a root that holds glibc and the package: each program starts, and finds the others."""
        if os.geteuid() != 0:
            self.skipTest('a root of its own needs root')
        root = self.folder / 'root'
        shutil.copytree(self.tree, root / 'anywhere/agent')
        (root / 'proc').mkdir()
        for line in output_of('ldd', *(self.tree / name for name in PROGRAMS))[1].splitlines():
            path = re.search(r'(/\S+) \(', line)
            if path and GLIBC.match(os.path.basename(path.group(1))):
                target = root / path.group(1).lstrip('/')
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path.group(1), target)
        script = 'mount -t proc proc "$1/proc" && exec chroot "$1" /anywhere/agent/"$2" "${@:3}"'
        for program, *arguments in (
            ('bin/backupx', '--version'),
            ('bin/backupx', 'agent', '--help'),
            ('bin/backupx', 'backint', '-h'),
            ('libexec/backupx-agent', '--help'),
            ('libexec/backupx-hook', '--help'),
            ('libexec/backupx-job', '--help'),
        ):
            status, said = output_of(
                'unshare', '--mount', 'bash', '-c', script, 'bash', root, program, *arguments
            )
            self.assertEqual(status, 0, f'{program}: {said}')
            self.assertIn('backupx', said)

    def test_certificate_authorities(self):
        """The bundled libcurl knows Debian's place only; the authorities of Fedora are found all the same."""
        if os.geteuid() != 0:
            self.skipTest('another /etc needs root')
        names = {'good': self.make_authority('good'), 'other': self.make_authority('other')}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(names['good'], self.folder / 'good.key')
        with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Refusing) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f'https://127.0.0.1:{server.server_port}'
            script = (
                'mkdir -p "$4/upper" "$4/work" && mount -t overlay overlay /etc '
                '-o "lowerdir=/etc,upperdir=$4/upper,workdir=$4/work" && rm -r /etc/ssl && '
                'mkdir -p /etc/pki/tls/certs && cp "$1" /etc/pki/tls/certs/ca-bundle.crt && '
                'exec env BACKUPX_TOKEN=x "$2" status --server "$3"'
            )
            for name, trusted in (('good', True), ('other', False)):
                said = output_of(
                    'unshare', '--mount', 'bash', '-c', script, 'bash', names[name],
                    self.tree / 'bin/backupx', url, self.folder / f'etc-{name}',
                )[1]  # fmt: skip
                self.assertEqual('is not trusted' not in said, trusted, said)
                self.assertEqual('501' in said, trusted, said)
            server.shutdown()

    def make_authority(self, name):
        """A certificate for 127.0.0.1 that vouches for itself."""
        certificate = self.folder / f'{name}.pem'
        status, said = output_of(
            'openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
            '-subj', f'/CN={name}', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2',
            '-keyout', self.folder / f'{name}.key', '-out', certificate,
        )  # fmt: skip
        self.assertEqual(status, 0, said)
        return certificate


if __name__ == '__main__':
    unittest.main(verbosity=2)
