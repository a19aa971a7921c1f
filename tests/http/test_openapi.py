#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml says what the daemon does: the same routes, callers, limits and parameters as the table,
and the fields that answers really have."""

import json
import pathlib
import re
import subprocess
import unittest

from http_case import Client, HttpCase

FILE = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'openapi.yaml'


def described_routes():
    """(method, path) -> (access, body limit, query names) of the file, which is regular enough to be read line
    by line: the standard library has no YAML."""
    routes, path, method = {}, None, None
    for line in FILE.read_text(encoding='utf-8').splitlines():
        if line == 'components:':
            break
        if found := re.fullmatch(r'  (/\S+):', line):
            path, method = found.group(1), None
        elif found := re.fullmatch(r'    (get|head|post|put|delete):', line):
            method = found.group(1).upper()
            routes[method, path] = [None, None, []]
        elif found := re.fullmatch(r'      x-access: (\w+)', line):
            routes[method, path][0] = found.group(1)
        elif found := re.fullmatch(r'      x-body-limit: (\d+)', line):
            routes[method, path][1] = int(found.group(1))
        elif method and (found := re.fullmatch(r'        - \{ name: (\w+), in: query, .*\}', line)):
            routes[method, path][2].append(found.group(1))
    return {key: tuple(value) for key, value in routes.items()}


def described_schemas():
    """name -> fields."""
    schemas, name, inside = {}, None, False
    for line in FILE.read_text(encoding='utf-8').splitlines():
        if line == '  schemas:':
            inside = True
        elif inside and (found := re.fullmatch(r'    (\w+):', line)):
            name = found.group(1)
            schemas[name] = set()
        elif inside and (found := re.match(r'        (\w+):', line)):
            schemas[name].add(found.group(1))
    return schemas


class Description(HttpCase):
    """The file against the daemon."""

    def table(self):
        """The route table as the daemon prints it."""
        text = subprocess.run(
            [self.suite.program('api'), '--list-routes'], stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        routes = {}
        for line in text.splitlines():
            method, path, access, limit, query = line.split(' ', 4)
            routes[method, path] = (access, int(limit), query.split())
        return routes

    def test_routes(self):
        self.maxDiff = None
        self.assertEqual(described_routes(), self.table())

    def test_references(self):
        text = FILE.read_text(encoding='utf-8')
        schemas = described_schemas()
        used = set(re.findall(r'#/components/schemas/(\w+)', text))
        self.assertEqual(used - set(schemas), set())
        self.assertEqual(set(schemas) - used, set(), 'schemas that nothing uses')

    def test_task_files(self):
        """A file of the command line has a key for all that a task takes but its password, and for nothing else."""
        schemas, names = described_schemas(), {'node_id': 'node', 'target_ids': 'targets'}
        file = {names.get(field, field): 1 for field in schemas['TaskInput'] - {'secrets'}}
        for key, schema in (('source', 'Source'), ('compression', 'Compression'), ('schedule', 'Schedule'),
                            ('verify', 'Verification'), ('retention', 'Retention'), ('hooks', 'Hooks')):
            file[key] = dict.fromkeys(schemas[schema], 1)
        file['source']['server'] = dict.fromkeys(schemas['DatabaseServer'] | schemas['HanaServer'], 1)
        file['verify']['schedule'] = dict.fromkeys(schemas['Schedule'], 1)
        command = 'tasks', 'create', '--file', '-', '--server', 'http://127.0.0.1:1'
        done = self.suite.cli(*command, check=False, stdin=json.dumps(file))
        self.assertEqual(done.returncode, 3, done.stderr)  # read, and nobody there to send it to
        for where in (file, *(value for value in file.values() if isinstance(value, dict))):
            where['colour'] = 1
            done = self.suite.cli(*command, check=False, stdin=json.dumps(file))
            self.assertNotEqual(done.returncode, 3)
            self.assertIn('colour', done.stderr)
            del where['colour']

    def same(self, schema, data, may_lack=()):
        """Checks the fields of an answer."""
        fields = described_schemas()[schema]
        self.assertEqual(set(data) - fields, set(), schema)
        self.assertEqual(fields - set(data) - set(may_lack), set(), schema)

    def test_answers(self):
        target = self.make_target()
        self.same('Target', target)
        verify = {'schedule': {'expression': '@weekly'}, 'shares': 7}
        task = self.admin.post('tasks', self.task_body(schedule={'expression': '@daily'}, verify=verify))
        self.same('Task', task)
        databases = ('server', 'databases', 'exclude', 'one_snapshot', 'backup', 'level', 'via', 'directory',
                     'channels', 'retries')
        self.same('Source', task['source'], databases)
        self.same('Compression', task['compression'])
        self.same('Schedule', task['schedule'])
        self.same('Verification', task['verify'])
        run = self.admin.post(f'tasks/{task["id"]}/run')
        self.same('RunId', run)
        shown = self.admin.get(f'runs/{run["run_id"]}')
        self.same('Run', shown)
        self.same('RunTarget', shown['targets'][0])
        self.same('Logs', self.admin.get(f'runs/{run["run_id"]}/logs'))
        node = self.admin.post('nodes', {'name': self.unique('n')})
        self.same('Node', node)
        self.same('NodeToken', self.admin.post(f'nodes/{node["id"]}/rotate-token'))
        self.same('Enrollment', self.admin.post(f'nodes/{node["id"]}/enrollment'))
        self.same('Self', Client(self.server, node['token']).get('agent/self'))
        user = self.make_user()
        self.same('User', user, ('api_key_id',))
        self.same('User', self.admin.get('auth/me'))
        self.same('ApiKey', self.admin.post('api-keys', {'name': 'x'}))
        self.same('AuditEntry', self.admin.get('audit')['items'][0])
        self.same('TaskPage', self.admin.get('tasks'))
        self.same('Setup', self.admin.get('setup'))
        self.same('Ready', self.admin.request('GET', '/ready')[1]['data'])
        _, answer = self.admin.request('GET', 'runs/9999')
        self.same('Error', answer, ('field', 'tasks', 'more'))


if __name__ == '__main__':
    unittest.main()
