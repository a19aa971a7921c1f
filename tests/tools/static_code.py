#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of the source itself. Each function check_NAME yields "file:line: what is wrong"; any line fails.

usage: static_code.py NAME...    run these checks;   static_code.py --list    say which there are
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import csource

LINE_MAX = 109
LINE_MAX_OF_SCRIPTS = 120
FILE_MAX = 800
FUNCTION_LINES_MAX = 60
BRANCHES_MAX = 30
NESTING_MAX = 5
PARAMETERS_MAX = 7

# Which layers of the tree a folder may include, itself aside. The longest folder that fits a file counts.
LIB = ['base', 'sys', 'crypto', 'store', 'wire', 'storage', 'archive', 'repository', 'recovery']
LIB_BUT_STORE = [layer for layer in LIB if layer not in ('store', 'recovery')]
MAY_USE = {
    'lib/base': [],
    'lib/sys': ['base'],
    'lib/crypto': ['base'],
    'lib/store': ['base', 'sys', 'crypto'],
    'lib/wire': ['base', 'sys', 'crypto'],
    'lib/wire/entity': ['base', 'sys', 'crypto', 'store'],
    'lib/storage': ['base', 'sys', 'crypto', 'wire'],
    'lib/archive': ['base', 'sys', 'crypto', 'wire', 'storage'],
    'lib/repository': ['base', 'sys', 'crypto', 'wire', 'storage', 'archive'],
    'lib/recovery': ['base', 'sys', 'crypto', 'store', 'wire', 'archive'],
    'lib/database': ['base', 'sys', 'crypto', 'wire', 'storage', 'archive'],
    'lib/backint': ['base', 'crypto', 'wire', 'storage', 'archive'],
    'services/api': LIB,
    'services/scheduler': LIB,
    'services/dispatcher': LIB,
    'services/keys': LIB,
    'agent': LIB_BUT_STORE + ['database', 'backint'],
    'cli': LIB_BUT_STORE,
    'cli/reset-password': LIB,
    'cli/recovery': LIB,
    'tests': LIB + ['database', 'backint', 'services', 'agent', 'cli', 'tests'],
}

# Callbacks with one of these have the parameters that their caller gives.
FOREIGN_CALLBACK = r'sd_bus(_message)? \*|struct MHD_Connection \*|sd_event_source \*|gnutls_session_t'

# header -> who may include it: every foreign API stands behind one folder or one pair of files.
FOREIGN = {
    r'sqlite3\.h': r'lib/store/|lib/database/sqlite[^/]*\.[ch]$|lib/backint/catalog\.c$|tests/unit/store/',
    r'mysql\.h': r'lib/database/mysql-server\.c$',
    r'libpq-fe\.h': r'lib/database/pg-server\.c$',
    r'microhttpd\.h': r'services/api/',
    r'gnutls/.*\.h': r'services/api/tls\.c$',
    r'openssl/.*|crypt\.h|jwt\.h': r'lib/crypto/|tests/bench/fleet/',
    r'systemd/sd-bus.*\.h': r'.*bus[^/]*$',
    r'jansson\.h': r'lib/wire/',
    r'yaml\.h': r'lib/sys/',
    r'zstd.*\.h': r'lib/archive/|lib/repository/compress\.c$|lib/recovery/bundle-[^/]*$|tests/unit/archive/',
    r'sys/acl\.h|acl/libacl\.h': r'lib/archive/|tests/unit/archive/',
    r'libssh2.*\.h': r'lib/storage/sftp[^/]*\.[ch]$',
    r'curl/.*\.h': r'cli/http\.c$|lib/storage/(http|transfer|tcp)\.[ch]$|agent/daemon/http[^/]*\.[ch]$',
}

# The only writable file-scope variables, each with its reason.
WRITABLE = {
    'lib/sys/log.c': 'the log level and target belong to the process',
}


def c_files(*folders):
    """Sources and headers below the folders (all of the tree without any)."""
    for path in csource.walk('.c', '.h'):
        if not folders or path.startswith(folders):
            yield path


def lines_of(path):
    """(number, line) of a file."""
    return enumerate(csource.read(path).splitlines(), 1)


def layer_of_file(path):
    """The entry of MAY_USE for a file and the layers that it is itself part of."""
    folder = max((name for name in MAY_USE if path.startswith(name)), key=len, default=None)
    return folder, [path.split('/')[1] if path.startswith('lib/') else path.split('/')[0]]


