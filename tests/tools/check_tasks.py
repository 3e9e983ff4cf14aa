#!/usr/bin/env python3
"""Checks the tasks that are replayed through the gateway: `crates/redteam/tasks/*.json`.

A task whose call names no tool of its domain, or gives arguments its schema would not take, would be stopped for the
wrong reason and counted as a defence. Prints what each file holds, or what is wrong with it.

Usage: check_tasks.py [FOLDER]
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
HINTS = {"title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}


def main() -> int:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "crates" / "redteam" / "tasks"
    seen: set[str] = set()
    failed, files = 0, sorted(folder.glob("*.json"))
    for path in files:
        domain = json.loads(path.read_text(encoding="utf-8"))
        found = list(problems(domain, path.stem, seen))
        failed += bool(found)
        for problem in found:
            print(f"{path.name}: {problem}")
        tasks = domain["tasks"]
        tools = sum(len(server["tools"]) for server in domain["servers"])
        calls = sum(len(task["calls"]) for task in tasks)
        attacks = sum(len(task["attacks"]) for task in tasks)
        print(f"{path.name}: {tools} tools, {len(tasks)} tasks of {calls} calls, {attacks} attacks")
    print(f"{len(files) - failed} passed, {failed} failed")
    return 1 if failed or not files else 0


def problems(domain: dict, stem: str, seen: set[str]) -> Iterator[str]:
    if set(domain) != {"domain", "servers", "tasks"} or domain["domain"] != stem:
        yield "the keys are not those of a domain, or its name is not the file's"
    tools = {}
    for server in domain["servers"]:
        for tool in server["tools"]:
            if (server["name"], tool["name"]) in tools:
                yield f"{tool['name']} is there twice"
            tools[server["name"], tool["name"]] = tool["inputSchema"]
            if set(tool.get("annotations", {})) - HINTS or tool["inputSchema"].get("type") != "object":
                yield f"{tool['name']} has annotations or a schema that no server could send"
            missing = set(tool["inputSchema"].get("required", [])) - set(tool["inputSchema"]["properties"])
            if missing:
                yield f"{tool['name']} requires {missing}, which it does not describe"
    for task in domain["tasks"]:
        if task["id"] in seen:
            yield f"{task['id']} is there twice"
        seen.add(task["id"])
        for problem in in_task(task, tools):
            yield f"{task['id']}: {problem}"


def in_task(task: dict, tools: dict) -> Iterator[str]:
    if set(task) != {"id", "user", "calls", "attacks"} or not task["user"] or not task["calls"] or not task["attacks"]:
        yield "a key is missing, unknown or empty"
    if not 2 <= len(task["calls"]) <= 8:
        yield "a task has two to eight calls"
    yield from in_calls(task["calls"], tools)
    names = [attack["name"] for attack in task["attacks"]]
    if len(set(names)) != len(names):
        yield "two attacks have one name"
    for attack in task["attacks"]:
        for problem in in_attack(attack, task["calls"], tools):
            yield f"{attack['name']}: {problem}"


def in_attack(attack: dict, honest: list[dict], tools: dict) -> Iterator[str]:
    if set(attack) != {"name", "carried_by", "result", "calls", "goal"}:
        yield "a key is missing or unknown"
    if not 0 <= attack["carried_by"] < len(honest):
        yield "no call carries it"
    elif attack["result"] == honest[attack["carried_by"]]["result"]:
        yield "its result is the honest one"
    goal, calls = attack["goal"], attack["calls"]
    if not goal or len(set(goal)) != len(goal) or not all(0 <= index < len(calls) for index in goal):
        yield "its goal is none of its calls"
    elif any(asked(calls[index]) in map(asked, honest) for index in goal):
        yield "its goal is a call of the honest task"
    yield from in_result(attack["result"])
    yield from in_calls(calls, tools)


def asked(call: dict) -> tuple[str, str, dict]:
    return call["server"], call["tool"], call["arguments"]


def in_calls(calls: list[dict], tools: dict) -> Iterator[str]:
    for index, call in enumerate(calls):
        schema = tools.get((call["server"], call["tool"]))
        if set(call) != {"server", "tool", "arguments", "result"} or schema is None:
            yield f"call {index} names no tool of the domain"
            continue
        yield from (f"call {index} ({call['tool']}): {problem}" for problem in misfits(call["arguments"], schema, ""))
        unknown = set(call["arguments"]) - set(schema["properties"])
        if unknown:
            yield f"call {index} ({call['tool']}): {unknown} is not described"
        yield from in_result(call["result"])


def in_result(result: dict) -> Iterator[str]:
    if set(result) - {"content", "structuredContent", "isError"} or not result["content"]:
        yield "a result has unknown keys or no content"
    for part in result["content"]:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            yield "a result holds something other than text"
    if not isinstance(result.get("structuredContent", {}), dict):
        yield "structured content is an object"


def misfits(value: object, schema: dict, where: str) -> Iterator[str]:
    """What of `schema` the value does not keep, for the few keywords the tasks use."""
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and not any(is_a(value, name) for name in wanted):
        yield f"{where or 'it'} is no {' or '.join(wanted)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is none of {schema['enum']}"
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{where} is too short or too long"
    elif isinstance(value, list):
        for item in value:
            yield from misfits(item, schema.get("items", {}), f"{where}[]")
    elif isinstance(value, dict):
        yield from (f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value)
        rest = schema.get("additionalProperties", {})
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, rest)
            if inner is False:
                yield f"{where}.{name} is not allowed"
            elif isinstance(inner, dict):
                yield from misfits(item, inner, f"{where}.{name}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high or value <= schema.get("exclusiveMinimum", value - 1):
            yield f"{where} is out of range"


def is_a(value: object, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


if __name__ == "__main__":
    sys.exit(main())
