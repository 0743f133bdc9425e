"""Holds manifests (standard input) to the API's own schemas, and custom resources to those of the
files named as arguments (CustomResourceDefinitions). Prints a problem a line; fields that a schema
does not know are one, as for `kubectl apply`. The first argument is the version of Kubernetes."""
import sys

import jsonschema
import kubernetes_validate
import yaml


def strict(schema):
    """The same schema, closed to unknown fields as the API server is."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(part) for name, part in schema.items()}
    is_object = isinstance(schema.get("properties"), dict)
    if is_object and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    return closed


def custom_schemas(paths):
    schemas = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for definition in filter(None, yaml.safe_load_all(file)):
                spec = definition["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    schema = strict(version["schema"]["openAPIV3Schema"])
                    # What the API server itself keeps there has no schema of its own.
                    schema["properties"]["metadata"] = {"type": "object"}
                    schemas[key] = schema
    return schemas


def main():
    kubernetes_version, *definitions = sys.argv[1:]
    custom = custom_schemas(definitions)
    for resource in filter(None, yaml.safe_load_all(sys.stdin)):
        kind, version = resource["kind"], resource["apiVersion"]
        name = f"{kind} {resource['metadata']['name']}"
        if (version, kind) in custom:
            validator = jsonschema.Draft202012Validator(custom[version, kind])
            for error in validator.iter_errors(resource):
                print(f"{name}: {error.json_path}: {error.message}")
        else:
            try:
                kubernetes_validate.validate(resource, kubernetes_version, strict=True)
            except kubernetes_validate.ValidationError as error:
                print(f"{name}: {error.message}")
            except kubernetes_validate.SchemaNotFoundError:
                print(f"{name}: there is no schema for {version}")


main()
