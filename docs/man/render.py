#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the man pages: backupx(1) and the bash completion from the client's own table of commands, the
others from the short texts beside this file.

usage: render.py command TABLE.json OUT    backupx.1 from "backupx help --json"
       render.py completion TABLE.json OUT the completion of bash
       render.py page TEXT.md VERSION OUT  a page from a text: # NAME(8) -- what it is, ## sections, lists
"""

import json
import pathlib
import re
import sys


def escape(text):
    """Text as roff wants it."""
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\\&' + text if text[:1] in ".'" else text


def inline(text):
    """`code` and **bold** of a paragraph."""
    parts = re.split(r'(`[^`]*`|\*\*[^*]*\*\*)', text)
    out = []
    for part in parts:
        if part.startswith('`') and len(part) > 1:
            out.append('\\fB' + escape(part[1:-1]) + '\\fR')
        elif part.startswith('**'):
            out.append('\\fB' + escape(part[2:-2]) + '\\fR')
        else:
            out.append(escape(part))
    return ''.join(out)


def header(name, section, version):
    """The head of a page."""
    return [f'.TH "{name.upper()}" "{section}" "" "BackupX {version}" "BackupX"', '.nh', '.ad l']


def render_page(text, version):
    """A page from its text."""
    lines = text.splitlines()
    title = next(line for line in lines if line.startswith('# '))
    name, section, summary = re.match(r'# (\S+)\((\d)\) -- (.*)', title).groups()
    out = header(name, section, version) + ['.SH NAME', f'{escape(name)} \\- {escape(summary)}']
    paragraph = example = False
    for line in lines[lines.index(title) + 1 :]:
        if line.startswith('    '):
            out += [] if example else ['.PP', '.RS 4', '.nf']
            out.append(escape(line[4:]))
            example = True
            continue
        if example and line.strip():
            out += ['.fi', '.RE']
            example = paragraph = False
        if line.startswith('<!--'):
            continue
        if line.startswith('## '):
            out.append(f'.SH {escape(line[3:]).upper()}')
            paragraph = False
        elif line.startswith('- '):
            head, _, rest = line[2:].partition(': ')
            out += ['.TP', inline(head), inline(rest)] if rest else ['.IP \\(bu 2', inline(head)]
        elif not line.strip():
            paragraph = True
        else:
            if paragraph:
                out.append('.PP')
                paragraph = False
            out.append(inline(line.strip()))
    return '\n'.join(out) + '\n'


def sentence(text):
    """A summary as a sentence."""
    return escape(text[0].upper() + text[1:] + ('' if text.endswith('.') else '.'))


def render_option(option):
    """One option."""
    names = f'\\fB\\-{option["letter"]}\\fR, ' if option['letter'] else ''
    names += f'\\fB{escape("--" + option["name"])}\\fR'
    if option['argument']:
        names += f' \\fI{escape(option["argument"])}\\fR'
    text = option['help']
    if option['choices']:
        text += f'. One of: {option["choices"].replace("|", ", ")}.'
    return ['.TP', names, sentence(text)]


def render_command(table):
    """backupx(1)."""
    out = header('backupx', '1', table['version'])
    out += [
        '.SH NAME',
        'backupx \\- back up, restore and look after the backups of many servers',
        '.SH SYNOPSIS',
        '\\fBbackupx\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...]',
        '.br',
        '\\fBbackupx agent\\fR [\\fIOPTION\\fR...]',
        '.SH DESCRIPTION',
        'Talks to the master of a BackupX suite over its HTTP API. Objects are named by their name or',
        'their number; runs by their number.',
        '.PP',
        'The server is the one of \\fB\\-\\-server\\fR, else of the variable BACKUPX_SERVER, else that of',
        'the last login. The credential is that of \\fB\\-\\-token\\-file\\fR, BACKUPX_TOKEN,',
        'BACKUPX_TOKEN_FILE, or the session of \\fBbackupx login\\fR. A password is asked for or read',
        'from a file, never taken from the command line.',
        '.PP',
        'A server by https is believed when an authority that this machine knows (or \\fB\\-\\-ca\\-cert\\fR)',
        'signed its certificate, or when its key has the pin of \\fB\\-\\-pin\\fR, of BACKUPX_PIN, or of the login.',
        '.SH COMMANDS',
    ]
    for command in table['commands']:
        usage = ' '.join(filter(None, ('backupx', command['noun'], command['verb'])))
        operands = f' \\fI{escape(command["operands"])}\\fR' if command['operands'] else ''
        out += ['.SS ' + escape(usage) + operands, sentence(command['summary'])]
        if command['description']:
            out += ['.PP', escape(command['description'])]
        for option in command['options']:
            out += render_option(option)
    out += [
        '.SS backupx agent allow\\-storage \\fIDIR\\fR',
        'Let backup jobs of this machine write to a directory, which a target of the type local may name',
        'then (root). Adds a drop\\-in to the units of the jobs and an entry to the policy of the agent.',
        '.SS backupx agent \\fR...',
        'Run the agent of this machine: see backupx\\-agent(8).',
        '.SS backupx backint \\fR...',
        'Back up pieces of SAP HANA, which calls it as hdbbackint: see backupx\\-backint(8).',
        '.SH OPTIONS',
        'Every command takes these, too:',
    ]
    for option in table['options']:
        out += render_option(option)
    out += ['.SH EXIT STATUS']
    for status, text in enumerate(table['exit_statuses']):
        out += ['.TP', str(status), sentence(text)]
    out += [
        '.SH FILES',
        '.TP',
        '~/.config/backupx/session.json',
        'The session of backupx login, for the user alone (mode 0600).',
        '.SH EXAMPLES',
        '.nf',
        *(
            escape(line)
            for line in (
                'backupx targets create disk --path /srv/backup',
                'backupx tasks create etc --path /etc --target disk --schedule "Mon..Fri 02:30"',
                'backupx tasks run etc --wait',
                'backupx restores create 1 --to /tmp/restored --wait',
            )
        ),
        '.fi',
        '.SH SEE ALSO',
        'backupx\\-agent(8), backupx\\-api(8), backupx\\-scheduler(8), backupx\\-dispatcher(8)',
    ]
    return '\n'.join(out) + '\n'


COMPLETION = r'''# SPDX-License-Identifier: Apache-2.0
# Completion of backupx for bash; made from the table of commands.

_backupx_names() {
        # Names of what is there; silent where nobody is logged in.
        local field=name
        [ "$1" = users ] && field=username
        backupx "$1" list --all --json 2>/dev/null | sed -n "s/^ *\"$field\": \"\(.*\)\",\{0,1\}$/\1/p"
}

_backupx() {
        local cur prev noun verb key value
        COMPREPLY=()
        cur=${COMP_WORDS[COMP_CWORD]}
        prev=${COMP_WORDS[COMP_CWORD - 1]}
        noun=${COMP_WORDS[1]-}
        verb=${COMP_WORDS[2]-}
        if [ "$COMP_CWORD" -eq 1 ]; then
                mapfile -t COMPREPLY < <(compgen -W "@nouns@ agent --help --version" -- "$cur")
                return
        fi
        case "$noun" in
@verbs@
        *) verb= ;;
        esac
        key="$noun $verb"
        [ -n "$verb" ] || key=$noun
        case "$key $prev" in
@values@
        *" --path" | *" --to" | *" --directory" | *" --file" | *"-file" | *" --ca-cert")
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
                ;;
        esac
        if [[ $cur == -* ]]; then
                case "$key" in
@options@
                esac
                mapfile -t COMPREPLY < <(compgen -W "$value @global@" -- "$cur")
                return
        fi
        case "$key" in
@operands@
        esac
} &&
        complete -o default -F _backupx backupx
'''


def render_completion(table):
    """The completion of bash."""
    nouns, values, options, operands = {}, [], [], []
    for command in table['commands']:
        nouns.setdefault(command['noun'], [])
        if command['verb']:
            nouns[command['noun']].append(command['verb'])
        key = ' '.join(filter(None, (command['noun'], command['verb'])))
        words = ' '.join('--' + option['name'] for option in command['options'])
        options.append(f'                "{key}") value="{words}" ;;')
        for option in command['options']:
            flags = [f'--{option["name"]}'] + ([f'-{option["letter"]}'] if option['letter'] else [])
            pattern = ' | '.join(f'"{key} {flag}"' for flag in flags)
            if option['choices']:
                source = f'compgen -W "{option["choices"].replace("|", " ")}" -- "$cur"'
            elif option['completes']:
                source = f'compgen -W "$(_backupx_names {option["completes"]})" -- "$cur"'
            else:
                continue
            values.append(
                f'        {pattern})\n                mapfile -t COMPREPLY < <({source})\n'
                '                return\n                ;;'
            )
        if command['completion'] == 'directory':
            operands.append(f'        "{key}") mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;')
        elif command['completion']:
            operands.append(
                f'        "{key}") mapfile -t COMPREPLY < <(compgen -W '
                f'"$(_backupx_names {command["completion"]})" -- "$cur") ;;'
            )
    verbs = [
        f'        {noun})\n                if [ "$COMP_CWORD" -eq 2 ]; then\n'
        f'                        mapfile -t COMPREPLY < <(compgen -W "{" ".join(names)}" -- "$cur")\n'
        '                        return\n                fi\n                ;;'
        for noun, names in nouns.items()
        if names
    ]
    text = COMPLETION
    for name, value in (
        ('nouns', ' '.join(nouns)),
        ('verbs', '\n'.join(verbs)),
        ('values', '\n'.join(values)),
        ('options', '\n'.join(options)),
        ('operands', '\n'.join(operands)),
        ('global', ' '.join('--' + option['name'] for option in table['options'])),
    ):
        text = text.replace(f'@{name}@', value)
    return text


def main(arguments):
    """Writes what was asked for."""
    kind, source, *rest = arguments
    text = pathlib.Path(source).read_text(encoding='utf-8')
    if kind == 'page':
        result = render_page(text, rest[0])
    else:
        result = {'command': render_command, 'completion': render_completion}[kind](json.loads(text))
    pathlib.Path(rest[-1]).write_text(result, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
