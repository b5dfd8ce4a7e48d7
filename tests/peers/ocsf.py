#!/usr/bin/env python3
"""Derives the facts that tests/ocsf_schema.rs holds events against from a checkout of the published schema:

    git clone --branch 1.8.0 https://github.com/ocsf/ocsf-schema
    python3 tests/peers/ocsf.py ocsf-schema > src/format/testdata/ocsf/schema.txt

Names, types, requirements, enumerations and constraints of the classes and objects below, and nothing else of
it: no description, no word of its prose.
"""

import json
import pathlib
import sys

CLASSES = {
    "base_event": "events/base_event.json",
    "authentication": "events/iam/authentication.json",
    "process_activity": "events/system/process_activity.json",
}
OBJECTS = [
    "actor", "authentication_token", "device", "file", "fingerprint", "metadata", "network_endpoint", "process",
    "product", "service", "session", "user",
]
# An attribute of these profiles is allowed where `metadata.profiles` names the profile.
PROFILES = ["host"]

root = pathlib.Path(sys.argv[1])
read = lambda path: json.loads((root / path).read_text())
dictionary = read("dictionary.json")
categories = read("categories.json")["attributes"]
files = {}
for path in list((root / "events").rglob("*.json")) + list((root / "objects").glob("*.json")):
    item = json.loads(path.read_text())
    files[("event" if "events" in path.parts else "object", item["name"])] = item


def merged(item, kind):
    """The item with what it extends, and its attributes with those of the profile `host`."""
    base = merged(files[kind, item["extends"]], kind) if "extends" in item else {"attributes": {}}
    attributes = {name: dict(attribute) for name, attribute in base["attributes"].items()}
    own = dict(item.get("attributes", {}))
    included = own.pop("$include", [])
    for path in included if isinstance(included, list) else [included]:
        profile = read(path)
        for name, attribute in profile["attributes"].items():
            if profile.get("meta") == "profile":
                if profile["name"] not in PROFILES:
                    continue
                attribute = dict(attribute, profile=profile["name"])
            attributes.setdefault(name, {}).update(attribute)
    for name, attribute in own.items():
        attribute = dict(attribute)
        enum = {**attributes.get(name, {}).get("enum", {}), **attribute.get("enum", {})}
        attributes[name] = {**attributes.get(name, {}), **attribute}
        if enum:
            attributes[name]["enum"] = enum
    return {
        "uid": item.get("uid", 0),
        "category": item.get("category", base.get("category")),
        "caption": item["caption"],
        "constraints": item.get("constraints", base.get("constraints")),
        "attributes": attributes,
    }


def write(attributes):
    for name, attribute in sorted(attributes.items()):
        # What a class says of itself stands in its own line.
        if name in ("category_uid", "class_uid"):
            attribute = {**attribute, "enum": {}}
        # Attributes of other profiles; those of the dictionary that a class leaves open are required by no one.
        if attribute.get("profile") not in [None, *PROFILES]:
            continue
        known = {**dictionary["attributes"][name], **attribute}
        enum = {**dictionary["attributes"][name].get("enum", {}), **attribute.get("enum", {})}
        known_types = dictionary["types"]["attributes"]
        kind = known["type"]
        if kind not in known_types and kind != "object" and kind not in OBJECTS:
            continue
        words = [name, kind + ("[]" if known.get("is_array") else ""), attribute.get("requirement", "optional")]
        if attribute.get("profile"):
            words.append("profile=" + attribute["profile"])
        if enum:
            words.append("sibling=" + known.get("sibling", "-"))
            words.append("enum=" + ";".join(f"{key}:{value['caption']}" for key, value in enum.items()))
        print("  " + " ".join(words))


print(f"""# Facts to test against: OCSF {read("version.json")["version"]} (github.com/ocsf/ocsf-schema, the tag of that name; Apache-2.0,
# Copyright (c) OCSF, a Series of LF Projects, LLC), derived by tests/peers/ocsf.py. Of each class and object:
# attributes with type and requirement, enumerations with their captions, which attribute is the caption of an
# enumeration (sibling), and of which attributes one must be there. An attribute whose type is an object that is
# not listed is left out.""")
for name, path in CLASSES.items():
    item = merged(read(path), "event")
    category = categories.get(item["category"], {"uid": 0, "caption": "Uncategorized"})
    uid = category["uid"] * 1000 + item["uid"]
    print(f"class {uid} category={category['uid']}:{category['caption']} caption={item['caption']}")
    for rule, names in (item["constraints"] or {}).items():
        print(f"  {rule} {' '.join(names)}")
    write(item["attributes"])
for name in OBJECTS:
    item = merged(files["object", name], "object")
    print(f"object {name}")
    for rule, names in (item["constraints"] or {}).items():
        print(f"  {rule} {' '.join(names)}")
    write(item["attributes"])
