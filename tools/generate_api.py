"""Generate `sampan.api`'s wire types, resource table and schema facts from `tools/facts`.

Owns: the mapping from Go wire facts to msgspec Structs (see `facts/wire-1.36.json`) and from discovery
facts to `Resource` constants. Leaves the behaviour of kinds to `sampan.kinds`.

Run `python tools/generate_api.py` to rewrite, `--check` to fail when the committed files differ.
"""

from __future__ import annotations

import argparse
import json
import keyword
import re
import sys
from pathlib import Path

FACTS = Path(__file__).parent / "facts"
API = Path(__file__).parent.parent / "src" / "sampan" / "api"
META = "apimachinery/pkg/apis/meta/v1"

SCALARS = {
    "string": "str",
    "bool": "bool",
    "int32": "Int32",
    "int64": "Int64",
    "float64": "int | float",  # a whole number stays one, as Go writes it
    "bytes": "bytes",
    "interface": "Any",
    "apimachinery/pkg/api/resource.Quantity": "Quantity",
    "apimachinery/pkg/util/intstr.IntOrString": "IntOrString",
    f"{META}.Time": "Time",
    f"{META}.MicroTime": "MicroTime",
    f"{META}.FieldsV1": "Raw",
    "apimachinery/pkg/runtime.RawExtension": "Any",
    "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON": "Any",
    # unions of a schema and something else: told apart where they are used
    "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray": "Any",
    "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool": "Any",
    "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray": "Any",
}
# what the facts flatten: a map of lists (`ExtraValue`, in protobuf a message with the list as its field 1)
CORRECTIONS = {
    ("api/authentication/v1.UserInfo", "extra"): "map<string,[]string>",
    ("api/authorization/v1.SubjectAccessReviewSpec", "extra"): "map<string,[]string>",
    ("api/certificates/v1.CertificateSigningRequestSpec", "extra"): "map<string,[]string>",
}
NULLABLE = {"Time", "MicroTime", "Any", "IntOrString"}
ZERO = {"str": '""', "bool": "False", "Int32": "0", "Int64": "0", "int | float": "0", "bytes": 'b""'}
ZERO_FACTORY = {
    "str": "empty_string",
    "bool": "false",
    "Int32": "zero",
    "Int64": "zero",
    "int | float": "zero",
    "bytes": "empty_bytes",
    "Quantity": "zero_quantity",
    "IntOrString": "zero",
}


def python_name(wire: str) -> str:
    name = re.sub(r"\W", "_", wire.lstrip("$"))
    shadows = name in ("bool", "bytes", "dict", "float", "int", "list", "str")
    return name + "_" if keyword.iskeyword(name) or shadows or wire.startswith("$") else name


def module_of(go_package: str) -> str | None:
    """`api/core/v1` → `core.v1`; None where the package holds nothing but scalars."""
    if go_package in ("apimachinery/pkg/runtime", "apimachinery/pkg/api/resource", "apimachinery/pkg/util/intstr", "time"):
        return None
    group, version = go_package.split("/")[-2:]
    return f"{group}.{version}"


