"""The body of a request, read whole by the gate before a handler runs."""

from starlette.requests import Request


async def body(request: Request) -> bytes:
    """The bytes; a dependency, since handlers are synchronous and run in threads."""
    return await request.body()
