#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whom the agent believes to be its master: chain, CA, pinned key; and the way there through a proxy."""

import base64
import hashlib
import http.server
import re
import socketserver
import ssl
import subprocess
import threading
import time
import unittest

from agent_case import FAKE_JOB, AgentCase
from fake_master import FakeMaster


class Tls(AgentCase):
    """The master behind TLS with certificates made for the test."""

    job = FAKE_JOB

    def openssl(self, *arguments, stdin=None):
        """The output of one call."""
        result = subprocess.run(
            ['openssl', *map(str, arguments)], input=stdin, capture_output=True, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def certificate(self, name, days=1):
        """A self-signed one; (certificate, key)."""
        certificate, key = self.folder / f'{name}.pem', self.folder / f'{name}.key'
        self.openssl(
            *('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'),
            *('-days', days, '-subj', f'/CN={name}', '-addext', f'subjectAltName=IP:{name}'),
            *('-keyout', key, '-out', certificate),
        )
        return certificate, key

    def pin(self, certificate):
        """The SHA-256 of the public key, as the install command has it."""
        public = self.openssl('x509', '-in', certificate, '-pubkey', '-noout')
        der = self.openssl('pkey', '-pubin', '-outform', 'DER', stdin=public)
        return 'sha256//' + base64.b64encode(hashlib.sha256(der).digest()).decode()

    def serve(self, certificate, key, master=None):
        """From now on the master speaks TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = (master or self.master).server
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )

    def start_tls(self, **more):
        """The agent, over https."""
        return self.start(**{'BACKUPX_AGENT_MASTER': f'https://127.0.0.1:{self.master.port}', **more})

    def assert_refused(self):
        """No contact, and not one request arrived."""
        self.wait_status('No contact with')
        time.sleep(1.5)
        self.assertEqual(self.master.seen, [])

    def test_unknown_certificate(self):
        """Nobody vouches for it."""
        self.serve(*self.certificate('127.0.0.1'))
        self.start_tls()
        self.assert_refused()

    def test_ca(self):
        """The file that vouches for it."""
        certificate, key = self.certificate('127.0.0.1')
        self.serve(certificate, key)
        self.start_tls(BACKUPX_AGENT_CA_CERT=certificate)
        self.wait_status('Connected to')

    def test_ca_and_another_name(self):
        """The chain is right, the name is not."""
        certificate, key = self.certificate('127.0.0.2')
        self.serve(certificate, key)
        self.start_tls(BACKUPX_AGENT_CA_CERT=certificate)
        self.assert_refused()

    def test_pin(self):
        """The key alone decides: another name and no chain do not matter."""
        certificate, key = self.certificate('127.0.0.2')
        self.serve(certificate, key)
        self.start_tls(BACKUPX_AGENT_PIN=self.pin(certificate))
        self.wait_status('Connected to')

    def test_wrong_pin(self):
        """Another key, although the chain would do."""
        certificate, key = self.certificate('127.0.0.1')
        other, _ = self.certificate('127.0.0.3')
        self.serve(certificate, key)
        self.start_tls(BACKUPX_AGENT_PIN=self.pin(other), BACKUPX_AGENT_CA_CERT=certificate)
        self.assert_refused()

    def test_another_key_later(self):
        """Whoever takes the master's place gets nothing: no heartbeat, no claim, no result of a job."""
        one, another = self.certificate('127.0.0.2'), self.certificate('127.0.0.3')
        self.serve(*one)
        self.start_tls(BACKUPX_AGENT_PIN=self.pin(one[0]))
        self.wait_status('Connected to')
        command = self.master.add('backup', self.backup('hang', seconds=600))
        self.wait_job('1-1')
        self.master.wait(lambda: command.state == 'accepted', what='the job')
        self.master.close()
        thief = FakeMaster(self.master.port)
        self.addCleanup(lambda: thief.closed or thief.close())
        self.serve(*another, thief)
        self.release()
        self.wait_status('is not the one that was pinned')
        self.master.wait(self.leftovers, what='the result of the job')
        self.master.wait(
            lambda: len(re.findall('Claim: .* pinned', self.log_text())) > 2, what='claims that went wrong'
        )
        self.assertEqual(thief.seen, [])
        thief.close()
        self.master.open()
        self.serve(*one)
        self.assertEqual(self.master.finished(command)['status'], 'succeeded')

    def test_insecure(self):
        """For tests."""
        self.serve(*self.certificate('127.0.0.2'))
        self.start_tls(BACKUPX_AGENT_INSECURE_TLS='true')
        self.wait_status('Connected to')

    def test_plain_server(self):
        """Something that does not speak TLS gets nothing to read."""
        self.start_tls(BACKUPX_AGENT_INSECURE_TLS='true')
        self.assert_refused()

    def test_proxy(self):
        """Named by the option, or by the environment."""
        seen = []

        class Proxy(http.server.BaseHTTPRequestHandler):
            """Writes down whom it is asked for, and refuses."""

            def log_message(self, *_):
                pass

            def do_POST(self):
                """Asked by http.server."""
                seen.append(self.path)
                self.send_error(503)

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            """Threads."""

            daemon_threads = True

        with Server(('127.0.0.1', 0), Proxy) as proxy:
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            url = f'http://127.0.0.1:{proxy.server_address[1]}'
            for variable in ('BACKUPX_AGENT_PROXY_URL', 'http_proxy'):
                seen.clear()
                self.start(**{'BACKUPX_AGENT_MASTER': 'http://master.invalid', variable: url})
                self.wait_status('No contact with')
                self.assertIn('http://master.invalid/api/v1/agent/heartbeat', seen)
                self.agent.stop()
            proxy.shutdown()


if __name__ == '__main__':
    unittest.main()
