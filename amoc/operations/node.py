"""`node.*`: the node process itself."""

from typing import Any

from amoc.operations.context import Context
from amoc.operations.operation import operation

__all__: list[str] = []


@operation("node.ping")
async def ping(context: Context) -> Any:
    """Answers "pong" when the node is alive."""
    return "pong"


@operation("node.status")
async def status(context: Context) -> Any:
    """What this node does: as `local.status` or `dist.status`; on a slave, what it knows of itself."""
    return context.status()


@operation("node.stop", changes=True)
async def stop(context: Context) -> Any:
    """End the test, if one runs, and then the node process."""
    context.closing.set()
    return "stopping"
