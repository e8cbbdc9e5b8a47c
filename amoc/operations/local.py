"""`local.*`: a test on this machine alone; what the console calls `amoc_local`."""

from typing import Any

from amoc.operations.context import Context
from amoc.operations.operation import operation

__all__: list[str] = []


@operation("local.do", changes=True)
async def do(context: Context, /, scenario: str, first: int, last: int, **settings: Any) -> Any:
    """Start `scenario` with the users `first` to `last`.

    Further arguments are settings of this run, e.g. `interarrival=10`. Returns, per node, the ids it got.
    Errors: a test is running already, unknown scenario, a scenario that does not load or whose `init`
    raises, unknown or unfit settings; no user is started then.

    Example: amoc_local.do(mongoose_simple, 1, 100, interarrival=20)
    """
    return await context.master.do(context.store.source(scenario), first, last, settings)


@operation("local.add", changes=True)
async def add(context: Context, count: int) -> Any:
    """Add `count` users to the running test, continuing from the highest id used.

    Example: amoc_local.add(50)
    """
    return await context.master.add(count)


@operation("local.remove", changes=True)
async def remove(context: Context, count: int, force: bool = False) -> Any:
    """Remove the `count` newest users, or all there are if they are fewer.

    Gently (the default) a user finishes its current run and is not started again; one that waits for its
    repetition ends at once. With `force=True` its task is cancelled and its connections are closed.
    Returns, per node, how many were removed.

    Example: amoc_local.remove(50, force=True)
    """
    return await context.master.remove(count, force=force)


@operation("local.stop", changes=True)
async def stop(context: Context, force: bool = False) -> Any:
    """End the test: no user is started any more, running ones are cancelled and may close their connections.

    With `force=True` the workers are ended at once. Afterwards another test can be started.

    Example: amoc_local.stop()
    """
    return await context.master.stop(force=force)


@operation("local.status")
async def status(context: Context) -> Any:
    """Everything known of the node and its test: state, users, workers, metrics, errors, last events.

    Example: amoc_local.status()
    """
    return context.master.status()


@operation("local.users")
async def users(context: Context) -> Any:
    """How many users there are, by what they are doing.

    Example: amoc_local.users()
    """
    return context.master.users()
