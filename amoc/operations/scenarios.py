"""`scenarios.*`: what can be run."""

from typing import Any

from amoc.operations.context import Context
from amoc.operations.operation import operation

__all__: list[str] = []


@operation("scenarios.list")
async def list_(context: Context) -> Any:
    """The names of all scenarios that can be started.

    Example: amoc_scenarios.list()
    """
    return context.store.names()


@operation("scenarios.info")
async def info(context: Context, name: str) -> Any:
    """What scenario `name` is: its documentation, callbacks and declared settings.

    Example: amoc_scenarios.info(mongoose_simple)
    """
    return await context.master.inspect(context.store.source(name))
