#!/usr/bin/env python3
"""embed-docs.py WIT COMPONENT: puts the comments of a WIT file into a component, in place.

Compilers leave the documentation out of a component. It is added as the custom section
`package-docs`, in the format in which encoded WIT packages carry theirs: a version byte, then JSON
(`{"interfaces": {"tasks": {"funcs": {"add": {"docs": "..."}}}}}`).
"""

import json
import os
import re
import sys

SECTION = b"package-docs"
VERSION = b"\x01"

PACKAGE = re.compile(r"package\s+[\w:.@-]+;")
BLOCK = re.compile(r"(interface|world)\s+%?([\w-]+)\s*\{")
TYPE = re.compile(r"(?:record|enum|variant|flags|resource)\s+%?([\w-]+)\s*\{|type\s+%?([\w-]+)\s*=")
FUNC = re.compile(r"(?:export\s+|import\s+)?%?([\w-]+):\s*(?:async\s+)?func\b")
ITEM = re.compile(r"%?([\w-]+)\s*(?:[:(,]|$)")


def documentation(wit: str) -> dict:
    """The comments of a WIT text, by what they stand in front of."""
    package: dict = {"worlds": {}, "interfaces": {}}
    block: dict = {}
    items: dict | None = None
    comment: list[str] = []
    for line in map(str.strip, wit.splitlines()):
        if line.startswith("///"):
            comment.append(line[3:].removeprefix(" "))
            continue
        docs = {"docs": "\n".join(comment)} if comment else {}
        if not line or line.startswith(("//", "@")):
            continue
        comment = []
        if line.startswith("}"):
            items = None
        elif PACKAGE.match(line):
            package.update(docs)
        elif found := BLOCK.match(line):
            block = package[found[1] + "s"][found[2]] = docs | {"funcs": {}, "types": {}}
        elif found := TYPE.match(line):
            entry = docs | {"items": {}}
            block["types"][found[1] or found[2]] = entry
            items = entry["items"] if found[1] and "}" not in line else None
        elif items is None and (found := FUNC.match(line)):
            block["funcs"][found[1]] = docs
        elif items is not None and docs and (found := ITEM.match(line)):
            items[found[1]] = docs["docs"]
    return package


def without_empty(value):
    if not isinstance(value, dict):
        return value
    kept = {key: without_empty(entry) for key, entry in value.items()}
    return {key: entry for key, entry in kept.items() if entry != {}}


def leb128(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def main(wit: str, component: str) -> None:
    with open(wit, encoding="utf-8") as file:
        docs = without_empty(documentation(file.read()))
    payload = leb128(len(SECTION)) + SECTION + VERSION + json.dumps(docs).encode()
    with open(component, "ab") as file:
        file.write(b"\x00" + leb128(len(payload)) + payload)


if __name__ == "__main__":
    main(*sys.argv[1:])
