"""Compares what print_contract prints with the contract that may lie beside the checkout. TAP.

check_contract.py PRINT_CONTRACT CONTRACT_DIRECTORY
"""
import json
import os
import subprocess
import sys


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def fact(schema, name, schemas):
    """A member of a schema in the words of contract.h."""
    member = schema["properties"][name]
    if "$ref" in member:
        member = schemas[member["$ref"].rsplit("/", 1)[1]]
    types = member.get("type", [])
    types = [types] if isinstance(types, str) else types
    kinds = [t for t in types if t != "null"]
    kind = "uuid" if member.get("format") == "uuid" else kinds[0] if kinds else "any"
    return {"type": kind, "nullable": "null" in types, "required": name in schema["required"]}


def check_facts(line, schemas):
    schema = schemas[line["schema"]]
    theirs = {name: fact(schema, name, schemas) for name in schema["properties"]}
    ours = line["members"]
    differing = sorted(name for name in set(theirs) | set(ours) if theirs.get(name) != ours.get(name))
    return f"members {differing} differ" if differing else None


def main():
    program, directory = sys.argv[1:]
    contract = os.path.join(directory, "canopy.openapi.json")
    if not os.path.exists(contract):
        skip_all("the contract does not lie beside the checkout")
    try:
        import jsonschema
    except ImportError:
        skip_all("python3-jsonschema is not installed")
    with open(contract, encoding="utf-8") as file:
        document = json.load(file)
    with open(os.path.join(directory, "namespace-names.json"), encoding="utf-8") as file:
        vectors = json.load(file)

    def check_body(line):
        schema = {"$ref": f"#/components/schemas/{line['schema']}", "components": document["components"]}
        unknown = set(line["body"]) - set(document["components"]["schemas"][line["schema"]]["properties"])
        if unknown:
            return f"members {sorted(unknown)} are unknown"
        checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        return "; ".join(e.message for e in checker.iter_errors(line["body"])) or None

    lines = [json.loads(text) for text in subprocess.run([program], check=True, capture_output=True).stdout.splitlines()]
    results = []
    ours = []
    for line in lines:
        kind = line.pop("line")
        if kind == "facts":
            results.append((f"facts of {line['schema']}", check_facts(line, document["components"]["schemas"])))
        elif kind == "body":
            results.append((f"a body of {line['schema']}", check_body(line)))
        else:
            ours.append(line)
    results.append(("namespace names", None if ours == vectors else "the vectors differ"))

    print(f"1..{len(results)}")
    for number, (what, problem) in enumerate(results, 1):
        print(f"{'ok' if problem is None else 'not ok'} {number} - {what}" + (f" # {problem}" if problem else ""))


main()
