"""The official Python client, which is given an address and nothing else: it is let in, calls, renews its token and calls again.

`client.py URL MODE BROWSER WAY REDIRECT`, where WAY is `registers`, `document=URL` or `is=ID`.
"""

import json
import sys
import urllib.parse
import urllib.request

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

URL, MODE, BROWSER, WAY, REDIRECT = sys.argv[1:]
answers, opened = [], []


class Storage:
    tokens = None
    client = OAuthClientInformationFull(client_id=WAY[3:], redirect_uris=[REDIRECT]) if WAY.startswith("is=") else None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


def browse(url):
    with urllib.request.urlopen(BROWSER + "?" + urllib.parse.urlencode({"url": url}), timeout=30) as answer:
        return json.load(answer)


async def redirect(url):
    opened.append(url)
    answers.append(await anyio.to_thread.run_sync(browse, url))


async def callback():
    answer = answers.pop()
    return AuthorizationCodeResult(**{name: answer.get(name) for name in AuthorizationCodeResult.model_fields})


async def main():
    metadata = OAuthClientMetadata(client_name="Official", redirect_uris=[REDIRECT])
    document = WAY.removeprefix("document=") if WAY.startswith("document=") else None
    storage = Storage()
    auth = OAuthClientProvider(URL, metadata, storage, redirect, callback, client_metadata_url=document)
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(URL, http_client=http), mode=MODE) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            name = next(name for name in tools if name.endswith("test_simple_text"))
            first = (await client.call_tool(name, {})).content[0].text
            before = storage.tokens.access_token
            auth.context.token_expiry_time = 1
            second = (await client.call_tool(name, {})).content[0].text
            renewed = storage.tokens.access_token != before
            print(json.dumps({"first": first, "second": second, "opened": len(opened), "renewed": renewed,
                              "client": storage.client.client_id, "token": storage.tokens.access_token}))


anyio.run(main)