def may_include(path, include):
    """Whether a file of ours may include this header of ours."""
    folder, own = layer_of_file(path)
    layer = include.split('/')[0]
    if folder is None or layer in own + MAY_USE[folder]:
        return layer != 'services' or path.startswith('tests/') or include.startswith(f'{folder}/')
    return False


def check_layers():
    """A folder includes only the layers below it, and by their path from the root."""
    for path in c_files():
        for number, line in lines_of(path):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            include = match.group(1)
            if '/' not in include or '..' in include:
                yield f'{path}:{number}: include "{include}" by its path from the root ("layer/module.h")'
            elif not may_include(path, include):
                yield f'{path}:{number}: {layer_of_file(path)[0]} may not include "{include}"'


def check_foreign():
    """Each foreign API has one place that includes it."""
    for path in c_files():
        for number, line in lines_of(path):
            match = re.match(r'\s*#\s*include\s+<([^>]+)>', line)
            for header, place in FOREIGN.items() if match else ():
                if re.fullmatch(header, match.group(1)) and not re.match(place, path):
                    yield f'{path}:{number}: <{match.group(1)}> is included in {place} only'


def check_goto():
    """No goto: every owned local has a cleanup attribute."""
    for path in c_files():
        for number, line in enumerate(csource.strip(csource.read(path)).splitlines(), 1):
            if re.search(r'\bgoto\b', line):
                yield f'{path}:{number}: goto'


def is_variable(text):
    """Whether a top-level statement defines (or declares) a variable."""
    head = re.split(r'=|\{', text, maxsplit=1)[0]
    if text.endswith('}') and head.rstrip().endswith(')'):
        return False
    if re.match(r'(typedef|extern|struct\s+\w+\s*;|enum|union|_?[Ss]tatic_assert|[A-Z_]+\s*\()', head):
        return False
    if re.match(r'(?:static\s+)?(?:const\s+)?(struct|union|enum)\b[^=]*\{', text) and '=' not in text:
        return False
    without_attributes = re.sub(r'__attribute__\s*\(\(.*?\)\)|_\w+_(\([^)]*\))?', '', head)
    return '(' not in without_attributes.replace('(*', '') or re.search(
        r'\(\*\s*\w+', without_attributes
    )


def is_constant(text):
    """Whether the variable that a statement defines cannot be written: its own declarator is const."""
    head = re.split(r'=|;', text, maxsplit=1)[0]
    if '*' in head:
        return bool(re.search(r'\*\s*const\b[^*]*$', head))
    return bool(re.search(r'\bconst\b', head))


def check_globals():
    """No writable variables at file scope and no static locals: state lives in one object of the process."""
    for path in c_files(*csource.PRODUCT):
        code = csource.without_directives(csource.strip(csource.read(path)))
        if path not in WRITABLE:
            for number, text in csource.top_level(code):
                if is_variable(text) and not is_constant(text):
                    yield f'{path}:{number}: writable variable at file scope: {" ".join(text.split())[:70]}'
        for number, line in enumerate(code.splitlines(), 1):
            match = re.match(r'\s+static\s+(.*)', line)
            if match and '(' not in match.group(1).split('=')[0] and not is_constant(match.group(1)):
                yield f'{path}:{number}: writable static local'


def check_forward():
    """No forward declarations of static functions: helpers come first, tables last."""
    for path in c_files():
        code = csource.without_directives(csource.strip(csource.read(path)))
        for number, text in csource.top_level(code):
            if re.match(r'static\b[^={]*\w\s*\([^={]*\)[^={()]*;$', text, re.S) and '(*' not in text:
                yield f'{path}:{number}: forward declaration of a static function'


