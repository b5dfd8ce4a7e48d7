"""Reads YAML as JSON (`read FILE`), or holds it against what Kubernetes or Compose publish (`kubernetes FILE`,
`compose FILE`): exits 1 with what is wrong. The schemas come with the packages that .ci/python.txt lists."""
import json
import subprocess
import sys

import kubernetes_validate
import yaml

VERSION = "1.31"

what, path = sys.argv[1:]
if what == "compose":
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    sys.exit(subprocess.run(command).returncode)
with open(path) as file:
    documents = list(yaml.safe_load_all(file))
if what == "read":
    json.dump(documents, sys.stdout)
    sys.exit()
for document in documents:
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(map(str, error.absolute_path))
        print(f"{document['kind']} {document['metadata']['name']}: {where}: {error.message}")
        sys.exit(1)
print(f"{len(documents)} documents are valid by the schemas of Kubernetes {VERSION}")
