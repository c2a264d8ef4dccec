"""One server of chat models: what becomes of a connection whose request was cut off."""

from __future__ import annotations

import asyncio

import pytest
from support.scripted_server import Reply, scripted

from lavad_core.errors import ServiceTimeout
from lavad_core.models.chat.one_server import Server


def test_a_connection_whose_request_was_cut_off_is_not_used_again() -> None:
    async def talk(address: str) -> tuple[bool, bool]:
        server = Server(address, None, "chat.api_key", 1)
        (first,) = server._clients
        url = server.url("/x", at_root=False)
        with pytest.raises(ServiceTimeout):
            await server.once("POST", url, b"{}", 0.3)
        assert await server.once("POST", url, b"{}", 10.0) == {}
        (second,) = server._clients
        assert await server.once("POST", url, b"{}", 10.0) == {}
        kept = server._clients == [second]
        await server.close()
        return first is not second and first.is_closed, kept

    delays = iter([60.0, 0.0, 0.0])
    with scripted(script=lambda seen: Reply(body={}, delay_s=next(delays))) as scripted_server:
        assert asyncio.run(talk(scripted_server.base_url)) == (True, True)
