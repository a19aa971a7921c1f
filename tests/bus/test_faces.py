# SPDX-License-Identifier: Apache-2.0
"""The bus faces of the daemons: they are what dbus/*.xml says, on both doors, and only some may use them."""

import json
import os
import pwd
import shutil
import subprocess
import unittest
import xml.etree.ElementTree

from ground import DISPATCHER, KEYS, ROOT, SCHEDULER, Ground

DAEMONS = {'scheduler': SCHEDULER, 'dispatcher': DISPATCHER}
FOREIGN = ('org.freedesktop.',)

# Every method of the daemons with arguments that would be valid.
METHODS = {
    'scheduler': [
        ('org.backupx.Scheduler1', 'ListSchedules', 'read', ()),
        ('org.backupx.Scheduler1', 'NextElapse', 'read', ('t', 1)),
        ('org.backupx.Scheduler1', 'TestExpression', 'read', ('ssu', 'daily', 'UTC', 1)),
        ('org.backupx.Scheduler1', 'RunNow', 'change', ('t', 1)),
        ('org.backupx.Scheduler1', 'Pause', 'change', ()),
        ('org.backupx.Scheduler1', 'Resume', 'change', ()),
        ('org.backupx.Scheduler1', 'Reload', 'change', ()),
        ('org.backupx.Internal.Scheduler1', 'QueueRun', 'change', ('s', '{}')),
        ('org.backupx.Internal.Scheduler1', 'TasksChanged', 'change', ()),
    ],
    'dispatcher': [
        ('org.backupx.Dispatcher1', 'ListQueue', 'read', ()),
        ('org.backupx.Dispatcher1', 'ListNodes', 'read', ()),
        ('org.backupx.Dispatcher1', 'Cancel', 'change', ('t', 1)),
        ('org.backupx.Dispatcher1', 'Kick', 'change', ()),
        ('org.backupx.Dispatcher1', 'Drain', 'change', ('t', 1)),
        ('org.backupx.Dispatcher1', 'Undrain', 'change', ('t', 1)),
        ('org.backupx.Internal.Dispatcher1', 'CancelRun', 'change', ('ts', 1, '{}')),
        ('org.backupx.Internal.Dispatcher1', 'Probe', 'change', ('s', '{}')),
        ('org.backupx.Internal.Dispatcher1', 'CancelProbe', 'change', ('t', 1)),
        ('org.backupx.Internal.Dispatcher1', 'PinKey', 'change', ('ts', 1, KEYS['first'])),
        ('org.backupx.Internal.Dispatcher1', 'CancelProbe', 'change', ('t', 1)),
        ('org.backupx.Internal.Dispatcher1', 'NodeSeen', 'change', ('t', 1)),
        ('org.backupx.Internal.Dispatcher1', 'DrainNode', 'change', ('tbs', 1, 'true', '{}')),
    ],
}


def describe(text, interfaces=None):
    """What an introspection says: {interface: {(kind, name): signature}}."""
    found = {}
    for interface in xml.etree.ElementTree.fromstring(text).iter('interface'):
        name = interface.get('name')
        if name.startswith(FOREIGN) or (interfaces and name not in interfaces):
            continue
        members = found.setdefault(name, {})
        for member in interface:
            usual = 'out' if member.tag == 'signal' else 'in'
            arguments = tuple((a.get('type'), a.get('name'), a.get('direction', usual))
                              for a in member.iter('arg'))
            members[(member.tag, member.get('name'))] = (arguments, member.get('type'), member.get('access'))
    return found


