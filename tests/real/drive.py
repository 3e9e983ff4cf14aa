"""The official Python client carrying out a scenario: `drive.py` reads a task as JSON and prints the outcome as JSON.

The task: `target` (`command` and `env`, or `url`), `mode` (`auto`, `legacy` or `2026-07-28`), `dir`, `steps`.
"""

import json
import sys
import warnings

import anyio
from mcp import Client, MCPError, StdioServerParameters
import mcp_types as types

warnings.simplefilter("ignore")
PATIENCE = 20


class Driver:
    def __init__(self, task):
        self.task = task
        self.outcome = {}
        self.updates, self.logs, self.asked = [], [], []
        self.news = anyio.Event()

    def client(self):
        target = self.task["target"]
        if "url" in target:
            server = target["url"]
        else:
            command, *args = target["command"]
            server = StdioServerParameters(command=command, args=args, env=target["env"], cwd=self.task["dir"])
        return Client(server, mode=self.task["mode"], read_timeout_seconds=PATIENCE, log_level="debug",
                      sampling_callback=self.sample, elicitation_callback=self.elicit,
                      list_roots_callback=self.roots, logging_callback=self.log, message_handler=self.message,
                      client_info=types.Implementation(name="drive", version="1"))

    async def sample(self, context, params):
        self.asked.append(["sampling", params.messages[-1].content.text])
        content = types.TextContent(type="text", text="a sampled answer")
        return types.CreateMessageResult(role="assistant", content=content, model="none", stop_reason="endTurn")

    async def elicit(self, context, params):
        self.asked.append(["elicitation", params.message])
        wanted = params.requested_schema if hasattr(params, "requested_schema") else {}
        required = set((wanted or {}).get("required", []))
        properties = (wanted or {}).get("properties", {})
        content = {name: answer(schema) for name, schema in properties.items() if name in required}
        return types.ElicitResult(action="accept", content=content)

    async def roots(self, context):
        self.asked.append(["roots"])
        return types.ListRootsResult(roots=[types.Root(uri="file:///somewhere", name="somewhere")])

    async def log(self, params):
        self.logs.append(params.level)
        self.wake()

    async def message(self, message):
        if isinstance(message, types.ResourceUpdatedNotification):
            self.updates.append(str(message.params.uri))
            self.wake()

    def wake(self):
        self.news.set()
        self.news = anyio.Event()

    async def until(self, ready):
        with anyio.fail_after(PATIENCE):
            while not ready():
                await self.news.wait()

    async def run(self):
        try:
            async with self.client() as client:
                self.outcome["connect"] = {
                    "revision": client.protocol_version,
                    "server": plain(client.server_info),
                    "capabilities": plain(client.server_capabilities),
                    "instructions": client.instructions,
                }
                for kind in ("tools", "resources", "resource_templates", "prompts"):
                    await self.note(f"list {kind}", getattr(client, f"list_{kind}"))
                for step in self.task["steps"]:
                    await self.note(json.dumps(step), self.step, client, *step)
        except BaseException as error:
            self.outcome["broken off"] = told(error)
        self.outcome["asked"] = sorted(self.asked)
        return self.outcome

    async def note(self, name, work, *arguments):
        while name in self.outcome:
            name += " again"
        try:
            with anyio.fail_after(PATIENCE + 5):
                self.outcome[name] = plain(await work(*arguments))
        except Exception as error:
            self.outcome[name] = told(error)

    async def step(self, client, verb, *arguments):
        return await getattr(self, f"do_{verb}")(client, *self.filled(arguments))

    def filled(self, value):
        return json.loads(json.dumps(value).replace("${dir}", self.task["dir"]))

    async def do_tool(self, client, name, arguments):
        return await client.call_tool(name, arguments)

    async def do_read(self, client, uri):
        return await client.read_resource(uri)

    async def do_prompt(self, client, name, arguments):
        return await client.get_prompt(name, arguments)

    async def do_fails(self, client, verb, *arguments):
        try:
            result = await getattr(self, f"do_{verb}")(client, *arguments)
        except Exception:
            return {"failed": True}
        return {"failed": bool(getattr(result, "is_error", False))}

    async def do_progress(self, client, name, arguments):
        seen = []

        async def note(progress, total, message):
            seen.append([progress, total, message])

        result = await client.call_tool(name, arguments, progress_callback=note)
        return {"progress": seen, "result": plain(result)}

    async def do_log(self, client, name, arguments):
        if client.protocol_version < "2026":
            await client.set_logging_level("debug")
        before = len(self.logs)
        result = await client.call_tool(name, arguments)
        await self.until(lambda: len(self.logs) > before)
        # A server that logs at random is compared by that it does.
        return {"logged": True, "result": plain(result)}

    async def do_watch(self, client, uri, name, arguments):
        if client.protocol_version < "2026":
            await client.subscribe_resource(uri)
            await client.call_tool(name, arguments)
            # Behind a bridge the server may be of the other era; one that toggles must not be called twice.
            for _ in range(PATIENCE if "trigger" in name else 0):
                with anyio.move_on_after(1):
                    await self.until(lambda: uri in self.updates)
                    break
                await client.call_tool(name, arguments)
            await self.until(lambda: uri in self.updates)
            return {"updated": uri}
        async with client.listen(resource_subscriptions=[uri]) as changes, anyio.create_task_group() as group:
            group.start_soon(self.keep_calling, client, name, arguments)
            with anyio.fail_after(PATIENCE):
                async for change in changes:
                    group.cancel_scope.cancel()
                    return {"updated": change.uri}

    async def keep_calling(self, client, name, arguments):
        """A server may acknowledge a subscription just before it is in force."""
        while True:
            await client.call_tool(name, arguments)
            await anyio.sleep(0.2)

    async def do_cancel(self, client, name, arguments):
        with anyio.move_on_after(0.5):
            await client.call_tool(name, arguments)
            return "it was not cancelled"
        return {"cancelled": True}


def answer(schema):
    """Some value that fits a property of an elicitation."""
    kind = schema.get("type")
    for choices in ("enum", "oneOf", "anyOf"):
        if schema.get(choices):
            first = schema[choices][0]
            return first if choices == "enum" else first.get("const")
    return {"boolean": True, "integer": 42, "number": 4.5, "array": []}.get(kind, "x@example.com")


def plain(value):
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return value


def told(error):
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, MCPError):
        return {"error": error.error.code, "message": error.error.message}
    # What else goes wrong is the client's own view of it; its text quotes what differs from run to run.
    return {"error": type(error).__name__}


if __name__ == "__main__":
    print(json.dumps(anyio.run(Driver(json.load(sys.stdin)).run)))
