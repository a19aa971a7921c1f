#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is configured and what runs: targets, nodes, tasks, runs, audit, lists. Nobody's agent is there, so
runs wait."""

import pathlib
import sqlite3
import unittest

from http_case import Client, HttpCase, wait_until


class Targets(HttpCase):
    """Places that archives go to."""

    def test_life(self):
        target = self.make_target()
        path = f'targets/{target["id"]}'
        self.assertEqual(self.admin.get(path), target)
        changed = self.admin.put(path, {'config': {'path': '/srv/elsewhere'}})
        self.assertEqual(changed['config'], {'path': '/srv/elsewhere'})
        self.assertEqual(changed['name'], target['name'])
        self.admin.delete(path)
        for method in ('GET', 'DELETE'):
            self.refused(404, 'TARGET_NOT_FOUND', method, path)
        self.refused(404, 'TARGET_NOT_FOUND', 'PUT', path, {})
        self.refused(404, 'TARGET_NOT_FOUND', 'POST', path + '/test', {})

    def test_refusals(self):
        base = {'name': 'fine', 'type': 'local', 'config': {'path': '/srv/x'}}
        for change, code, field in (
            ({'name': self.make_target()['name']}, (409, 'TARGET_EXISTS'), 'name'),
            ({'name': '../x'}, (400, 'FIELD_INVALID'), 'name'),
            ({'type': 'tape'}, (400, 'FIELD_INVALID'), 'type'),
            ({'config': {'path': 'relative'}}, (400, 'FIELD_INVALID'), 'config.path'),
            ({'config': {'path': '/a/../b'}}, (400, 'FIELD_INVALID'), 'config.path'),
            ({'config': {'path': '/'}}, (400, 'FIELD_INVALID'), 'config.path'),
            ({'config': {'path': '/x', 'mode': 1}}, (400, 'FIELD_UNKNOWN'), 'config.mode'),
            ({'config': []}, (400, 'FIELD_INVALID'), 'config'),
            (
                {'type': 'relay', 'config': {'directory': '/etc'}},
                (400, 'FIELD_INVALID'),
                'config.directory',
            ),
            (
                {'type': 'sftp', 'config': {'host': 'x y', 'user': 'u', 'path': 'p'}, 'secrets': {'password': 'x'}},
                (400, 'FIELD_INVALID'),
                'config.host',
            ),
            (
                {'type': 'sftp', 'config': {'host': 'nas', 'user': 'u', 'path': 'p'}},
                (400, 'FIELD_INVALID'),
                'secrets',
            ),
            ({'colour': 'red'}, (400, 'FIELD_UNKNOWN'), 'colour'),
        ):
            self.refused(*code, 'POST', 'targets', {**base, **change}, field=field)

    def test_secrets_go_in_and_never_out(self):
        secret = 'a-secret-that-nobody-may-see'
        target = self.admin.post(
            'targets',
            {
                'name': self.unique('disk'),
                'type': 'local',
                'config': {'path': '/srv/x'},
                'secrets': {'password': secret, 'token': secret},
            },
        )
        self.assertEqual(sorted(target['secrets']), ['password', 'token'])
        path = f'targets/{target["id"]}'
        for where in (path, 'targets', 'audit'):
            self.assertNotIn(secret.encode(), Client(self.server, self.admin.token).raw('GET', where)[2])
        self.admin.put(path, {'name': self.unique('disk')})
        self.assertEqual(sorted(self.admin.get(path)['secrets']), ['password', 'token'])
        stored = b''.join(file.read_bytes() for file in self.suite.master_state.glob('backupx.db*'))
        self.assertNotIn(secret.encode(), stored)
        self.assertEqual(self.admin.put(path, {'secrets': {'key': 'x'}})['secrets'], ['key'])
        self.assertEqual(self.admin.put(path, {'secrets': {}})['secrets'], [])
        database = sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True)
        names = [row[1] for row in database.execute('PRAGMA table_info(targets)')]
        column = next(name for name in names if 'sealed' in name or name == 'secrets')
        row = database.execute(f'SELECT {column} FROM targets WHERE id = ?', (target['id'],)).fetchone()
        self.assertFalse(row[0])
        database.close()
        self.refused(400, 'FIELD_INVALID', 'PUT', path, {'secrets': {'a': 1}}, field='secrets')

    # type, config, secrets; changes that move the secrets elsewhere; changes that do not.
    PLACES = (
        ('azure', {'account': 'acme', 'container': 'c'}, {'account_key': 'eA=='},
         ({'account': 'other'}, {'endpoint': 'https://blob.example.net'}, {'ca_cert': '/etc/other.pem'},
          {'proxy': 'http://proxy:3128'}),
         ({'container': 'd'}, {'prefix': 'p'}, {'tier': 'Cool'})),
        ('ftp', {'host': 'nas', 'user': 'u', 'path': 'p', 'port': 21, 'tls': 'implicit'}, {'password': 'x'},
         ({'host': 'other'}, {'port': 22}, {'port': None}, {'tls': 'none'}, {'tls': 'explicit'},
          {'ca_cert': '/etc/other.pem'}, {'pin': 'sha256//' + 43 * 'A' + '='}),
         ({'path': 'q'}, {'user': 'v'}, {'port': '21'}, {'read_back': True})),
        ('s3', {'endpoint': 'https://s3.example.net', 'region': 'r', 'bucket': 'b', 'access_key': 'k'},
         {'secret_key': 'x'},
         ({'endpoint': 'https://other.example.net'}, {'preset': 'aws'}, {'region': 's'}, {'account': 'a'},
          {'ca_cert': '/etc/other.pem'}, {'proxy': 'http://proxy:3128'}),
         ({'bucket': 'c'}, {'prefix': 'p'}, {'storage_class': 'COLD'}, {'path_style': True}, {'access_key': 'l'})),
        ('sftp', {'host': 'nas', 'user': 'u', 'path': 'p', 'host_key': 'SHA256:' + 43 * 'A'}, {'private_key': 'x'},
         ({'host': 'other'}, {'port': 2222}, {'host_key': 'SHA256:' + 43 * 'B'}, {'host_key': None}),
         ({'path': 'q'}, {'user': 'v'}, {'read_back': True})),
        # Nothing is sent to a server of which no key is known.
        ('sftp', {'host': 'nas', 'user': 'u', 'path': 'p'}, {'password': 'x'},
         ({'host': 'other', 'host_key': 'SHA256:' + 43 * 'A'},),
         ({'host_key': 'SHA256:' + 43 * 'A'},)),
        ('webdav', {'url': 'https://dav/', 'user': 'u'}, {'password': 'x'},
         ({'url': 'https://dav/other'}, {'url': 'http://dav/'}, {'ca_cert': '/etc/other.pem'},
          {'pin': 'sha256//' + 43 * 'A' + '='}, {'proxy': 'http://proxy:3128'}),
         ({'user': 'v'}, {'read_back': True})),
        ('rclone:webdav', {'url': 'https://dav/', 'path': 'p', 'vendor': 'other'}, {'pass': 'x'},
         ({'url': 'https://elsewhere/'}, {'vendor': None}, {'headers': 'X-A,b'}),
         ({'path': 'q'}, {'read_back': True})),
    )

    def test_secrets_stay_where_they_were_given_for(self):
        """Whoever may edit a target does not get what opens it sent to a server of his own."""
        for kind, config, secrets, moving, staying in self.PLACES:
            target = self.admin.post('targets', {'name': self.unique('place'), 'type': kind, 'config': config,
                                                 'secrets': secrets})
            path = f'targets/{target["id"]}'
            for change in moving:
                changed = {name: value for name, value in {**config, **change}.items() if value is not None}
                answer = self.refused(400, 'SECRET_NEEDED_AGAIN', 'PUT', path, {'config': changed}, field='secrets')
                self.assertIn(f"'config.{next(iter(change))}'", answer['message'])
                self.assertEqual(self.admin.get(path), target)
                self.admin.put(path, {'config': changed, 'secrets': secrets})
                self.admin.put(path, {'config': target['config'], 'secrets': secrets})
                target = self.admin.get(path)
            for change in staying:
                self.admin.put(path, {'config': {**config, **change}})
                self.admin.put(path, {'config': config, 'secrets': secrets})
            self.admin.put(path, {'name': self.unique('place')})
            self.assertEqual(self.admin.get(path)['secrets'], list(secrets))

    def test_secrets_and_another_type(self):
        config = {'url': 'https://dav/', 'vendor': 'other'}
        path = 'targets/' + str(self.admin.post('targets', {
            'name': self.unique('place'), 'type': 'rclone:webdav', 'config': config, 'secrets': {'pass': 'x'}})['id'])
        for kind, config in (('rclone:sftp', {'host': 'nas'}), ('webdav', {'url': 'https://dav/'})):
            answer = self.refused(400, 'SECRET_NEEDED_AGAIN', 'PUT', path, {'type': kind, 'config': config},
                                  field='secrets')
            self.assertIn("'type'", answer['message'])
        none = self.admin.put(path, {'type': 'webdav', 'config': {'url': 'https://dav/'}, 'secrets': {}})
        self.assertEqual(none['secrets'], [])
        self.assertEqual(self.admin.put(path, {'config': {'url': 'https://other/'}})['secrets'], [])
        self.admin.put(path, {'secrets': {'token': 'x'}})
        # A type that has no use for them forgets them.
        local = self.admin.put(path, {'type': 'local', 'config': {'path': '/srv/x'}})
        self.assertEqual(local['secrets'], [])
        database = sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True)
        row = database.execute('SELECT secrets FROM targets WHERE id = ?', (local['id'],)).fetchone()
        database.close()
        self.assertFalse(row[0])

    def test_in_use(self):
        body = self.task_body()
        task = self.admin.post('tasks', body)
        self.refused(409, 'TARGET_IN_USE', 'DELETE', f'targets/{body["target_ids"][0]}')
        self.admin.delete(f'tasks/{task["id"]}')
        self.admin.delete(f'targets/{body["target_ids"][0]}')

    def test_a_test_without_an_agent(self):
        answer = self.refused(409, 'NODE_OFFLINE', 'POST', f'targets/{self.make_target()["id"]}/test', {})
        self.assertIn('not online', answer['message'])


class Nodes(HttpCase):
    """Servers."""

    def test_life(self):
        node = self.admin.post('nodes', {'name': self.unique('web'), 'description': 'a server'})
        self.assertTrue(node['token'].startswith('bxn_'))
        path = f'nodes/{node["id"]}'
        shown = self.admin.get(path)
        self.assertNotIn('token', shown)
        self.assertEqual((shown['status'], shown['enrolled']), ('pending', False))
        self.assertEqual(Client(self.server, node['token']).get('agent/self')['name'], node['name'])
        changed = self.admin.put(path, {'description': 'another'})
        self.assertEqual((changed['name'], changed['description']), (node['name'], 'another'))
        self.refused(409, 'NODE_EXISTS', 'POST', 'nodes', {'name': node['name']}, field='name')
        self.refused(400, 'FIELD_UNKNOWN', 'PUT', path, {'token': 'x'}, field='token')
        self.admin.delete(path)
        self.refused(404, 'NODE_NOT_FOUND', 'GET', path)
        self.refused(
            401, 'NODE_TOKEN_INVALID', 'GET', 'agent/self', None, Client(self.server, node['token'])
        )

    def test_the_own_node(self):
        local = self.admin.get('nodes/1')
        self.assertEqual(local['name'], 'local')
        self.refused(409, 'NODE_IS_LOCAL', 'DELETE', 'nodes/1')
        self.refused(409, 'NODE_IS_LOCAL', 'PUT', 'nodes/1', {'name': 'other'})
        self.admin.put('nodes/1', {'description': 'the master'})

    def test_tokens(self):
        node = self.admin.post('nodes', {'name': self.unique('web')})
        new = self.admin.post(f'nodes/{node["id"]}/rotate-token')
        self.assertFalse(new['handed_over'])
        for token in (node['token'], new['token']):
            self.assertEqual(Client(self.server, token).get('agent/self')['id'], node['id'])
        self.refused(
            400, 'FIELD_INVALID', 'POST', f'nodes/{node["id"]}/rotate-token', {'revoke': 'yes'}, field='revoke'
        )
        newest = self.admin.post(f'nodes/{node["id"]}/rotate-token', {'revoke': True})
        for token in (node['token'], new['token']):
            self.refused(
                401, 'NODE_TOKEN_INVALID', 'GET', 'agent/self', None, Client(self.server, token)
            )
        self.assertEqual(Client(self.server, newest['token']).get('agent/self')['id'], node['id'])
        link = self.admin.post(f'nodes/{node["id"]}/enrollment', {'ttl_s': 120})
        self.assertTrue(link['token'].startswith('bxe_'))
        self.refused(
            400, 'FIELD_INVALID', 'POST', f'nodes/{node["id"]}/enrollment', {'ttl_s': 1}, field='ttl_s'
        )
        self.refused(404, 'NODE_NOT_FOUND', 'POST', 'nodes/99999/enrollment', {})
        self.refused(404, 'NODE_NOT_FOUND', 'POST', 'nodes/99999/rotate-token', {})
        stored = b''.join(file.read_bytes() for file in self.suite.master_state.glob('backupx.db*'))
        for token in (node['token'], new['token'], link['token']):
            self.assertNotIn(token.encode(), stored)

    def test_in_use(self):
        node = self.admin.post('nodes', {'name': self.unique('web')})
        task = self.admin.post('tasks', self.task_body(node_id=node['id']))
        self.refused(409, 'NODE_IN_USE', 'DELETE', f'nodes/{node["id"]}')
        self.admin.delete(f'tasks/{task["id"]}')
        self.admin.delete(f'nodes/{node["id"]}')


class Tasks(HttpCase):
    """What is backed up."""

    def test_life(self):
        body = self.task_body(
            node_id=0,
            type='file',
            format='archive',
            encryption='sealed',
            enabled=True,
            source={
                'paths': ['/etc', '/srv'],
                'excludes': ['*.tmp', '!keep.tmp'],
                'one_file_system': True,
                'follow_symlinks': False,
            },
            compression={'algorithm': 'zstd', 'level': 9},
            schedule={'expression': 'Mon..Fri 02:30', 'timezone': 'Europe/Berlin', 'catch_up': False},
        )
        task = self.admin.post('tasks', body)
        for key, value in body.items():
            self.assertEqual(task[key], 1 if key == 'node_id' else value, key)
        path = f'tasks/{task["id"]}'
        self.assertEqual(self.admin.get(path)['source'], body['source'])
        self.assertIsNone(task['verify'])
        self.check_verify(path)
        changed = self.admin.put(path, {'enabled': False, 'schedule': None})
        self.assertEqual(
            (changed['enabled'], changed['schedule'], changed['name']), (False, None, body['name'])
        )
        self.assertGreater(changed['revision'], task['revision'])
        self.admin.delete(path)
        for method, where in (('GET', path), ('DELETE', path), ('POST', path + '/run')):
            self.refused(404, 'TASK_NOT_FOUND', method, where)
        self.refused(404, 'TASK_NOT_FOUND', 'PUT', path, {})

    def check_verify(self, path):
        """Checks of repositories by a schedule of their own."""
        verify = {'schedule': {'expression': '0 5 * * *', 'timezone': 'UTC', 'catch_up': False}, 'shares': 7}
        task = self.admin.put(path, {'format': 'repository', 'verify': verify})
        self.assertEqual((task['verify'], task['verify_error']), (verify, None))
        wait_until(lambda: self.admin.get(path)['next_verify_at'], what='the time of the first check')
        self.refused(400, 'FIELD_INVALID', 'PUT', path, {'format': 'archive'}, field='verify')
        self.assertIsNone(self.admin.put(path, {'format': 'archive', 'verify': None})['next_verify_at'])

    def test_refusals(self):
        other = self.admin.post('tasks', self.task_body())
        schedule = {'expression': '0 2 * * *'}
        before = len(list(self.admin.items('tasks')))
        for change, code, field in (
            ({'name': other['name']}, (409, 'TASK_EXISTS'), 'name'),
            ({'name': 'a/b'}, (400, 'FIELD_INVALID'), 'name'),
            ({'name': None}, (400, 'FIELD_MISSING'), 'name'),
            ({'type': 'floppy'}, (400, 'FIELD_INVALID'), 'type'),
            ({'node_id': 9999}, (400, 'FIELD_INVALID'), 'node_id'),
            ({'node_id': '1'}, (400, 'FIELD_INVALID'), 'node_id'),
            ({'target_ids': [9999]}, (400, 'FIELD_INVALID'), 'target_ids'),
            ({'target_ids': []}, (400, 'FIELD_INVALID'), 'target_ids'),
            ({'target_ids': list(range(1, 30))}, (400, 'FIELD_INVALID'), 'target_ids'),
            ({'source': {'paths': []}}, (400, 'FIELD_INVALID'), 'source.paths'),
            ({'source': {'paths': ['etc']}}, (400, 'FIELD_INVALID'), 'source.paths[0]'),
            ({'source': {'pathes': ['/etc']}}, (400, 'FIELD_UNKNOWN'), 'source.pathes'),
            (
                {'source': {'paths': ['/etc'], 'excludes': ['']}},
                (400, 'FIELD_INVALID'),
                'source.excludes[0]',
            ),
            (
                {'source': {'paths': ['/etc'], 'excludes': ['*.tmp', '# none', '[a']}},
                (400, 'FIELD_INVALID'),
                'source.excludes[2]',
            ),
            (
                {'source': {'paths': ['/etc'], 'excludes': ['./cache']}},
                (400, 'FIELD_INVALID'),
                'source.excludes[0]',
            ),
            ({'compression': {'level': 99}}, (400, 'FIELD_INVALID'), 'compression.level'),
            ({'encryption': 'rot13'}, (400, 'FIELD_INVALID'), 'encryption'),
            ({'schedule': {'expression': '0 25 * * *'}}, (400, 'FIELD_INVALID'), 'schedule.expression'),
            ({'schedule': {'expression': '30 feb'}}, (400, 'FIELD_INVALID'), 'schedule.expression'),
            (
                {'schedule': {**schedule, 'timezone': '../etc/passwd'}},
                (400, 'FIELD_INVALID'),
                'schedule.timezone',
            ),
            ({'schedule': {**schedule, 'every': 1}}, (400, 'FIELD_UNKNOWN'), 'schedule.every'),
            ({'verify': {'schedule': {'expression': '30 feb'}}}, (400, 'FIELD_INVALID'), 'verify.schedule.expression'),
            ({'verify': {'schedule': schedule, 'shares': -1}}, (400, 'FIELD_INVALID'), 'verify.shares'),
            ({'verify': {'shares': 7}}, (400, 'FIELD_MISSING'), 'verify.schedule'),
            ({'verify': {'schedule': schedule}, 'format': 'archive'}, (400, 'FIELD_INVALID'), 'verify'),
            ({'owner': 'me'}, (400, 'FIELD_UNKNOWN'), 'owner'),
        ):
            self.refused(*code, 'POST', 'tasks', {**self.task_body(), **change}, field=field)
            if 'name' not in change:
                self.refused(*code, 'PUT', f'tasks/{other["id"]}', change, field=field)
        self.assertEqual(len(list(self.admin.items('tasks'))), before)
        self.assertEqual(self.admin.get(f'tasks/{other["id"]}'), other)
        message = self.refused(
            400, 'FIELD_INVALID', 'POST', 'tasks', self.task_body(schedule={'expression': '0 25 * * *'})
        )['message']
        self.assertIn('column 3', message)

    def test_relays_of_one_task(self):
        """Each holds memory of the job."""
        ids = [
            self.admin.post('targets', {'name': f'relay {n}', 'type': 'relay', 'config': {}})['id']
            for n in range(5)
        ]
        task = self.admin.post('tasks', self.task_body(target_ids=ids[:4]))
        for method, path in (('POST', 'tasks'), ('PUT', f'tasks/{task["id"]}')):
            body = self.task_body(target_ids=ids)
            self.refused(400, 'FIELD_INVALID', method, path, body, field='target_ids')
        self.assertEqual(self.admin.get(f'tasks/{task["id"]}'), task)

    def test_passwords_stay_with_their_server(self):
        """Neither another server, nor the same one as another node sees it, nor weaker grounds to believe in it."""
        node = self.admin.post('nodes', {'name': self.unique('web')})['id']
        server = {'host': 'db', 'user': 'u', 'port': 3306, 'tls': 'require'}
        secrets = {'password': 'x'}
        task = self.admin.post('tasks', self.task_body(type='mysql', source={'server': server}, secrets=secrets))
        path = f'tasks/{task["id"]}'
        before = {'type': 'mysql', 'node_id': task['node_id'], 'source': task['source']}
        unix = {'socket': '/run/db.sock', 'user': 'u'}
        for change, name in (
            ({'source': {'server': {**server, 'host': 'other'}}}, 'host'),
            ({'source': {'server': {**server, 'port': 3307}}}, 'port'),
            ({'source': {'server': {**server, 'user': 'v'}}}, 'user'),
            ({'source': {'server': {**server, 'tls': 'off'}}}, 'tls'),
            ({'source': {'server': {**server, 'tls_ca': '/etc/other.pem'}}}, 'tls_ca'),
            ({'source': {'server': unix}}, 'host'),
            ({'type': 'postgresql', 'source': {'server': server}}, 'type'),
            ({'node_id': node}, 'node_id'),
            ({'node_label': 'db'}, 'node_label'),
        ):
            for method, where, body in (('PUT', path, change),
                                        ('POST', 'tasks/test', {'task_id': task['id'], 'task': change})):
                answer = self.refused(400, 'SECRET_NEEDED_AGAIN', method, where, body, field='secrets')
                self.assertIn(f"'{name}'", answer['message'])
            self.admin.put(path, {**change, 'secrets': secrets})
            self.admin.put(path, {**before, 'secrets': secrets})
        for change in ({'source': {'server': {**server, 'tls': 'verify'}}}, {'enabled': False},
                       {'source': {'server': {**server, 'tls': 'verify'}, 'databases': ['shop']}},
                       {'name': self.unique('task')}, {'node_id': task['node_id']}):
            self.admin.put(path, change)
        self.assertEqual(self.admin.get(path)['secret_names'], ['password'])
        # Without a password there is nothing to keep.
        self.admin.put(path, {'secrets': {}})
        self.admin.put(path, {'source': {'server': unix}, 'node_id': node})

    def test_names_that_are_no_text(self):
        paths = [{'base64': 'L3Nydi//'}, '/srv/ä']
        task = self.admin.post('tasks', self.task_body(source={'paths': paths}))
        self.assertEqual(task['source']['paths'], paths)
        self.refused(
            400, 'FIELD_INVALID', 'POST', 'tasks', self.task_body(source={'paths': [{'base64': 'AA=='}]})
        )


class Runs(HttpCase):
    """Runs, which wait here: there is no agent."""

    def queued(self):
        """A new task and its run."""
        task = self.admin.post('tasks', self.task_body())
        return task, self.admin.post(f'tasks/{task["id"]}/run')['run_id']

    def test_life(self):
        task, run = self.queued()
        shown = self.admin.get(f'runs/{run}')
        self.assertEqual(
            (shown['state'], shown['kind'], shown['origin']), ('queued', 'backup', 'manual')
        )
        self.assertEqual(shown['task_name'], task['name'])
        self.assertEqual([target['state'] for target in shown['targets']], ['pending'])
        self.refused(409, 'RUN_OVERLAP', 'POST', f'tasks/{task["id"]}/run', {})
        self.refused(409, 'TASK_RUNNING', 'DELETE', f'tasks/{task["id"]}')
        self.refused(
            400, 'FIELD_UNKNOWN', 'POST', f'tasks/{task["id"]}/run', {'force': True}, field='force'
        )
        self.admin.post(f'runs/{run}/cancel')
        self.suite.wait_run(run)
        self.assertEqual(self.admin.get(f'runs/{run}')['state'], 'cancelled')
        self.refused(409, 'RUN_ENDED', 'POST', f'runs/{run}/cancel', {})
        self.admin.post(f'tasks/{task["id"]}/run')

    def test_what_is_not_there(self):
        for method, path in (
            ('GET', 'runs/9999'),
            ('POST', 'runs/9999/cancel'),
            ('GET', 'runs/9999/logs'),
            ('GET', 'runs/9999/entries'),
            ('POST', 'runs/9999/restore'),
        ):
            body = {'destination': 'in_place'} if path.endswith('restore') else None
            self.refused(404, 'RUN_NOT_FOUND', method, path, body)

    def test_restores_need_an_archive(self):
        _, run = self.queued()
        where = f'runs/{run}/restore'
        self.refused(409, 'RUN_NO_ARCHIVE', 'GET', f'runs/{run}/entries?path=/')
        self.refused(409, 'RUN_NO_ARCHIVE', 'POST', where, {'destination': 'in_place'})
        for body, code, field in (
            ({}, 'FIELD_MISSING', 'destination'),
            ({'destination': 'here'}, 'FIELD_INVALID', 'destination'),
            ({'destination': {'node_id': 1}}, 'FIELD_MISSING', 'destination.path'),
            ({'destination': {'path': 'x'}}, 'FIELD_INVALID', 'destination.path'),
            ({'destination': 'in_place', 'conflict': 'ask'}, 'FIELD_INVALID', 'conflict'),
            ({'destination': 'in_place', 'paths': 'all'}, 'FIELD_INVALID', 'paths'),
            ({'destination': 'in_place', 'force': 1}, 'FIELD_INVALID', 'force'),
            ({'destination': 'in_place', 'strength': 1}, 'FIELD_UNKNOWN', 'strength'),
        ):
            self.refused(400, code, 'POST', where, body, field=field)
        self.refused(400, 'QUERY_INVALID', 'GET', f'runs/{run}/entries?path=relative', field='path')
        self.refused(400, 'QUERY_INVALID', 'GET', f'runs/{run}/entries?limit=0', field='limit')

    def test_filters(self):
        task, run = self.queued()
        found = self.admin.get(f'runs?task_id={task["id"]}')['items']
        self.assertEqual([item['id'] for item in found], [run])
        self.assertEqual(self.admin.get(f'runs?task_id={task["id"]}&state=succeeded')['items'], [])
        self.assertEqual(len(self.admin.get(f'runs?task_id={task["id"]}&state=failed,open')['items']), 1)
        self.assertEqual(self.admin.get(f'runs?task_id={task["id"]}&kind=restore')['items'], [])
        self.assertEqual(len(self.admin.get(f'runs?task_id={task["id"]}&node_id=1')['items']), 1)
        for query, field in (
            ('state=done', 'state'),
            ('kind=x', 'kind'),
            ('task_id=x', 'task_id'),
            ('task_id=0', 'task_id'),
            ('node_id=-1', 'node_id'),
            ('state=', None),
        ):
            if field:
                self.refused(400, 'QUERY_INVALID', 'GET', f'runs?{query}', field=field)
        logs = self.admin.get(f'runs/{run}/logs?after=0')
        # What it waits for is all that can be said of it.
        self.assertEqual(logs['state'], 'queued')
        self.assertLessEqual({line['text'][:18] for line in logs['items']}, {'The run waits for '})
        self.refused(400, 'QUERY_INVALID', 'GET', f'runs/{run}/logs?after=-1', field='after')

    def test_siblings_that_are_away(self):
        task = self.admin.post('tasks', self.task_body())
        self.suite.processes['scheduler'].stop()
        try:
            self.refused(503, 'UNAVAILABLE', 'POST', f'tasks/{task["id"]}/run', {})
            status, answer = Client(self.server).request('GET', '/ready')
            self.assertEqual((status, answer['data']['ready']), (503, False))
            self.assertEqual(Client(self.server).request('GET', '/health')[0], 200)
        finally:
            self.suite.start_daemon('scheduler')
        self.wait_ready()
        self.admin.post(f'tasks/{task["id"]}/run')

    def wait_ready(self):
        """Waits until all siblings are there."""
        wait_until(lambda: Client(self.server).request('GET', '/ready')[0] == 200, what='being ready')


class Audit(HttpCase):
    """Every change leaves a row, with the real user."""

    def test_rows(self):
        user, client = self.member('admin')
        node = client.post('nodes', {'name': self.unique('web')})
        client.put(f'nodes/{node["id"]}', {'description': 'x'})
        client.post(f'nodes/{node["id"]}/enrollment', {})
        client.delete(f'nodes/{node["id"]}')
        target = client.post('targets', {'name': self.unique('d'), 'type': 'relay'})
        task = client.post('tasks', self.task_body(target_ids=[target['id']]))
        run = client.post(f'tasks/{task["id"]}/run')['run_id']
        client.post(f'runs/{run}/cancel')
        key = client.post('api-keys', {'name': 'k'})
        client.delete(f'api-keys/{key["id"]}')
        client.post('auth/logout')
        rows = [row for row in self.admin.items('audit?limit=5') if row['user_id'] == user['id']]
        for row in rows:
            self.assertEqual((row['username'], row['address']), (user['username'], '127.0.0.1'))
        actions = [row['action'] for row in reversed(rows)]
        for action in (
            'session.create',
            'node.create',
            'node.update',
            'node.enrollment',
            'node.delete',
            'target.create',
            'task.create',
            'task.run',
            'run.cancel',
            'api_key.create',
            'api_key.delete',
            'session.delete',
        ):
            self.assertIn(action, actions)
        self.assertEqual(actions, [row['action'] for row in sorted(rows, key=lambda row: row['id'])])
        found = self.admin.get(f'audit?object_type=node&object_id={node["id"]}')['items']
        self.assertEqual(len(found), 4)
        self.refused(400, 'QUERY_INVALID', 'GET', 'audit?object_id=x', field='object_id')

    def test_a_refused_change_leaves_none(self):
        before = self.admin.get('audit?limit=1')['items'][0]['id']
        self.refused(400, 'FIELD_UNKNOWN', 'POST', 'nodes', {'name': 'x', 'y': 1})
        self.refused(404, 'NODE_NOT_FOUND', 'DELETE', 'nodes/9999')
        self.refused(409, 'NODE_IS_LOCAL', 'DELETE', 'nodes/1')
        self.assertEqual(self.admin.get('audit?limit=1')['items'][0]['id'], before)


class Pages(HttpCase):
    """Lists."""

    def test_every_list(self):
        names = [self.unique('page') for _ in range(7)]
        for name in names:
            self.admin.post('nodes', {'name': name})
        whole = [item['id'] for item in self.admin.items('nodes?limit=500')]
        for limit in (1, 2, 3, 7):
            self.assertEqual([item['id'] for item in self.admin.items(f'nodes?limit={limit}')], whole)
        first = self.admin.get('nodes?limit=2')
        self.admin.delete(f'nodes/{first["items"][1]["id"]}')
        rest = self.admin.get(f'nodes?limit=500&cursor={first["next_cursor"]}')
        self.assertEqual([item['id'] for item in rest['items']], whole[2:])
        self.assertIsNone(rest['next_cursor'])
        for path in ('nodes', 'users', 'targets', 'tasks', 'runs', 'api-keys', 'audit'):
            self.assertIn('next_cursor', self.admin.get(f'{path}?limit=1'))
            self.refused(400, 'QUERY_INVALID', 'GET', f'{path}?limit=0', field='limit')
            self.refused(400, 'QUERY_INVALID', 'GET', f'{path}?limit=501', field='limit')
            self.refused(400, 'QUERY_INVALID', 'GET', f'{path}?cursor=abc', field='cursor')
            self.refused(400, 'QUERY_INVALID', 'GET', f'{path}?limt=1', field='limt')
            self.refused(400, 'REQUEST_INVALID', 'GET', f'{path}?limit=1&limit=2')


class WithAgent(HttpCase):
    """The way through an agent and back."""

    agent = True

    def test_backup_browse_restore(self):
        source = pathlib.Path(self.suite.folder / 'source')
        (source / 'sub').mkdir(parents=True)
        (source / 'sub' / 'file').write_text('content')
        (source / 'top').write_text('x')
        target = self.suite.make_target()
        self.assertEqual(self.admin.post(f'targets/{target}/test')['ok'], True)
        self.assertEqual(self.admin.get(f'targets/{target}')['last_test']['ok'], True)
        task = self.suite.make_task([source], [target], encryption='sealed')
        run = self.suite.backup(task)
        self.assertEqual(run['state'], 'succeeded')
        shown = self.admin.get(f'runs/{run["id"]}')
        self.assertEqual(
            (shown['error'], [each['state'] for each in shown['targets']]), (None, ['succeeded'])
        )
        self.assertTrue(shown['encrypted'])
        roots = self.admin.get(f'runs/{run["id"]}/entries')
        self.assertTrue(roots['items'])
        listed = self.admin.get(f'runs/{run["id"]}/entries?path={source}&limit=1')
        self.assertEqual(len(listed['items']), 1)
        rest = self.admin.get(f'runs/{run["id"]}/entries?path={source}&cursor={listed["next_cursor"]}')
        names = [item['name'] for item in listed['items'] + rest['items']]
        self.assertEqual(sorted(names), ['sub', 'top'])
        self.refused(404, 'PATH_NOT_FOUND', 'GET', f'runs/{run["id"]}/entries?path=/nowhere')
        restored = self.suite.folder / 'restored'
        restored.mkdir()
        again = self.suite.restore(run['id'], restored)
        self.assertEqual(again['state'], 'succeeded')
        self.assertEqual(pathlib.Path(f'{restored}{source}/sub/file').read_text(), 'content')
        self.refused(
            400,
            'FIELD_INVALID',
            'POST',
            f'runs/{run["id"]}/restore',
            {'destination': {'node_id': 99, 'path': '/x'}},
            field='destination.node_id',
        )
        text = Client(self.server, self.admin.token).raw('GET', '/metrics')[2].decode()
        self.assertRegex(
            text, r'backupx_task_last_run_succeeded\{task="files",task_id="\d+",node="local"\} '
        )
        self.assertIn('backupx_nodes_online 1\n', text)
        self.assertIn('backupx_waiting_agents 1\n', text)


if __name__ == '__main__':
    unittest.main()
