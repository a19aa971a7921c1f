# SPDX-License-Identifier: Apache-2.0
"""Reads C sources well enough to check them: files of the tree, code without comments and literals,
top-level statements."""

import os
import pathlib
import re

# BACKUPX_SOURCE names another tree to check.
ROOT = pathlib.Path(os.environ.get('BACKUPX_SOURCE') or pathlib.Path(__file__).resolve().parents[2])
SKIPPED_FOLDERS = ('.git', '__pycache__', '.cache', 'node_modules')
PRODUCT = ('lib/', 'services/', 'agent/', 'cli/')


def walk(*suffixes):
    """All files of the tree with one of the suffixes, relative to its root; build folders left out."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders if not name.startswith('build') and name not in SKIPPED_FOLDERS
        )
        for name in sorted(names):
            path = pathlib.Path(folder, name).relative_to(ROOT).as_posix()
            if path.endswith(suffixes):
                yield path


def read(path):
    """The text of a file of the tree."""
    return (ROOT / path).read_text(encoding='utf-8')


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip(text):
    """The code with comments gone and literals emptied; every line keeps its number."""

    def blank(match):
        token = match.group(0)
        if token[0] in '"\'':
            return token[0] * 2
        return ' ' + '\n' * token.count('\n')

    return _TOKEN.sub(blank, text)


def without_directives(code):
    """The code with preprocessor lines blank (continued ones too)."""
    directive = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.M)
    return directive.sub(lambda match: '\n' * match.group(0).count('\n'), code)


def top_level(code):
    """Yields (line, text) of what stands outside of braces: each ends at ';' or at the brace block it
    owns, which is shown as '{}'."""
    depth = parens = 0
    line = start_line = 1
    text = []
    for character in code:
        if character == '\n':
            line += 1
        if depth == 0:
            if not text and character.isspace():
                start_line = line
                continue
            if not text:
                start_line = line
            text.append(character if character != '}' else '')
            parens += (character == '(') - (character == ')')
        if character == '{':
            depth += 1
        elif character == '}':
            depth -= 1
            if depth == 0:
                text.append('}')
                if _is_function(''.join(text)):
                    yield start_line, ''.join(text)
                    text = []
        elif character == ';' and depth == 0 and parens == 0:
            yield start_line, ''.join(text)
            text = []


def _is_function(text):
    """Whether the text that ends in a block is a function, which takes no semicolon."""
    head = text[: text.index('{')].rstrip()
    return head.endswith(')') or head.endswith('_')
