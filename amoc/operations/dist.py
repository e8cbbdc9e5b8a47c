"""`dist.*`: a test on many nodes, from their master; what the console calls `amoc_dist`.

Users go to the slaves, never to the master. `nodes` is a list of nodes' names (or one name); without it all that are
up are meant. Replies tell per node what it did, or `error`: one that fails does not stop the others.
"""

from typing import Any

from amoc.errors import BadInput
from amoc.launch import Fleet
from amoc.operations.context import Context
from amoc.operations.operation import operation

__all__: list[str] = []

Nodes = list[str] | str | None


@operation("dist.do", changes=True)
async def do(
    context: Context,
    /,
    scenario: str,
    first: int,
    last: int,
    nodes: Nodes = None,
    comment: str | None = None,
    **settings: Any,
) -> Any:
    """Start `scenario` with the users `first` to `last`, spread over the slaves.

    Round robin unless the setting `distribution` says otherwise: with ten slaves user 1 goes to the first, user 11
    again. `comment` goes into the run's history; further arguments are settings of this run, e.g.
    `interarrival=10`. Returns, per node, the ids it got.
    Errors: no slaves, an unknown node, a test is running already, unknown scenario, one that does not load or whose
    `init` raises on a node, unknown or unfit settings; no user is started then.

    Example: amoc_dist.do(mongoose_simple, 1, 100, interarrival=20)
    """
    source = context.store.source(scenario)
    return await context.master.do(source, first, last, settings, nodes=_names(nodes), comment=comment)


@operation("dist.add", changes=True)
async def add(context: Context, count: int, nodes: Nodes = None) -> Any:
    """Add `count` users to the running test, continuing from the highest id used.

    Example: amoc_dist.add(50, nodes=["slave1", "slave2"])
    """
    return await context.master.add(count, nodes=_names(nodes))


@operation("dist.remove", changes=True)
async def remove(context: Context, count: int, force: bool = False, nodes: Nodes = None) -> Any:
    """Remove the `count` newest users of the whole cluster, or all there are if they are fewer.

    Gently (the default) a user finishes its current run and is not started again; one that waits for its
    repetition ends at once. With `force=True` its task is cancelled and its connections are closed.
    Returns, per node, how many were removed.

    Example: amoc_dist.remove(50, force=True)
    """
    return await context.master.remove(count, force=force, nodes=_names(nodes))


@operation("dist.update_settings", changes=True)
async def update_settings(context: Context, settings: dict[str, Any], nodes: Nodes = None) -> Any:
    """Change settings, at once also in a running test: all of them or, if one is wrong, none.

    For all nodes they stay for later tests; with `nodes` they hold there and for the running test.
    Returns, per node, what is in force.

    Example: amoc_dist.update_settings({"interarrival": 10})
    """
    return await context.master.update_settings(settings, nodes=_names(nodes))


@operation("dist.stop", changes=True)
async def stop(context: Context, force: bool = False, reason: str = "stopped") -> Any:
    """End the test: no user is started any more, running ones are cancelled and may close their connections.

    With `force=True` the workers are ended at once. `reason` goes into the run's history. Afterwards another test
    can be started.

    Example: amoc_dist.stop()
    """
    return await context.master.stop(force=force, reason=reason)


@operation("dist.status")
async def status(context: Context) -> Any:
    """Everything known of the cluster and its test: state, users, nodes, workers, metrics, errors, last events.

    Example: amoc_dist.status()
    """
    return context.status()


@operation("dist.users")
async def users(context: Context) -> Any:
    """How many users there are in the whole cluster, by what they are doing.

    Example: amoc_dist.users()
    """
    return context.master.users()


@operation("dist.nodes")
async def nodes(context: Context) -> Any:
    """Every slave that has registered: state, address, users, starts, CPU, loop lag, memory, last beat, version.

    `state` is up, suspect (no beat for 3 s) or lost (for 10 s). `offset_ms` says how far the master's clock is
    ahead of the node's.

    Example: amoc_dist.nodes()
    """
    return context.master.nodes()


@operation("dist.ping_nodes")
async def ping_nodes(context: Context) -> Any:
    """How long each slave takes to hear a command and to answer it.

    Example: amoc_dist.ping_nodes()
    """
    return await context.master.ping_nodes()


@operation("dist.start_nodes", changes=True)
async def start_nodes(context: Context, nodes: Nodes = None) -> Any:
    """Start the slaves of the setting `hosts`, or some of them, over ssh; those that run are left alone.

    It is done when they are started; they register within a second after that, see `nodes()`.

    Example: amoc_dist.start_nodes(["slave2"])
    """
    return await _fleet(context).start(_names(nodes), _teller(context))


@operation("dist.stop_nodes", changes=True)
async def stop_nodes(context: Context, nodes: Nodes = None) -> Any:
    """Stop the slaves of the setting `hosts`, or some of them, over ssh; users that they run end.

    Example: amoc_dist.stop_nodes()
    """
    return await _fleet(context).stop(_names(nodes), _teller(context))


def _names(nodes: Nodes) -> list[str] | None:
    return [nodes] if isinstance(nodes, str) else nodes


def _fleet(context: Context) -> Fleet:
    if context.fleet is None:
        raise BadInput(
            "this master starts no slaves: the setting hosts is empty; name them there, and set path to where "
            "amoc is installed on them"
        )
    return context.fleet


def _teller(context: Context) -> Any:
    return lambda level, text: context.events.say("node", text, level)
