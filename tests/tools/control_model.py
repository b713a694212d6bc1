#!/usr/bin/env python3.11
"""Writes src/control/model/model.json from the service models of an installed botocore.

    python3 tests/tools/control_model.py            # write
    python3 tests/tools/control_model.py --check    # say what a newer botocore would change, exit 1 if anything

Only facts are taken (names, types, constraints, statuses), no documentation. Operations in OFFERED come with all their shapes; of the
others only name, method and path are kept, so that the gateway knows what it does not offer.
"""

import argparse
import difflib
import json
import pathlib
import sys

import botocore
import botocore.loaders

CONTROL, DATA = "bedrock-agentcore-control", "bedrock-agentcore"
OFFERED = """
    CreateGateway GetGateway ListGateways UpdateGateway DeleteGateway
    CreateGatewayTarget GetGatewayTarget ListGatewayTargets UpdateGatewayTarget DeleteGatewayTarget SynchronizeGatewayTargets
    TagResource UntagResource ListTagsForResource
    PutResourcePolicy GetResourcePolicy DeleteResourcePolicy
""".split()
LOCATIONS = {"uri": "path", "querystring": "query"}
# Everything that the gateway enforces. A key that is in neither list is a new kind of constraint: better a failure here than a silent hole.
KEPT = ("type", "required", "min", "max", "pattern", "enum", "union", "document", "sensitive", "timestampFormat")
DROPPED = {"documentation", "box", "members", "member", "key", "value", "error", "exception", "fault", "deprecated", "deprecatedMessage"}
KEPT_OF_MEMBER = {"shape", "location", "locationName", "idempotencyToken"}
DROPPED_OF_MEMBER = {"documentation", "box", "deprecated", "deprecatedMessage"}
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "src/control/model/model.json"


def member(name, facts):
    """One member, by its name on the wire."""
    unknown = set(facts) - KEPT_OF_MEMBER - DROPPED_OF_MEMBER
    if unknown:
        raise SystemExit(f"member {name} has traits that this script does not know: {sorted(unknown)}")
    out = {"shape": facts["shape"]}
    if "location" in facts:
        out["in"] = LOCATIONS[facts["location"]]
    if facts.get("idempotencyToken"):
        out["idempotencyToken"] = True
    return facts.get("locationName", name), out


def shape(name, facts):
    """One shape, without its documentation."""
    unknown = set(facts) - set(KEPT) - DROPPED
    if unknown:
        raise SystemExit(f"shape {name} has traits that this script does not know: {sorted(unknown)}")
    out = {key: facts[key] for key in KEPT if key in facts}
    if "members" in facts and not facts.get("document"):
        wire = {given: member(given, inner) for given, inner in facts["members"].items()}
        out["members"] = dict(wire.values())
        if "required" in out:
            out["required"] = [wire[given][0] for given in out["required"]]
    for key in ("member", "key", "value"):
        if key in facts:
            out[key] = facts[key]["shape"]
    return out


def reachable(shapes, start):
    """Names of all shapes that `start` leads to."""
    found, waiting = set(), list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            facts = shapes[name]
            waiting += [inner["shape"] for inner in facts.get("members", {}).values()]
            waiting += [facts[key]["shape"] for key in ("member", "key", "value") if key in facts]
    return sorted(found)


def derive():
    """The whole model."""
    loader = botocore.loaders.Loader()
    control = loader.load_service_model(CONTROL, "service-2")
    pages = loader.load_service_model(CONTROL, "paginators-1")["pagination"]
    shapes, operations, start = control["shapes"], {}, []
    for name in OFFERED:
        facts = control["operations"][name]
        errors = {error["shape"]: shapes[error["shape"]]["error"]["httpStatusCode"] for error in facts["errors"]}
        operations[name] = {
            "method": facts["http"]["method"],
            "uri": facts["http"]["requestUri"],
            "status": facts["http"]["responseCode"],
            "input": facts["input"]["shape"],
            "output": facts["output"]["shape"],
            "errors": errors,
        }
        if name in pages:
            operations[name]["items"] = pages[name]["result_key"]
        start += [facts["input"]["shape"], facts["output"]["shape"], *errors]
    unoffered = {}
    for service in (CONTROL, DATA):
        for name, facts in loader.load_service_model(service, "service-2")["operations"].items():
            if name not in operations:
                unoffered[name] = {"method": facts["http"]["method"], "uri": facts["http"]["requestUri"]}
    return {
        "origin": {
            "botocore": botocore.__version__,
            "service": CONTROL,
            "apiVersion": control["metadata"]["apiVersion"],
            "licence": "Apache-2.0, see README.md",
        },
        "operations": operations,
        "unoffered": dict(sorted(unoffered.items())),
        "shapes": {name: shape(name, shapes[name]) for name in reachable(shapes, start)},
    }


def text(model):
    """One line for each operation and shape: a change of the service is a change of a line."""
    parts = []
    for section, entries in model.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(facts)}" for name, facts in entries.items()]
        parts.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it; the botocore version may differ")
    arguments = parser.parse_args()
    new = text(derive())
    if not arguments.check:
        OUTPUT.write_text(new)
        return
    old = OUTPUT.read_text()
    changed = [
        line
        for line in difflib.unified_diff(old.splitlines(), new.splitlines(), "checked in", "installed botocore", lineterm="", n=0)
        if not line.startswith(('-    "botocore": ', '+    "botocore": '))
    ]
    # Two lines of file names, and the hunk of the version.
    if any(line[0] in "+-" and line[:3] not in ("+++", "---") for line in changed):
        print("\n".join(changed))
        sys.exit("the service model has changed: read the difference, write the file anew, and look at src/control/model/testing/examples.rs")


if __name__ == "__main__":
    main()