class Generator:
    def __init__(self) -> None:
        wire = json.loads((FACTS / "wire-1.36.json").read_text())
        self.types: dict[str, dict] = wire["types"]
        self.kinds: dict[str, str] = wire["kinds"]
        # fields as Go's structs, and so its JSON, have them, where that is not the order of their numbers
        self.order: dict[str, list[str]] = json.loads((FACTS / "field-order.json").read_text())
        for (type_name, field), go_type in CORRECTIONS.items():
            self.types[type_name]["fields"][field]["type"] = go_type
        self.output: dict[Path, str] = {}
        self.used: set[str] = set()

    def flat_fields(self, type_name: str) -> dict[str, dict]:
        """The fields as JSON has them: embedded structs unfolded, in upstream's order."""
        out: dict[str, dict] = {}
        fields = self.types[type_name].get("fields", {})
        place = {wire: index for index, wire in enumerate(self.order.get(type_name, ()))}
        for wire, fact in sorted(fields.items(), key=lambda item: (place.get(item[0], len(place)), item[1].get("number", 0), item[0])):
            embedded = fact.get("embedded") and (fact.get("inline") or wire == fact["go"])
            if embedded and fact["type"] in self.types and fact["type"] not in SCALARS:
                out.update(self.flat_fields(fact["type"]))
            elif wire != "-":
                out[wire] = fact
        if "apiVersion" in out and "kind" in out and "metadata" in out:
            out = {"kind": out.pop("kind"), "apiVersion": out.pop("apiVersion"), "metadata": out.pop("metadata")} | out
        return out

    def annotation(self, go_type: str, imports: set[str], home: str) -> str:
        if match := re.fullmatch(r"map<string,(.+)>", go_type):
            return f"dict[str, {self.annotation(match[1], imports, home)}]"
        if go_type.startswith("[]"):
            return f"list[{self.annotation(go_type[2:], imports, home)}]"
        if go_type in SCALARS:
            return SCALARS[go_type]
        package, name = go_type.rsplit(".", 1)
        module = module_of(package)
        if module is None:
            raise SystemExit(f"no module for {go_type}")
        if module == home:
            return name
        alias = module.replace(".", "_")
        imports.add(f"from sampan.api.{module.rsplit('.', 1)[0]} import {module.rsplit('.', 1)[1]} as {alias}")
        return f"{alias}.{name}"

    def field(self, wire: str, fact: dict, imports: set[str], home: str) -> str:
        name = python_name(wire)
        base = self.annotation(fact["type"], imports, home)
        options = [f'name="{wire}"'] if name != wire else []
        omit = fact.get("omitempty") or fact.get("omitzero")
        if fact.get("repeated"):
            hint, default, factory = f"list[{base}]", "list", None
            if not omit:
                hint, default, factory = f"list[{base}] | None", "", "none"
        elif fact["type"].startswith("map<"):
            hint, default, factory = base, "dict", None
            if not omit:
                hint, default, factory = f"{base} | None", "", "none"
        elif base == "Raw":  # a union with null would not decode; the empty default is left out
            hint, default, factory = base, 'Raw(b"")', None
        elif fact.get("pointer"):
            hint = base if base == "Any" else f"{base} | None"
            default, factory = ("None", None) if omit else ("", "none")
        elif base in NULLABLE and base != "IntOrString":
            hint = base if base == "Any" else f"{base} | None"
            default, factory = ("None", None) if fact.get("omitzero") or base == "Any" else ("", "none")
        elif base in ZERO and omit:
            hint, default, factory = base, ZERO[base], None
        else:
            hint, default, factory = base, "", ZERO_FACTORY.get(base, f"lambda: {base}()")
        if default in ("list", "dict"):
            options.append(f"default_factory={default}")
        elif factory:
            options.append(f"default_factory={factory}")
        elif options:
            options.append(f"default={default}")
        value = f"field({', '.join(options)})" if options else default
        return f"    {name}: {hint} = {value}"

    def struct(self, type_name: str, imports: set[str], home: str) -> str:
        name = type_name.rsplit(".", 1)[1]
        fields = self.flat_fields(type_name)
        is_object = {"kind", "apiVersion", "metadata"} <= fields.keys() and home != "meta.v1"
        if is_object:
            fields = {wire: fact for wire, fact in fields.items() if wire not in ("kind", "apiVersion", "metadata")}
        lines = [f"class {name}({'Object' if is_object else 'Wire'}):"]
        lines += [self.field(wire, fact, imports, home) for wire, fact in fields.items()]
        return "\n".join(lines if len(lines) > 1 else [*lines, "    pass"])

    def references(self, type_name: str) -> set[str]:
        out = set()
        for fact in self.flat_fields(type_name).values():
            go_type = re.sub(r"^map<string,(.+)>$", r"\1", fact["type"])
            if go_type in self.types and go_type not in SCALARS:
                out.add(go_type)
        return out

    def modules(self) -> None:
        by_module: dict[str, list[str]] = {}
        for type_name in self.types:
            module = module_of(type_name.rsplit(".", 1)[0])
            is_list = type_name.endswith("List") and "items" in self.types[type_name].get("fields", {})
            if module and type_name not in SCALARS and not is_list:
                by_module.setdefault(module, []).append(type_name)
        for module, names in by_module.items():
            imports: set[str] = set()
            bodies = [self.struct(name, imports, module) for name in sorted(names)]
            head = [
                f'"""Wire types of {module.replace(".", "/")}, generated by tools/generate_api.py: do not edit."""',
                "",
                "from __future__ import annotations",
                "",
                "from typing import Any",
                "",
                "from msgspec import Raw, field",
                "",
            ]
            if module != "meta.v1":
                imports.add("from sampan.api.object import Object")
            imports.add(
                "from sampan.api.scalars import "
                "Int32, Int64, IntOrString, MicroTime, Quantity, Time, Wire, "
                "empty_bytes, empty_string, false, none, zero, zero_quantity"
            )
            text = "\n".join([*head, *sorted(imports), "\n\n" + "\n\n\n".join(bodies) + "\n"])
            group, version = module.split(".")
            self.output[API / group / f"{version}.py"] = text
            self.output[API / group / "__init__.py"] = f'"""API group {group}: generated wire types, one module a version."""\n'

    def resources(self) -> None:
        rows: list[str] = []
        names: list[str] = []
        for file in ("discovery-api.json", "discovery-apis.json"):
            for group in json.loads((FACTS / file).read_text())["items"]:
                for version in group["versions"]:
                    for resource in version["resources"]:
                        self.resource(group["metadata"].get("name", ""), version["version"], resource, rows, names)
        text = "\n".join([
            '"""Every built-in resource of Kubernetes 1.36, generated by tools/generate_api.py: do not edit."""',
            "",
            "from __future__ import annotations",
            "",
            "from typing import TYPE_CHECKING, Any",
            "",
            "from sampan.api.resourceinfo import Resource, Subresource",
            "",
            "if TYPE_CHECKING:",
            *sorted({f"    from sampan.api.{m.rsplit('.', 1)[0]} import {m.rsplit('.', 1)[1]} as {m.replace('.', '_')}" for m in self.used}),
            "",
            *rows,
            "ALL: tuple[Resource[Any], ...] = (",
            *[f"    {name}," for name in names],
            ")",
            "",
        ])
        self.output[API / "resources.py"] = text

    def resource(self, group: str, version: str, fact: dict, rows: list[str], names: list[str]) -> None:
        kind = fact["responseKind"]["kind"]
        go_type = self.kinds[f"{group}/{version}/{kind}" if group else f"{version}/{kind}"]
        module = module_of(go_type.rsplit(".", 1)[0])
        assert module
        self.used.add(module)
        constant = self.constant(kind, fact["resource"])
        if constant in names:
            constant += f"_{version.upper()}" if group == "autoscaling" else f"_{group.partition('.')[0].upper()}"
        names.append(constant)
        subresources = ", ".join(self.subresource(group, version, s) for s in fact.get("subresources", []))
        comma = "," if subresources and len(fact.get("subresources", [])) == 1 else ""
        rows += [
            f"{constant}: Resource[{module.replace('.', '_')}.{go_type.rsplit('.', 1)[1]}] = Resource(",
            f'    group="{group}",',
            f'    version="{version}",',
            f'    plural="{fact["resource"]}",',
            f'    kind="{kind}",',
            f'    singular="{fact["singularResource"]}",',
            f"    namespaced={fact['scope'] == 'Namespaced'},",
            f'    wire_path="sampan.api.{module}:{go_type.rsplit(".", 1)[1]}",',
            f"    verbs={tuple(fact['verbs'])!r},",
            f"    short_names={tuple(fact.get('shortNames', ()))!r},",
            f"    categories={tuple(fact.get('categories', ()))!r},",
            f"    subresources=({subresources}{comma}),",
            ")",
        ]

    def subresource(self, group: str, version: str, fact: dict) -> str:
        response = fact["responseKind"]
        where = f"{response['group'] or group}/{response['version'] or version}" if response["group"] else (response["version"] or (f"{group}/{version}" if group else version))
        return f'Subresource("{fact["subresource"]}", "{where}", "{response["kind"]}", {tuple(fact["verbs"])!r})'

    @staticmethod
    def constant(kind: str, plural: str) -> str:
        words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", kind)
        head = "_".join(words[:-1])
        last = plural[len("".join(words[:-1])):] or words[-1]
        return (f"{head}_{last}" if head else last).upper()

    def schema(self) -> None:
        keep = ("type", "pointer", "repeated", "omitempty", "omitzero", "required", "enum", "format", "patchStrategy",
                "patchMergeKey", "listType", "listMapKeys", "mapType", "number", "wire", "embedded", "inline", "go")
        out = {}
        for name, fact in sorted(self.types.items()):
            fields = {
                wire: {key: value for key, value in f.items() if key in keep and (key != "go" or wire == f["go"])}
                for wire, f in fact.get("fields", {}).items()
            }
            out[name] = {**({k: v for k, v in fact.items() if k != "fields"}), "fields": fields}
        text = json.dumps({"kinds": self.kinds, "types": out}, separators=(",", ":"), sort_keys=True)
        self.output[API / "schema_facts.json"] = text.replace('},"', '},\n"') + "\n"

    def run(self) -> dict[Path, str]:
        self.modules()
        self.resources()
        self.schema()
        return self.output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a committed file differs")
    options = parser.parse_args()
    stale = []
    for path, text in Generator().run().items():
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path))
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if options.check and stale:
        sys.exit("stale, run `python tools/generate_api.py`: " + ", ".join(stale))


if __name__ == "__main__":
    main()
