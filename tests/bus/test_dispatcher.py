# SPDX-License-Identifier: Apache-2.0
"""The dispatcher: from a queued run to its end, through lost bells, kills, silence and hostile results."""

import base64
import json
import signal
import subprocess
import time
import unittest

from ground import DISPATCHER, Ground, wait_until

INTERNAL = 'org.backupx.Internal.Dispatcher1'


class Dispatcher(unittest.TestCase):
    """Each test with a store of its own."""

    def setUp(self):
        self.ground = Ground()
        self.addCleanup(self.ground.close)
        self.ground.start()

    def queued(self, **more):
        """A run of a new task whose node has a key, and its claimed command."""
        task = self.ground.make_task_row(**more)
        self.assertTrue(self.ground.pin())
        run = self.ground.queue(task)
        return run, self.ground.claim()[0]

    def accept(self, command):
        """Accepts a command and rings the bell."""
        self.ground.store('accept', command['node'], command['id'], command['attempt'])
        self.ground.call(DISPATCHER, 'Kick')

    def nodes(self):
        """The nodes by id."""
        return {node['id']: node for node in self.ground.store('nodes')}

    # --- the way of a run ---

    def test_whole_way(self):
        """Queued, dispatched, running, succeeded, each with its signal; and what the command says."""
        task = self.ground.make_task_row()
        self.assertTrue(self.ground.pin())
        with self.ground.watch(DISPATCHER) as signals:
            run = self.ground.queue(task)
            signals.wait('CommandQueued 1')
            command = self.ground.claim()[0]
            self.ground.call(DISPATCHER, 'Kick')
            signals.wait(f'RunChanged {run} dispatched')
            self.accept(command)
            signals.wait(f'RunChanged {run} running')
            self.ground.finish(command, files=3)
            self.ground.call(DISPATCHER, 'Kick')
            signals.wait(f'RunChanged {run} succeeded', f'CommandFinished {command["id"]} succeeded')
        shown = self.ground.store('run', run)
        self.assertEqual((shown['state'], shown['files'], shown['error_code']), ('succeeded', 3, None))
        self.assertEqual(shown['targets'][0]['state'], 'succeeded')

        spec = json.loads(command['spec'])
        self.assertEqual(spec['run'], run)
        self.assertEqual(spec['task']['name'], 'etc')
        self.assertEqual(spec['node'], {'id': 1, 'name': 'local'})
        self.assertEqual(spec['source']['paths'], ['/etc/hostname'])
        self.assertEqual(spec['source']['excludes'], ['*.tmp'])
        self.assertEqual(spec['compression'], {'algorithm': 'zstd', 'level': 5})
        self.assertEqual(spec['recipients'], [])
        self.assertRegex(spec['targets'][0]['prefix'], rf'^local/etc/\d{{8}}T\d{{6}}\.\d{{3}}Z-{run}-$')
        self.assertNotIn('secret', command['spec'])
        self.assertTrue(command['secrets'])

    def test_sealed(self):
        """A sealed task has its node's recipient, the same one for every run."""
        _, command = self.queued(encryption='sealed')
        recipients = json.loads(command['spec'])['recipients']
        self.assertEqual(len(recipients), 1)
        self.assertTrue(recipients[0].startswith('age1'))
        self.ground.finish(command)
        run = self.ground.queue(self.ground.make_task_row(name='var', encryption='sealed'))
        self.ground.restart('dispatcher', kill=True)
        again = self.ground.claim()[0]
        self.assertEqual(json.loads(again['spec'])['run'], run)
        self.assertEqual(json.loads(again['spec'])['recipients'], recipients)

    def test_lost_bells(self):
        """No signal at all: the store is looked at once a second."""
        run, command = self.queued()
        self.ground.store('accept', 1, command['id'], command['attempt'])
        self.ground.wait_state(run, 'running')
        self.ground.finish(command)
        self.ground.wait_state(run, 'succeeded')

    def test_scheduler_away(self):
        """A run that was queued while the dispatcher was away is found at its start."""
        task = self.ground.make_task_row()
        self.assertTrue(self.ground.pin())
        self.ground.processes['dispatcher'].kill()
        run = self.ground.queue(task)
        self.ground.processes['scheduler'].kill()
        self.ground.start_daemon('dispatcher')
        command = self.ground.claim()[0]
        self.assertEqual(command['run'], run)
        self.ground.start_daemon('scheduler')
        self.ground.finish(command)
        self.ground.wait_state(run, 'succeeded')
        # The bell works again after both were away.
        with self.ground.watch(DISPATCHER) as signals:
            self.ground.queue(task)
            signals.wait('CommandQueued 1')

    def test_many_at_once(self):
        """Runs that are found together share commits: each has its command, and is told when that is there."""
        tasks = [self.ground.make_task_row(name=f'task-{i}') for i in range(40)]
        self.assertTrue(self.ground.pin())
        dispatcher = self.ground.processes['dispatcher'].process
        with self.ground.watch(DISPATCHER) as signals:
            dispatcher.send_signal(signal.SIGSTOP)
            runs = {self.ground.queue(task) for task in tasks}
            dispatcher.send_signal(signal.SIGCONT)
            signals.wait('CommandQueued 1')
            commands = {}
            while commands.keys() < runs:
                for command in self.ground.claim():
                    self.ground.store('accept', 1, command['id'], command['attempt'])
                    commands[command['run']] = command
            self.ground.call(DISPATCHER, 'Kick')
            signals.wait(*(f'RunChanged {run} running' for run in runs))
            self.assertEqual(signals.seen.count('CommandQueued 1'), len(runs))
            for command in commands.values():
                self.ground.finish(command)
            self.ground.call(DISPATCHER, 'Kick')
            signals.wait(*(f'RunChanged {run} succeeded' for run in runs))
        self.assertEqual(commands.keys(), runs)

    def test_killed_at_every_step(self):
        """Killed again and again, every run gets one command and one end."""
        tasks = [self.ground.make_task_row(name=f'task-{i}') for i in range(6)]
        self.assertTrue(self.ground.pin())
        runs, commands = [], {}
        for i, task in enumerate(tasks):
            runs.append(self.ground.queue(task))
            time.sleep(0.002 * i)
            self.ground.restart('dispatcher', kill=True)
        while len(commands) < len(runs):
            for command in self.ground.claim():
                self.assertNotIn(command['run'], commands)
                commands[command['run']] = command
        for i, run in enumerate(runs):
            self.ground.store('accept', 1, commands[run]['id'], commands[run]['attempt'])
            self.ground.restart('dispatcher', kill=True)
            self.ground.finish(commands[run])
            time.sleep(0.002 * i)
            self.ground.restart('dispatcher', kill=True)
        for run in runs:
            self.ground.wait_state(run, 'succeeded')

    def test_node_without_key(self):
        """Nothing is sent to a node that has no key; it goes on as soon as there is one."""
        run = self.ground.queue(self.ground.make_task_row())
        time.sleep(1.2)
        self.assertEqual(self.ground.store('claim', 1), [])
        self.assertEqual(self.ground.state(run), 'queued')
        self.assertTrue(self.ground.pin())
        self.assertEqual(self.ground.claim()[0]['run'], run)

    def test_pins(self):
        """A second key is refused until the operator opens the pin; what waited is sealed anew."""
        run = self.ground.queue(self.ground.make_task_row())
        self.assertTrue(self.ground.pin())
        self.assertTrue(self.ground.pin())
        wait_until(lambda: self.ground.store('run', run)['command'], 60, 'a command')
        first = self.ground.store('command', self.ground.store('run', run)['command'])
        self.assertFalse(self.ground.pin(key='second'))
        self.ground.store('open-pin', 1)
        self.assertTrue(self.ground.pin(key='second'))
        command = self.ground.claim()[0]
        self.assertEqual(command['run'], run)
        self.assertNotEqual(command['id'], first['id'])
        self.assertNotEqual(command['secrets'], first['secrets'])
        self.assertEqual(self.ground.store('command', first['id'])['state'], 'cancelled')
        self.ground.finish(command)
        self.ground.wait_state(run, 'succeeded')

    def test_target_changed(self):
        """A command that waits follows its target; one that is out does not."""
        run = self.queued_run()
        wait_until(lambda: self.ground.store('run', run)['command'], 60, 'a command')
        first = self.ground.store('run', run)['command']
        self.ground.store('retarget', 1, '{"path":"/srv/elsewhere"}')
        wait_until(lambda: self.ground.store('run', run)['command'] not in (0, first), 60, 'another command')
        command = self.ground.claim()[0]
        self.assertEqual(json.loads(command['spec'])['targets'][0]['config'], {'path': '/srv/elsewhere'})
        self.ground.store('retarget', 1, '{"path":"/srv/third"}')
        time.sleep(1.3)
        self.assertEqual(self.ground.store('run', run)['command'], command['id'])
        self.ground.finish(command)
        self.ground.wait_state(run, 'succeeded')

    # --- ends ---

    def test_partial_and_failed(self):
        """The state says what the result says, and never more."""
        run, command = self.queued()
        self.ground.finish(command, errors=[{'path': '/etc/shadow', 'code': 'EACCES', 'message': 'no'}],
                           errors_total=1)
        self.assertIn('/etc/shadow', self.ground.wait_state(run, 'partial')['error'])
        run = self.ground.queue(1)
        command = self.ground.claim()[0]
        self.ground.finish(command, targets=[{'target_id': 1, 'state': 'failed', 'error': 'disk full'}])
        self.assertIn('disk full', self.ground.wait_state(run, 'failed')['error'])
        run = self.ground.queue(1)
        command = self.ground.claim()[0]
        self.ground.finish(command, state='failed', code='JOB_KILLED', error='The job was killed')
        self.assertEqual(self.ground.wait_state(run, 'failed')['error_code'], 'JOB_KILLED')
        self.assertIn('The run has ended: failed: The job was killed', self.ground.store('log', run))

    def test_hostile_results(self):
        """Results that are lies or noise fail their run and nothing else."""
        for body in ({'targets': 'x'}, {'files': -1}, {'targets': [{'target_id': 99, 'state': 'succeeded'}]},
                     {'manifest_sha256': 'zz'}, {'errors': [{}] * 101}):
            run = self.ground.queue(1) if self.ground.store('runs') else self.queued_run()
            command = self.ground.claim()[0]
            self.ground.finish(command, **body)
            self.ground.wait_state(run, 'failed')
        self.assertTrue(self.ground.processes['dispatcher'].running())

    def queued_run(self):
        """A run of a new task whose node has a key."""
        task = self.ground.make_task_row()
        self.assertTrue(self.ground.pin())
        return self.ground.queue(task)

    def test_cancel_waiting(self):
        """A run that waits is cancelled at once, with its audit row."""
        run = self.queued_run()
        wait_until(lambda: self.ground.store('run', run)['command'], 60, 'a command')
        self.ground.door(DISPATCHER, INTERNAL, 'CancelRun', 'ts', run, '{"username":"ann","user_id":0}')
        self.assertEqual(self.ground.wait_state(run, 'cancelled')['state'], 'cancelled')
        self.assertEqual(self.ground.store('claim', 1), [])
        self.assertIn({'action': 'run.cancel', 'username': 'ann', 'object': run}, self.ground.store('audit'))
        answer = self.ground.call(DISPATCHER, 'Cancel', 't', run, check=False)
        self.assertIn('has ended', answer)
        answer = self.ground.call(DISPATCHER, 'Cancel', 't', 4711, check=False)
        self.assertIn('no such', answer)

    def test_cancel_running(self):
        """A run that is out is cancelled by its agent, which is told."""
        run, command = self.queued()
        self.accept(command)
        self.ground.wait_state(run, 'running')
        self.ground.call(DISPATCHER, 'Cancel', 't', run)
        wait_until(lambda: self.ground.store('cancels', 1) == [command['id']], 60, 'the order to cancel')
        self.assertEqual(self.ground.state(run), 'running')
        self.ground.finish(command, state='cancelled', targets=[], code='CANCELLED', error='Asked for')
        self.ground.wait_state(run, 'cancelled')

    def test_cancel_without_command(self):
        """A run that never became a command is cancelled too."""
        run = self.ground.queue(self.ground.make_task_row())
        self.ground.call(DISPATCHER, 'Cancel', 't', run)
        self.ground.wait_state(run, 'cancelled')

    # --- silence ---

    def test_redelivery(self):
        """What was delivered and is not accepted within 30 s is delivered again, with the next attempt."""
        run = self.queued_run()
        wait_until(lambda: self.ground.store('run', run)['command'], 60, 'a command')
        first = self.ground.store('claim', 1, 31)[0]
        self.assertEqual(first['attempt'], 1)
        with self.ground.watch(DISPATCHER) as signals:
            self.ground.store('beat', 1)
            signals.wait('CommandQueued 1')
        again = self.ground.claim()[0]
        self.assertEqual((again['id'], again['attempt']), (first['id'], 2))
        # Who comes with the first attempt comes too late.
        self.assertIsNone(self.ground.store('accept', 1, first['id'], 1, check=False))
        self.accept(again)
        self.ground.finish(again)
        shown = self.ground.wait_state(run, 'succeeded')
        self.assertTrue(shown['targets'][0]['key'].endswith(f'-{run}-2/'))

    def test_deadlines(self):
        """A run that waited for its node for too long is missed: with a command, and without one."""
        run = self.queued_run()
        wait_until(lambda: self.ground.store('run', run)['command'], 60, 'a command')
        self.ground.sql('UPDATE commands SET deadline = 1 WHERE run_id = ?', run)
        shown = self.ground.wait_state(run, 'missed')
        self.assertEqual(shown['error_code'], 'DEADLINE_PASSED')
        node = self.ground.store('node', 'web-1')
        run = self.ground.queue(self.ground.make_task_row(name='far', node=node))
        self.ground.sql('UPDATE runs SET deadline = 1 WHERE id = ?', run)
        self.assertEqual(self.ground.wait_state(run, 'missed')['error_code'], 'DEADLINE_PASSED')

    def test_deleted_behind_its_back(self):
        """A run whose task or target is gone fails with a sentence and does not hold up the others."""
        node = self.ground.store('node', 'web-1')
        lost = self.ground.queue(self.ground.make_task_row(name='lost', node=node))
        self.ground.sql('UPDATE runs SET task_id = NULL WHERE id = ?', lost)
        self.assertTrue(self.ground.pin(node=node))
        self.assertEqual(self.ground.wait_state(lost, 'failed')['error_code'], 'TASK_NOT_FOUND')
        broken = self.ground.make_task_row(name='broken')
        self.ground.sql('UPDATE tasks SET source = ? WHERE id = ?', '{"paths":7}', broken)
        run = self.ground.queue(broken)
        self.assertTrue(self.ground.pin())
        self.assertIn('paths', self.ground.wait_state(run, 'failed')['error'])
        good = self.ground.queue(self.ground.make_task_row(name='good'))
        self.assertEqual(self.ground.claim()[0]['run'], good)

    def test_lease(self):
        """Ten minutes of silence about a running command interrupt its run; the late result is ignored."""
        run, command = self.queued()
        self.accept(command)
        self.ground.wait_state(run, 'running')
        self.ground.store('age', 1, command['id'], command['attempt'], 590)
        self.ground.store('beat', 1)
        time.sleep(1.3)
        self.assertEqual(self.ground.state(run), 'running')
        # The API does not listen: that silence is ours.
        time.sleep(4.5)
        self.ground.store('age', 1, command['id'], command['attempt'], 601)
        time.sleep(1.5)
        self.assertEqual(self.ground.state(run), 'running')
        wait_until(lambda: self.ground.store('beat', 1) or self.ground.state(run) == 'interrupted', 60,
                   'the end of the lease', interval=0.5)
        shown = self.ground.store('run', run)
        self.assertEqual(shown['error_code'], 'AGENT_SILENT')
        self.assertEqual(self.ground.store('command', command['id'])['state'], 'timeout')
        self.assertEqual(self.ground.property(DISPATCHER, 'TimeoutsTotal'), 't 1')
        self.ground.store('finish', 1, command['id'], command['attempt'], 'succeeded', '', '', '{}',
                          check=False)
        time.sleep(1.2)
        self.assertEqual(self.ground.state(run), 'interrupted')

    def test_nodes(self):
        """Nodes come and go by what is heard, with their signals."""
        self.assertEqual(self.nodes()[1]['state'], 'pending')
        with self.ground.watch(DISPATCHER) as signals:
            self.ground.store('beat', 1)
            signals.wait('NodeStateChanged 1 online')
            self.assertEqual(self.nodes()[1]['health'], 'degraded')
            self.assertTrue(self.ground.pin())
            wait_until(lambda: self.nodes()[1]['health'] == 'healthy', 60, 'health')
            self.assertEqual(self.ground.property(DISPATCHER, 'NodesOnline'), 'u 1')
            self.ground.store('silence', 1, 20)
            time.sleep(0.5)
            self.assertEqual(self.nodes()[1]['state'], 'online')
            self.ground.store('silence', 1, 46)
            signals.wait('NodeStateChanged 1 offline')
            node = self.ground.store('node', 'web-1')
            self.ground.door(DISPATCHER, INTERNAL, 'NodeSeen', 't', node)
            signals.wait(f'NodeStateChanged {node} online')
        time.sleep(1.3)
        self.assertEqual(self.nodes()[node]['state'], 'online')
        self.ground.call(DISPATCHER, 'Drain', 't', node)
        self.assertTrue(self.nodes()[node]['draining'])
        self.ground.call(DISPATCHER, 'Undrain', 't', node)
        self.assertFalse(self.nodes()[node]['draining'])

    # --- restores ---

    def archive(self, node=1, kind='relay'):
        """A run that left a sealed archive with known file keys; its id and the keys."""
        identity, recipient = self.ground.store('identity')
        target = self.ground.store('target', f'{kind}-of-{node}', kind,
                                   '{"path":"/srv"}' if kind == 'local' else '{}')
        task = self.ground.make_task_row(name=f'{kind}-{node}', node=node, encryption='sealed',
                                         target=target)
        self.assertTrue(self.ground.pin(node=node, key=recipient))
        run = self.ground.queue(task)
        command = self.ground.claim(node)[0]
        keys = {'data': '01' * 16, 'entries': '02' * 16, 'manifest': '03' * 16}
        to = json.loads(command['spec'])['recipients'][0]
        names = {'data': 'data.tar.zst.age', 'entries': 'entries.zst.age',
                 'manifest': 'manifest.json.zst.age'}
        self.ground.finish(command, objects=[
            {'name': names[part], 'size': 9, 'sha256': '00' * 32,
             'age_header': self.ground.store('header', to, key)} for part, key in keys.items()])
        self.ground.wait_state(run, 'succeeded')
        secrets = self.ground.store('unseal', identity, command['secrets'])
        self.assertNotIn('file_keys', secrets)
        return run, keys, secrets

    def test_restore_elsewhere(self):
        """Another node gets the file keys of that archive and a capability to read it, no more."""
        run, keys, written = self.archive()
        self.assertTrue(written['targets']['1']['relay_token'].startswith('bxr_'))
        other = self.ground.store('node', 'web-1')
        identity, recipient = self.ground.store('identity')
        self.assertTrue(self.ground.pin(node=other, key=recipient))
        restore = self.ground.queue(source_run=run, node_id=other, restore={
            'destination': {'path': '/srv/back'}, 'paths': ['/etc/hosts'], 'conflict': 'skip'})
        command = self.ground.claim(other)[0]
        self.assertEqual((command['kind'], command['run']), ('restore', restore))
        spec = json.loads(command['spec'])
        self.assertEqual(spec['destination'], {'path': '/srv/back'})
        self.assertEqual((spec['paths'], spec['conflict']), (['/etc/hosts'], 'skip'))
        self.assertEqual(spec['source_run'], run)
        self.assertTrue(spec['archive']['encrypted'])
        self.assertEqual(spec['archive']['key'], self.ground.store('run', run)['targets'][0]['key'])
        secrets = self.ground.store('unseal', identity, command['secrets'])
        opened = {part: base64.b64decode(key).hex() for part, key in secrets['file_keys'].items()}
        self.assertEqual(opened, keys)
        token = secrets['targets']['1']['relay_token']
        self.assertNotEqual(token, written['targets']['1']['relay_token'])
        self.assertNotIn(token, command['spec'])
        self.assertNotIn(token.encode(), (self.ground.master_state / 'backupx.db').read_bytes())
        self.ground.finish(command, destination='/srv/back')
        self.ground.wait_state(restore, 'succeeded')
        self.assertIn({'action': 'run.restore', 'username': 'ann', 'object': run},
                      self.ground.store('audit'))

    def test_restore_out_of_reach(self):
        """An archive in a directory of one node cannot be restored on another: said at once, in words."""
        run, _, _ = self.archive(kind='local')
        other = self.ground.store('node', 'web-1')
        self.assertTrue(self.ground.pin(node=other))
        restore = self.ground.queue(source_run=run, node_id=other,
                                    restore={'destination': {'path': '/srv/back'}})
        shown = self.ground.wait_state(restore, 'failed')
        self.assertEqual(shown['error_code'], 'ARCHIVE_UNREACHABLE')
        self.assertIn("'local'", shown['error'])
        # In place, on the node itself.
        restore = self.ground.queue(source_run=run, restore={'destination': {'in_place': True}})
        spec = json.loads(self.ground.claim()[0]['spec'])
        self.assertEqual(spec['destination'], {'in_place': True})
        self.assertEqual(spec['archive']['target']['config'], {'path': '/srv'})

    def test_restore_without_destination(self):
        """In place is never what is left of a broken request."""
        run, _, _ = self.archive()
        for destination in ({}, {'path': '/x', 'in_place': True}, {'in_place': False}, {'path': 7}):
            restore = self.ground.queue(source_run=run, restore={'destination': destination})
            self.ground.wait_state(restore, 'failed')
        restore = self.ground.queue(source_run=run, restore={'paths': ['/etc']})
        self.ground.wait_state(restore, 'failed')

    # --- probes ---

    def probe(self, **request):
        """Asks for a probe; the command, or the refusal."""
        answer = self.ground.door(DISPATCHER, INTERNAL, 'Probe', 's', json.dumps(request), check=False)
        return int(answer) if answer.isdigit() else answer

    def test_probes(self):
        """A probe becomes a command for a node that is there; its end is told."""
        target = self.ground.store('target', 'nas', 'relay', '{}')
        answer = self.probe(kind='test_storage', target_ids=[target])
        self.assertIn('org.backupx.Error.NodeOffline', str(answer))
        self.assertTrue(self.ground.pin())
        self.ground.store('beat', 1)
        wait_until(lambda: self.nodes()[1]['state'] == 'online', 60, 'the node')
        self.assertIn('org.backupx.Error.NotFound', str(self.probe(kind='test_storage', target_ids=[99])))
        self.assertIn('org.backupx.Error.NotFound', str(self.probe(kind='browse', source_run=99)))
        with self.ground.watch(DISPATCHER) as signals:
            probe = self.probe(kind='test_storage', target_ids=[target])
            command = self.ground.claim()[0]
            self.assertEqual((command['id'], command['kind'], command['run']), (probe, 'test_storage', 0))
            self.assertEqual(json.loads(command['spec'])['target']['type'], 'relay')
            self.ground.store('finish', 1, probe, 1, 'succeeded', '', '', '{"writable":true}')
            self.ground.call(DISPATCHER, 'Kick')
            signals.wait(f'CommandFinished {probe} succeeded')
        probe = self.probe(kind='list_dir', node_id=1, spec={'path': '/etc', 'limit': 5, 'cursor': ''})
        spec = json.loads(self.ground.claim()[0]['spec'])
        self.assertEqual((spec['path'], spec['limit']), ('/etc', 5))

    def seal(self, secret):
        """To the dispatcher, as the API does."""
        recipient = (self.ground.master_state / 'dispatcher.pub').read_text().strip()
        sealed = subprocess.run(['age', '-r', recipient], input=json.dumps(secret).encode(), check=True,
                                stdout=subprocess.PIPE).stdout
        return base64.b64encode(sealed).decode()

    def test_passwords_of_probes(self):
        """One that was entered, or that of a task for the task's own server: sealed to the node that gets it."""
        identity, recipient = self.ground.store('identity')
        self.assertTrue(self.ground.pin(1, recipient))
        self.ground.store('beat', 1)
        wait_until(lambda: self.nodes()[1]['state'] == 'online', 60, 'the node')
        server = {'host': 'db', 'user': 'backup'}
        task = self.ground.make_task_row(name='shop')
        self.ground.sql("UPDATE tasks SET type = 'mysql', source = ?, secrets = ? WHERE id = ?",
                        json.dumps({'server': server}), self.seal({'password': 'kept'}), task)

        def asked(kind, **request):
            probe = self.probe(kind=kind, node_id=1, **request)
            self.assertIsInstance(probe, int, probe)
            command, = (c for c in self.ground.claim() if c['id'] == probe)
            self.assertEqual(command['kind'], kind)
            self.assertNotIn('kept', command['spec'])
            opened = self.ground.store('unseal', identity, command['secrets'])
            return json.loads(command['spec']), opened.get('database')

        def test(where):
            return {'type': 'mysql', 'source': {'server': where}}

        entered = self.seal({'password': 'entered'})
        spec, secret = asked('discover_databases', spec={'server': {'type': 'mysql', **server}}, secrets=entered)
        self.assertEqual((spec['server'], secret), ({'type': 'mysql', **server}, {'password': 'entered'}))
        spec, secret = asked('discover_databases', spec={}, task_id=task)
        self.assertEqual((spec['server'], secret), ({'type': 'mysql', **server}, {'password': 'kept'}))
        spec, secret = asked('test_task', spec=test(server), task_id=task, target_ids=[])
        self.assertEqual((spec['source']['server'], secret, spec['targets']), (server, {'password': 'kept'}, []))
        elsewhere = {'host': 'elsewhere', 'user': 'backup'}
        spec, secret = asked('test_task', spec=test(elsewhere), secrets=entered)
        self.assertEqual((spec['source']['server'], secret), (elsewhere, {'password': 'entered'}))
        refused = self.probe(kind='test_task', node_id=1, spec=test(elsewhere), task_id=task)
        self.assertIn('another server', str(refused))
        refused = self.probe(kind='discover_databases', node_id=1, spec={}, secrets='bm9ib2R5IGNhbg==')
        self.assertIn('cannot be opened', str(refused))
        self.ground.sql('UPDATE tasks SET node_id = ? WHERE id = ?', self.ground.store('node', 'other'), task)
        for kind, spec in (('discover_databases', {}), ('test_task', test(server))):
            refused = self.probe(kind=kind, node_id=1, spec=spec, task_id=task)
            self.assertIn('does not run on the node', str(refused))
        self.assertIn('NotFound', str(self.probe(kind='discover_databases', node_id=1, spec={}, task_id=99)))

    def test_browse_without_writer(self):
        """The master's own node looks into what lies in the relay while the node that wrote it is away."""
        node = self.ground.store('node', 'web-1')
        run, _, _ = self.archive(node=node)
        self.assertTrue(self.ground.pin())
        self.assertIn('Unavailable', str(self.probe(kind='browse', source_run=run, node_id=node)))
        self.ground.store('beat', 1)
        wait_until(lambda: self.nodes()[1]['state'] == 'online', 60, 'the node')
        self.assertIsInstance(self.probe(kind='browse', source_run=run, node_id=node), int)
        self.assertEqual(self.ground.claim(1)[0]['kind'], 'browse')

    def test_browse(self):
        """Browsing goes to the node that wrote the archive, with a place to look."""
        run, command = self.queued()
        answer = self.probe(kind='browse', source_run=run)
        self.assertIn('org.backupx.Error', str(answer))
        self.ground.finish(command)
        self.ground.wait_state(run, 'succeeded')
        self.ground.store('beat', 1)
        wait_until(lambda: self.nodes()[1]['state'] == 'online', 60, 'the node')
        self.assertIsInstance(self.probe(kind='browse', source_run=run, spec={'path': ''}), int)
        spec = json.loads(self.ground.claim()[0]['spec'])
        self.assertEqual(spec['archive']['target']['config'], {'path': '/srv/backup'})
        self.assertTrue(spec['archive']['key'].endswith(f'-{run}-1/'))
        self.assertFalse(spec['archive']['encrypted'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
