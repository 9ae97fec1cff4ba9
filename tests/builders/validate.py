#!/usr/bin/python3
"""Every object that builders/ makes against the schemas of the Kubernetes kinds: required fields, types, no unknown field. TAP.

usage: validate.py SCHEMA DUMP_PROGRAM

The schema is the API server's own (swagger definitions). It allows fields that it does not know, which a server that validates
strictly does not, so each definition that names properties is closed here. The last checks show that the validation can fail.
"""
import copy
import json
import os
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print('1..0 # SKIP python3-jsonschema is not installed')
    sys.exit(0)

INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'


def close(node):
    """Refuse unknown fields wherever properties are named."""
    if isinstance(node, dict):
        if isinstance(node.get('properties'), dict):
            node.setdefault('additionalProperties', False)
        for child in node.values():
            close(child)
    elif isinstance(node, list):
        for child in node:
            close(child)


class Schema:
    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            document = json.load(file)
        definitions = document['definitions']
        close(definitions)
        definitions[INT_OR_STRING] = {'type': ['integer', 'string']}
        self.kinds = {}
        for name, definition in definitions.items():
            for gvk in definition.get('x-kubernetes-group-version-kind', []):
                version = f"{gvk['group']}/{gvk['version']}" if gvk['group'] else gvk['version']
                root = {'definitions': definitions, '$ref': f'#/definitions/{name}'}
                self.kinds[version, gvk['kind']] = jsonschema.Draft4Validator(root)

    def complaint(self, thing):
        """None, or what is wrong with an object."""
        gvk = thing.get('apiVersion'), thing.get('kind')
        if None in gvk:
            return 'apiVersion or kind is missing'
        if gvk not in self.kinds:
            return f'no schema for {gvk}'
        error = jsonschema.exceptions.best_match(self.kinds[gvk].iter_errors(thing))
        return None if error is None else f'{"/".join(map(str, error.absolute_path))}: {error.message[:300]}'


def spoiled(thing):
    """Copies of an object that must be refused, each with its label."""
    def without(key):
        bad = copy.deepcopy(thing)
        del bad[key]
        return f'without {key}', bad

    def with_unknown(*path):
        bad = copy.deepcopy(thing)
        at = bad
        for step in path:
            at = at[step]
        at['unknownField'] = 1
        return f'unknown field in {"/".join(map(str, path)) or "the object"}', bad

    yield without('apiVersion')
    yield without('kind')
    yield with_unknown()
    yield with_unknown('metadata')
    if thing['kind'] in ('Job', 'Deployment'):
        yield with_unknown('spec', 'template', 'spec', 'containers', 0, 'securityContext')
        bad = copy.deepcopy(thing)
        del bad['spec']['template']['spec']['containers'][0]['name']
        yield 'container without name', bad
        bad = copy.deepcopy(thing)
        bad['spec']['template']['spec']['enableServiceLinks'] = 'no'
        yield 'a text for a boolean', bad


def main():
    schema_path, program = sys.argv[1:]
    if not os.path.exists(schema_path):
        print(f'1..0 # SKIP {schema_path} does not lie beside the clone')
        return 0
    schema = Schema(schema_path)
    objects = json.loads(subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout)

    results = []
    first_of_kind = {}
    for index, thing in enumerate(objects):
        results.append((f"object {index} {thing['kind']} {thing['metadata']['name']}", schema.complaint(thing)))
        first_of_kind.setdefault(thing['kind'], thing)
    for kind, thing in first_of_kind.items():
        for label, bad in spoiled(thing):
            results.append((f'{kind} {label} is refused', 'was accepted' if schema.complaint(bad) is None else None))

    for number, (label, complaint) in enumerate(results, 1):
        print(f"{'ok' if complaint is None else 'not ok'} {number} - {label}")
        if complaint is not None:
            print(f'# {complaint}')
    print(f'1..{len(results)}')
    return 0 if all(complaint is None for _, complaint in results) else 1


if __name__ == '__main__':
    sys.exit(main())
