# SPDX-License-Identifier: Apache-2.0
"""An authority of one's own, which nobody else trusts, and certificates of servers by it."""

import os
import shutil
import subprocess
import tempfile


class Authority:
    """path is its certificate."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='backupx-authority-')
        os.chmod(self.folder, 0o755)
        self.path = f'{self.folder}/authority.pem'
        self.make('authority')

    def make(self, name, *more):
        """A key, and a certificate for it."""
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                        '-nodes', '-days', '30', '-subj', f'/CN={name}', '-keyout', f'{self.folder}/{name}.key',
                        '-out', f'{self.folder}/{name}.pem', *more], check=True, capture_output=True)
        os.chmod(f'{self.folder}/{name}.pem', 0o644)

    def sign(self, host, user):
        """(certificate, key) of the server of this name, and of no other; this user may read the key."""
        self.make(host, '-CA', self.path, '-CAkey', f'{self.folder}/authority.key', '-addext',
                  f'subjectAltName=DNS:{host}')
        certificate, key = f'{self.folder}/{host}.pem', f'{self.folder}/{host}.key'
        if os.geteuid() == 0:
            shutil.chown(key, user)
        return certificate, key

    def close(self):
        shutil.rmtree(self.folder)
