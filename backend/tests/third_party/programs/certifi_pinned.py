"""Asks https://api.polygon.io as clients do that read certifi's file whatever the environment says.

polygon-api-client, the vendor's client under its old name, is one of them.
"""

import asyncio
import json
import os
import ssl

import certifi
import urllib3
from websockets.asyncio.client import connect


async def greeting() -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    async with connect("wss://socket.polygon.io/options", ssl=context) as socket:
        return str(await socket.recv())


def main() -> None:
    pool = urllib3.PoolManager(ca_certs=certifi.where(), cert_reqs="CERT_REQUIRED")
    key = {"Authorization": f"Bearer {os.environ['POLYGON_API_KEY']}"}
    reply = pool.request("GET", "https://api.polygon.io/v1/marketstatus/now", headers=key)
    said = {"market": reply.json()["market"], "stream": asyncio.run(greeting())}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