def check_comments():
    """Only /* */ comments, and no notes to self instead of work."""
    for path in c_files():
        text = csource.read(path)
        for match in re.finditer(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//', text, re.S):
            if match.group(0) == '//':
                yield f'{path}:{text.count(chr(10), 0, match.start()) + 1}: // comment'
    for path in csource.walk(
        '.c', '.h', '.py', '.sh', 'meson.build', '.xml', '.md', '.service', '.socket'
    ):
        for number, line in lines_of(path):
            if (
                re.search(r'\b(TO' 'DO|FIX' 'ME|XX' 'X|HA' 'CK)\b(?!\\w)', line)
                and 'mkstemp' not in line
            ):
                yield f'{path}:{number}: a note instead of the work: {line.strip()[:60]}'


def check_lines():
    """Lines are at most 109 columns long (120 outside of C), without tabs, and end cleanly."""
    for path in csource.walk('.c', '.h', '.py', '.sh', 'meson.build'):
        text = csource.read(path)
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > (LINE_MAX if path.endswith(('.c', '.h')) else LINE_MAX_OF_SCRIPTS):
                yield f'{path}:{number}: {len(line)} columns'
            if line != line.rstrip():
                yield f'{path}:{number}: space at the end of the line'
            if '\t' in line:
                yield f'{path}:{number}: tab'
        if text and not text.endswith('\n'):
            yield f'{path}: no newline at its end'


def check_length():
    """No file is longer than FILE_MAX lines."""
    for path in csource.walk('.c', '.h', '.py', '.sh'):
        count = len(csource.read(path).splitlines())
        if count > FILE_MAX:
            yield f'{path}: {count} lines, the limit is {FILE_MAX}: split it by noun'


def own_files():
    """Every regular file of the tree that is not a test's data."""
    for path in csource.walk(''):
        if (
            not path.startswith(('tests/fuzz/corpus/', 'tests/data/'))
            and (csource.ROOT / path).is_file()
        ):
            yield path


def is_script(path):
    """Whether a file without a telling suffix is a script."""
    with open(csource.ROOT / path, 'rb') as file:
        return file.read(2) == b'#!'


def check_spdx():
    """Every source says its licence: line 1 of a .c, line 2 of a .h, near the top elsewhere."""
    for path in own_files():
        name = path.rsplit('/', 1)[-1]
        if name.endswith('.c'):
            first, where = 0, 1
        elif name.endswith('.h'):
            first, where = 1, 2
        elif name.endswith(('.py', '.sh', 'meson.build')) or ('.' not in name and is_script(path)):
            first, where = 0, 3
        else:
            continue
        lines = csource.read(path).splitlines()
        if not any('SPDX-License-Identifier: Apache-2.0' in line for line in lines[first:where]):
            yield f'{path}:{first + 1}: SPDX-License-Identifier: Apache-2.0 belongs here'
        if name.endswith('.h') and lines[:1] != ['#pragma once']:
            yield f'{path}:1: #pragma once is the first line of a header'


def check_format():
    """clang-format 14 changes nothing."""
    paths = list(c_files())
    tool = shutil.which('clang-format-14') or shutil.which('clang-format')
    if not tool:
        yield 'clang-format-14 is not installed'
        return
    result = subprocess.run(
        [tool, '--dry-run', '-Werror', *paths],
        cwd=csource.ROOT,
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if result.returncode != 0:
        for line in sorted(set(re.findall(r'^\S+?:\d+', result.stderr, re.M))):
            yield f'{line}: clang-format -i {line.split(":")[0]}'


def compile_header(path):
    """What the compiler says about a header on its own."""
    command = [
        'gcc',
        '-std=gnu11',
        '-D_GNU_SOURCE',
        '-D_FILE_OFFSET_BITS=64',
        '-fsyntax-only',
        '-Wall',
        '-Wextra',
        '-Werror',
        '-Wno-unused-parameter',
        '-Wno-missing-field-initializers',
        '-Wno-unused-function',
        '-DBACKUPX_VERSION="0"',
        '-DBACKUPX_LIBEXECDIR="/"',
        '-DBACKUPX_BINDIR="/"',
        '-I.',
        '-Ilib',
        '-x',
        'c',
        '-include',
        path,
        '/dev/null',
    ]
    result = subprocess.run(command, cwd=csource.ROOT, check=False, stderr=subprocess.PIPE, text=True)
    if result.returncode == 0:
        return []
    return [f'{path}: does not compile alone: {result.stderr.strip().splitlines()[0]}']


def check_headers():
    """Each header compiles alone."""
    paths = [path for path in c_files() if path.endswith('.h')]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(compile_header, paths):
            yield from found


def check_xml():
    """The XML files parse; those of dbus/ hold one interface of ours, named as the file."""
    for path in csource.walk('.xml'):
        try:
            tree = xml.etree.ElementTree.parse(csource.ROOT / path)
        except xml.etree.ElementTree.ParseError as error:
            yield f'{path}: {error}'
            continue
        name = path.rsplit('/', 1)[-1].removesuffix('.xml')
        if path.startswith('dbus/') and name not in [i.get('name') for i in tree.iter('interface')]:
            yield f'{path}: no interface {name}'


def check_catalog():
    """Every MESSAGE_ID of lib/wire/names.h has a catalog entry, and no entry is without an ID."""
    names, catalog = 'lib/wire/names.h', 'packaging/catalog/backupx.catalog'
    if not (csource.ROOT / names).exists():
        return
    ids = dict(re.findall(r'#\s*define\s+(MESSAGE_\w+)\s+"([0-9a-f]{32})"', csource.read(names)))
    text = csource.read(catalog) if (csource.ROOT / catalog).exists() else ''
    entries = re.findall(r'^-- ([0-9a-f]{32})$', text, re.M)
    for name, message_id in ids.items():
        if message_id not in entries:
            yield f'{names}: {name} has no entry in {catalog}'
    for entry in entries:
        if entry not in ids.values():
            yield f'{catalog}: {entry} is no MESSAGE_ID of {names}'
    for group in (list(ids.values()), entries):
        for message_id in {value for value in group if group.count(value) > 1}:
            yield f'{message_id} stands for two messages'


def shell_scripts():
    """The shell scripts of the tree."""
    for path in own_files():
        with open(csource.ROOT / path, 'rb') as file:
            first = file.readline(80)
        if re.match(rb'#!.*\b(ba|da)?sh\b', first):
            yield path


def check_shell():
    """shellcheck says nothing."""
    scripts = list(shell_scripts())
    if not scripts:
        return
    result = subprocess.run(
        ['shellcheck', '-x', '-f', 'gcc', *scripts],
        cwd=csource.ROOT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield from result.stdout.splitlines()


def functions():
    """(path, line, name, signature, body) of every function of the product, as universal-ctags sees it."""
    paths = [path for path in c_files(*csource.PRODUCT) if path.endswith('.c')]
    command = ['ctags', '-o', '-', '--output-format=json', '--c-kinds=f', '--fields=+neS', '-L', '-']
    result = subprocess.run(
        command, cwd=csource.ROOT, check=True, input='\n'.join(paths), stdout=subprocess.PIPE, text=True
    )
    lines = {path: csource.strip(csource.read(path)).splitlines() for path in paths}
    for line in result.stdout.splitlines():
        tag = json.loads(line)
        if 'end' in tag:
            body = lines[tag['path']][tag['line'] - 1 : tag['end']]
            yield tag['path'], tag['line'], tag['name'], tag.get('signature', ''), body


def nesting(body):
    """How deep braces nest inside of a function's own."""
    depth = deepest = 0
    for character in ''.join(body):
        depth += (character == '{') - (character == '}')
        deepest = max(deepest, depth)
    return max(0, deepest - 1)


def check_budgets():
    """Functions stay small: lines, branches, nesting, parameters (callbacks of others have what they ask for)."""
    if not shutil.which('ctags'):
        yield 'universal-ctags is not installed'
        return
    for path, line, name, signature, body in functions():
        text = '\n'.join(body)
        branches = 1 + len(re.findall(r'\b(?:if|for|while|case)\b|&&|\|\||\?|\b\w*_?FOREACH\w*\s*\(', text, re.I))
        parameters = 0 if signature in ('(void)', '()', '') else signature.count(',') + 1
        foreign = re.search(FOREIGN_CALLBACK, signature)
        for value, limit, what in (
            (len(body), FUNCTION_LINES_MAX, 'lines'),
            (branches, BRANCHES_MAX, 'branches'),
            (nesting(body), NESTING_MAX, 'levels of nesting'),
            (parameters, PARAMETERS_MAX, 'parameters'),
        ):
            if value > limit and not (what == 'parameters' and foreign):
                yield f'{path}:{line}: {name}() has {value} {what}, the limit is {limit}'


def check_python():
    """Python files compile."""
    for path in csource.walk('.py'):
        try:
            compile(csource.read(path), path, 'exec')
        except SyntaxError as error:
            yield f'{path}:{error.lineno}: {error.msg}'


CHECKS = {
    name.removeprefix('check_'): function
    for name, function in list(globals().items())
    if name.startswith('check_')
}


def main(arguments):
    """Runs the checks named; the exit status."""
    if arguments == ['--list']:
        print('\n'.join(CHECKS))
        return 0
    failed = 0
    for name in arguments or CHECKS:
        found = list(CHECKS[name]())
        for line in found:
            print(line)
        if found:
            print(f'{name}: {CHECKS[name].__doc__.splitlines()[0]}')
        failed += len(found)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
