"""The official Python client, which is given an address and nothing else, signs in and calls a tool."""

import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from signing_in import REDIRECT, follow

answers = []


class Storage:
    """Keeps what the client gets, for as long as it runs."""
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def redirect(url):
    answers.append(await anyio.to_thread.run_sync(follow, url))


async def callback():
    answer = answers.pop()
    return AuthorizationCodeResult(**{name: answer.get(name) for name in AuthorizationCodeResult.model_fields})


async def main():
    url, mode = sys.argv[1:]
    metadata = OAuthClientMetadata(client_name="suite", redirect_uris=[REDIRECT], token_endpoint_auth_method="none",
                                   grant_types=["authorization_code", "refresh_token"], response_types=["code"])
    auth = OAuthClientProvider(url, metadata, Storage(), redirect, callback)
    async with httpx2.AsyncClient(auth=auth) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            print(sorted(tool.name for tool in (await client.list_tools()).tools))
            print((await client.call_tool("files__read", {})).content[0].text)


anyio.run(main)
