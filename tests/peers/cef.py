"""Lines of CEF on standard input, read by others: cefp takes them apart, the dictionary of cefevent says
which keys there are, of which type, and how long their values may be. One JSON object for each line."""

import json
import sys

import cefp
from cefevent import CEFEvent
from cefevent.extensions import extension_dictionary as keys

# Keys of the format that the dictionary has not.
MISSING = {"sproc", "outcome"}


def wrong(extension):
    event = CEFEvent(strict=True)
    for key, value in extension.items():
        if key.startswith("ad.") or key in MISSING:
            continue
        if key not in keys:
            yield f"no key {key}"
            continue
        kinds = keys[key]["data_type"]
        if "Integer" in kinds or "Long" in kinds:
            value = int(value)
        elif "String" in kinds and 0 < keys[key]["length"] < len(value):
            yield f"{key} is too long: {len(value)}"
            continue
        try:
            event.set_field(keys[key]["full_name"], value)
        except ValueError as error:
            yield str(error)


for line in sys.stdin.buffer:
    found = cefp.parse(line.decode().removesuffix("\n"))
    device, extension = found["device"], found["extension"]
    header = [device["vendor"], device["product"], device["event_class_id"], found["name"], found["severity"]]
    print(json.dumps({"header": header, "extension": extension, "wrong": list(wrong(extension))}))
