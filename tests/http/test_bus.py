#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bus face of the API: what dbus/org.backupx.Api1.xml says, on both doors, and true."""

import http.client
import pathlib
import subprocess
import unittest
import xml.etree.ElementTree

from http_case import HttpCase, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME, PATH = 'org.backupx.Api1', '/org/backupx/Api1'


def members(text):
    """What an introspection says of our interface."""
    for interface in xml.etree.ElementTree.fromstring(text).iter('interface'):
        if interface.get('name') == NAME:
            return {(m.tag, m.get('name'), m.get('type'), m.get('access')) for m in interface}
    return None


class Bus(HttpCase):
    """Properties and the level of the log."""

    def run_tool(self, *command):
        """The output of a program that has to end well."""
        result = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout.strip()

    def busctl(self, *arguments):
        """busctl on the private bus."""
        return self.run_tool('busctl', f'--address=unix:path={self.suite.run}/bus', *arguments)

    def property(self, name):
        """A property, with its type."""
        return self.busctl('get-property', NAME, PATH, NAME, name)

    def test_described(self):
        described = members((ROOT / 'dbus' / f'{NAME}.xml').read_text(encoding='utf-8'))
        self.assertTrue(described)
        self.assertEqual(members(self.busctl('--xml-interface', 'introspect', NAME, PATH)), described)
        door = self.suite.build / 'tests' / 'bus' / 'bus-door'
        inside = self.run_tool(door, self.suite.run / 'api.sock', 'introspect', PATH)
        self.assertEqual(members(inside), described)

    def test_properties(self):
        self.assertEqual(self.property('ListenAddresses'), f'as 1 "127.0.0.1:{self.suite.port}"')
        self.assertRegex(self.property('Version'), r's "\d+\.\d+')
        self.assertEqual(self.property('WaitingAgents'), 'u 0')
        before = self.property('OpenStreams')
        connection = http.client.HTTPConnection('127.0.0.1', self.suite.port, timeout=60)
        connection.request(
            'GET', '/api/v1/events', headers={'Authorization': f'Bearer {self.admin.token}'}
        )
        response = connection.getresponse()
        response.readline()
        self.assertEqual((before, self.property('OpenStreams')), ('u 0', 'u 1'))
        response.close()
        connection.close()

    def test_log_level(self):
        control = (NAME, '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1', 'LogLevel')
        for level in ('warning', 'debug'):
            self.busctl('set-property', *control, 's', level)
            self.assertEqual(self.busctl('get-property', *control), f's "{level}"')

    def test_status(self):
        process = self.suite.processes['api']
        wait_until(lambda: process.status.startswith('Serving on'), what='the status line')


if __name__ == '__main__':
    unittest.main()
