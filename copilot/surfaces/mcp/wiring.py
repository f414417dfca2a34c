"""`/mcp` of the service, where the SDK is installed: it is loaded here, and by `copilot mcp`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from importlib.util import find_spec

from fastapi import FastAPI

from copilot.knowledge import Library
from copilot.surfaces.chat import ChatService
from copilot.surfaces.mcp.desk import Propose, StoreDesk


def served_at_mcp(
    app: FastAPI,
    chat: ChatService,
    heed: Callable[[], None],
    library: Library,
    propose: Propose,
    *,
    declares: bool,
) -> bool:
    """Answer MCP at `/mcp`, behind the gate of the app; False where the SDK is not installed.

    Requests stand alone, so that any of several services may answer the next one. The host is the
    gate's to check. Without a key anybody on the machine may ask, and so nobody may declare.
    """
    if find_spec("mcp") is None:
        return False
    from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

    from copilot.surfaces.mcp.server import McpTools, server  # noqa: PLC0415

    desk = StoreDesk(chat, heed)
    tools = McpTools(lambda: nullcontext(desk), library, propose)
    made = server(tools, declares=declares)
    inner = made.streamable_http_app(
        json_response=True,
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app.router.routes.extend(inner.routes)
    outer = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(given: FastAPI) -> AsyncIterator[None]:
        async with outer(given), made.session_manager.run():
            yield

    app.router.lifespan_context = lifespan
    return True