class Faces(unittest.TestCase):
    """One start of the daemons for all."""

    @classmethod
    def setUpClass(cls):
        cls.ground = Ground()
        cls.ground.start()

    @classmethod
    def tearDownClass(cls):
        cls.ground.close()

    def described(self, name):
        """What dbus/ says about a daemon, the internal interface with it."""
        found = {}
        for file in sorted((ROOT / 'dbus').glob(f'org.backupx.*{name.capitalize()}1.xml')):
            found.update(describe(file.read_text()))
        return found

    def test_system_bus_is_as_described(self):
        """busctl introspect shows what dbus/*.xml says."""
        for name, daemon in DAEMONS.items():
            text = self.ground.busctl('--xml-interface', 'introspect', *daemon)
            shown = describe(text)
            described = self.described(name)
            self.assertIn(daemon[0], described)
            for interface, members in described.items():
                self.assertEqual(shown.get(interface), members, interface)
            self.assertEqual({i for i in shown if '.Internal.' not in i},
                             {i for i in described if '.Internal.' not in i})

    def test_both_doors_are_one(self):
        """The private door shows the same object."""
        for name, daemon in DAEMONS.items():
            outside = describe(self.ground.busctl('--xml-interface', 'introspect', *daemon))
            inside = describe(self.ground.tool('bus-door', self.ground.run / f'{name}.sock', 'introspect',
                                               daemon[1]))
            self.assertEqual(outside, inside)

    def test_every_method_is_tried(self):
        """The table above is whole, so that the tests of rights leave nothing out."""
        for name, daemon in DAEMONS.items():
            shown = describe(self.ground.busctl('--xml-interface', 'introspect', *daemon))
            methods = {(i, m[1]) for i, members in shown.items() for m in members if m[0] == 'method'}
            self.assertEqual(methods, {(i, m) for i, m, _, _ in METHODS[name]})

    @unittest.skipUnless(os.getuid() == 0, 'only root can call as somebody else')
    def test_strangers_are_refused(self):
        """A user in no group of ours may neither read nor change."""
        nobody = pwd.getpwnam('nobody')
        for folder in (self.ground.folder, self.ground.run):
            folder.chmod(0o755)
        for name, daemon in DAEMONS.items():
            for interface, member, _, arguments in METHODS[name]:
                answer = self.ground.call(daemon, member, *arguments, interface=interface, check=False,
                                          user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
                self.assertRegex(answer, '(?i)(denied|may not|not allowed|permission)',
                                 f'{interface}.{member}: {answer}')
        self.assertEqual(self.ground.store('audit'), [])

    @unittest.skipUnless(os.getuid() == 0, 'only root can call as somebody else')
    def test_private_door_is_closed(self):
        """The private socket is for its group alone."""
        nobody = pwd.getpwnam('nobody')
        for folder in (self.ground.folder, self.ground.run):
            folder.chmod(0o755)
        for name in DAEMONS:
            socket = self.ground.run / f'{name}.sock'
            self.assertEqual(socket.stat().st_mode & 0o777, 0o660)
            # The tree may be in a folder of root alone: somebody else needs a copy of the tool.
            tool = self.ground.folder / 'bus-door'
            shutil.copy(self.ground.build / 'tests' / 'bus' / 'bus-door', tool)
            result = subprocess.run([tool, socket, 'introspect', DAEMONS[name][1]], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, check=False, timeout=60,
                                    user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
            self.assertEqual(result.stdout, '')
            self.assertIn('ermission denied', result.stderr)

    def test_properties(self):
        """Properties can be read."""
        for name in ('Version', 'NextElapseUSec', 'ActiveSchedules'):
            self.ground.property(SCHEDULER, name)
        for name in ('Version', 'QueueDepth', 'Running', 'TimeoutsTotal', 'NodesOnline'):
            self.ground.property(DISPATCHER, name)

    def test_log_level(self):
        """org.freedesktop.LogControl1 is there, for systemctl service-log-level."""
        for daemon in DAEMONS.values():
            control = (daemon[0], '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1')
            self.ground.busctl('set-property', *control, 'LogLevel', 's', 'warning')
            self.assertEqual(self.ground.busctl('get-property', *control, 'LogLevel'), 's "warning"')
            self.ground.busctl('set-property', *control, 'LogLevel', 's', 'debug')

    def test_bad_arguments(self):
        """Nonsense is refused with a sentence, and the daemon lives on."""
        for text in ('', '{}', 'null', '{"kind":"backup","task_id":"x"}', '[' * 1000, '{"kind":"restore"}'):
            answer = self.ground.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'QueueRun', 's', text,
                                      check=False)
            self.assertTrue(answer.startswith('org.backupx.Error.InvalidArgument: '), answer)
            answer = self.ground.door(DISPATCHER, 'org.backupx.Internal.Dispatcher1', 'Probe', 's', text,
                                      check=False)
            self.assertTrue(answer.startswith('org.backupx.Error.InvalidArgument: '), answer)
        answer = self.ground.door(DISPATCHER, 'org.backupx.Internal.Dispatcher1', 'PinKey', 'ts', 1,
                                  'age1nonsense', check=False)
        self.assertTrue(answer.startswith('org.backupx.Error.InvalidArgument: '), answer)
        request = json.dumps({'kind': 'backup', 'task_id': 4711})
        answer = self.ground.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'QueueRun', 's', request,
                                  check=False)
        self.assertTrue(answer.startswith('org.backupx.Error.NotFound: '), answer)
        for name in DAEMONS:
            self.assertTrue(self.ground.processes[name].running())

    def test_expressions(self):
        """TestExpression answers with times, and with the place of an error."""
        answer = self.ground.call(SCHEDULER, 'TestExpression', 'ssu', '0 2 * * *', 'Europe/Berlin', 3)
        self.assertTrue(answer.startswith('at 3 '), answer)
        answer = self.ground.call(SCHEDULER, 'TestExpression', 'ssu', '0 25 * * *', 'UTC', 3, check=False)
        self.assertIn('column 3: this hour is above 23', answer)
        answer = self.ground.call(SCHEDULER, 'TestExpression', 'ssu', 'daily', 'Europe/Atlantis', 3,
                                  check=False)
        self.assertIn("There is no time zone 'Europe/Atlantis'", answer)


if __name__ == '__main__':
    unittest.main(verbosity=2)
