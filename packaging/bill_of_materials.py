#!/usr/bin/env python3
"""Prints what a program is made of as SPDX 2.3 (JSON): the Debian packages whose libraries it is linked with, directly or through
others, with versions and licences as dpkg and the packages' copyright files on this machine have them.

usage: bill_of_materials.py PROGRAM PACKAGE.deb        (PROGRAM lies in its build folder, whose build.ninja names static libraries)
"""
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

# Debian's names of licences, where SPDX has others.
SPDX = {'expat': 'MIT', 'mit': 'MIT', 'apache-2.0': 'Apache-2.0', 'apache-2': 'Apache-2.0', 'bsd-2-clause': 'BSD-2-Clause', 'bsd-3-clause': 'BSD-3-Clause',
        'zlib': 'Zlib', 'isc': 'ISC', 'curl': 'curl', 'libpng': 'Libpng', 'artistic': 'Artistic-1.0', 'public-domain': None,
        'mpl-1.1': 'MPL-1.1', 'mpl-2.0': 'MPL-2.0', 'openssl': 'OpenSSL', 'cc0-1.0': 'CC0-1.0', 'bsl-1.0': 'BSL-1.0', 'ijg': 'IJG'}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(program):
    """{path: 'shared' | 'static'} of what is linked into it or loaded with it."""
    found = {}
    for line in run('ldd', program).splitlines():
        match = re.search(r'(/\S+)', line)
        if match:
            found[os.path.realpath(match[1])] = 'shared'
    ninja = (pathlib.Path(program).parent / 'build.ninja').read_text()
    rule = re.search(r'^build pefomed: .*?(?=^build |\Z)', ninja, re.MULTILINE | re.DOTALL)
    if rule is None:
        sys.exit(f'bill_of_materials: {program}: build.ninja does not say how it is linked')
    linked = re.search(r'LINK_LIBRARIES = (.*)', rule[0])[1]
    for path in re.findall(r'(/\S+\.a)(?=\s|$)', linked):
        found[os.path.realpath(path)] = 'static'
    return found


def owners(paths):
    """{path: the Debian package that it belongs to}"""
    out = {}
    for path in paths:
        names = [path] + ([path[len('/usr'):]] if path.startswith('/usr/lib') else ['/usr' + path])
        for name in names:
            done = subprocess.run(['dpkg-query', '-S', name], capture_output=True, text=True)
            if done.returncode == 0:
                out[path] = done.stdout.split(': ')[0].split(',')[0]
                break
        else:
            sys.exit(f'bill_of_materials: {path} belongs to no Debian package')
    return out


def licence(package):
    """(SPDX expression or None, what Debian's copyright file names) of all its files: the paragraph `Files: *`."""
    path = pathlib.Path('/usr/share/doc', package.split(':')[0], 'copyright')
    text = path.read_text(errors='replace') if path.exists() else ''
    names = sorted(set(re.findall(r'^License:[ \t]*(\S[^\n]*)$', text, re.MULTILINE)))
    if not names: # an older file, in prose: the common licences that it points to
        names = sorted({name.rstrip('.') for name in re.findall(r'/usr/share/common-licenses/([\w.+-]+)', text)})
    whole = re.search(r'^Files:[ \t]*\*[ \t]*$.*?^License:[ \t]*(\S[^\n]*)$', text, re.MULTILINE | re.DOTALL)
    return expression(whole[1].strip()) if whole else None, names


def expression(name):
    """Debian's 'GPL-2+ or LGPL-2.1' as SPDX, or None where a name has no counterpart."""
    parts = []
    for word in re.split(r'\s+(or|and|and/or)\s+', name.strip(), flags=re.IGNORECASE):
        if word.lower() in ('or', 'and', 'and/or'):
            parts.append('OR' if 'or' in word.lower() else 'AND')
            continue
        gnu = re.fullmatch(r'(L?GPL|AGPL|GFDL)-(\d)(?:\.(\d))?(\+?)', word, re.IGNORECASE)
        known = f'{gnu[1].upper()}-{gnu[2]}.{gnu[3] or 0}-{"or-later" if gnu[4] else "only"}' if gnu else SPDX.get(word.lower())
        if known is None:
            return None
        parts.append(known)
    return ' '.join(parts)


def identifier(name):
    return 'SPDXRef-' + re.sub(r'[^A-Za-z0-9.-]', '-', name)


def describe(package, kinds):
    version, source, home, arch = run('dpkg-query', '-W', '-f', '${Version}\t${source:Package}\t${Homepage}\t${Architecture}', package).split('\t')
    name = package.split(':')[0]
    declared, named = licence(package)
    entry = {'SPDXID': identifier(name), 'name': name, 'versionInfo': version, 'supplier': 'Organization: Debian', 'downloadLocation': 'NOASSERTION',
             'filesAnalyzed': False, 'licenseConcluded': 'NOASSERTION', 'licenseDeclared': declared or 'NOASSERTION', 'copyrightText': 'NOASSERTION',
             'sourceInfo': f'built from the Debian source package {source}; linked {" and ".join(sorted(kinds))}',
             'externalRefs': [{'referenceCategory': 'PACKAGE-MANAGER', 'referenceType': 'purl',
                               'referenceLocator': f'pkg:deb/debian/{name.replace("+", "%2B")}@{version.replace(":", "%3A").replace("+", "%2B")}?arch={arch}'}]}
    if home:
        entry['homepage'] = home
    entry['licenseComments'] = f'/usr/share/doc/{name}/copyright ' + (f'names: {"; ".join(named)}' if named else 'has it in words of its own')
    return entry


def main():
    program, deb = sys.argv[1:]
    found = libraries(program)
    kinds = {}
    for path, package in owners(found).items():
        kinds.setdefault(package, set()).add(found[path])
    version = run('dpkg-deb', '-f', deb, 'Version').strip()
    digest = hashlib.sha256(pathlib.Path(deb).read_bytes()).hexdigest()
    epoch = int(os.environ.get('SOURCE_DATE_EPOCH', 0)) or int(datetime.datetime.now().timestamp())
    own = {'SPDXID': 'SPDXRef-pefomed', 'name': 'pefomed', 'versionInfo': version, 'packageFileName': os.path.basename(deb), 'supplier': 'NOASSERTION',
           'downloadLocation': 'NOASSERTION', 'filesAnalyzed': False, 'licenseConcluded': 'Apache-2.0', 'licenseDeclared': 'Apache-2.0',
           'copyrightText': 'NOASSERTION', 'primaryPackagePurpose': 'APPLICATION', 'checksums': [{'algorithm': 'SHA256', 'checksumValue': digest}]}
    packages = [describe(package, kinds[package]) for package in sorted(kinds)]
    relations = [{'spdxElementId': 'SPDXRef-DOCUMENT', 'relationshipType': 'DESCRIBES', 'relatedSpdxElement': 'SPDXRef-pefomed'}]
    for package in sorted(kinds):
        relations += [{'spdxElementId': 'SPDXRef-pefomed', 'relationshipType': 'STATIC_LINK' if kind == 'static' else 'DYNAMIC_LINK',
                       'relatedSpdxElement': identifier(package.split(':')[0])} for kind in sorted(kinds[package])]
    print(json.dumps({'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT', 'name': f'pefomed-{version}',
                      'documentNamespace': f'urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}',
                      'creationInfo': {'created': datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
                                       'creators': ['Tool: pefomed script/package']},
                      'packages': [own, *packages], 'relationships': relations}, indent=1))


main()
