"""What the master does by itself: it takes a run from phase to phase, and keeps it going whatever happens to nodes.

Pure: no I/O. `advance` is called whenever something has changed, and with the time. Each rule looks at the state, and
when it is due issues one command after which it is due no more; they are tried in order until none is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from amoc.cluster.distribution import Place, spread
from amoc.control import IdRange
from amoc.errors import AmocError

if TYPE_CHECKING:
    from amoc.cluster.state import ClusterState

__all__ = ["advance"]

Rule = Callable[["ClusterState", float, float], bool]

MOST = 100_000
"""Commands that follow from one event: a bound that no state reaches, lest a mistake here should stop the master."""


def advance(state: "ClusterState", now: float, wall: float) -> None:
    """Do all that is due; `now`: the master's monotonic clock, `wall`: Unix time."""
    if state.desired.run is None:
        return
    for _ in range(MOST):
        if not any(rule(state, now, wall) for rule in _RULES[state.desired.phase]):
            return


# From phase to phase


def _fail(state: "ClusterState", now: float, wall: float) -> bool:
    """The run cannot go on. On the way up what setup() made is still taken down."""
    reason = state.failure()
    if reason is None:
        return False
    state.stop(state.desired.phase == "run", reason, failed=True)
    return True


def _lead(state: "ClusterState", now: float, wall: float) -> bool:
    """The leader is gone: another node does what is left to it."""
    healthy = [member.name for member in state.healthy()]
    if not healthy or state.desired.leader in healthy:
        return False
    state.lead(healthy[0])
    return True


def _init(state: "ClusterState", now: float, wall: float) -> bool:
    if not state.reached("setup"):
        return False
    state.step("init", wall, state.members.by_name[state.desired.leader].data)
    return True


def _run(state: "ClusterState", now: float, wall: float) -> bool:
    if not state.reached("init"):
        return False
    if state.run.first <= state.run.last and not state.desired.given:
        if not state.places():
            return False
        try:
            state.assign(state.run.first, state.run.last)
        except AmocError as error:  # the user's own way of distribution
            state.stop(False, str(error), failed=True)
            return True
    state.step("run", wall)
    return True


def _teardown(state: "ClusterState", now: float, wall: float) -> bool:
    if not state.reached("stop"):
        return False
    state.step("teardown", wall)
    return True


def _over(state: "ClusterState", now: float, wall: float) -> bool:
    if not state.reached("teardown"):
        return False
    state.step("over", wall)
    return True


def _tell_over(state: "ClusterState", now: float, wall: float) -> bool:
    if "over" in state.told or not state.reached("over"):
        return False
    state.told.add("over")
    state.say("run", f"{state.run.scenario} is over: {state.desired.reason}")
    return False


# Nodes that come and go


def _close(state: "ClusterState", now: float, wall: float) -> bool:
    """Failover: a node that cannot be reached has certainly ended its users by now."""
    if state.rules.failure_policy() != "failover":
        return False
    for node, seat in state.desired.seats.items():
        if not state.reachable(node):
            at = state.gone_at(seat.incarnation)
            if at is not None and now >= at:
                state.close(node, seat)
                return True
    return False


def _join(state: "ClusterState", now: float, wall: float) -> bool:
    """A node that is up takes part, unless the run is others' alone, or its former users may go on elsewhere."""
    run = state.run
    for member in state.members.by_name.values():
        seat = state.desired.seats.get(member.name)
        if member.condition != "up" or not (run.open or member.name in run.nodes):
            continue
        if seat is not None and seat.incarnation == member.incarnation:
            continue
        if seat is not None and state.rules.failure_policy() == "failover" and run.lease is not None:
            continue  # its seat is closed first, when its lease is over
        state.join(member)
        return True
    return False


def _adopt(state: "ClusterState", now: float, wall: float) -> bool:
    """Ids without a node, old ones and those just let go, are given to nodes that take users."""
    if not state.released and not state.desired.orphans:
        return False
    places = [place for place in state.places() if place.name not in state.released]
    taken, state.released = state.released, {}
    homeless = [ids for ranges in taken.values() for ids in ranges]
    if not places:
        if not homeless:
            return False
        state.hand_on({}, [*state.desired.orphans, *homeless], taken)
        return True
    dealt = spread([*state.desired.orphans, *homeless], _least(places) if taken else places)
    state.hand_on(dealt, [], taken)
    return True


def _remove(state: "ClusterState", now: float, wall: float) -> bool:
    """Removals that have met fewer users than they were to are made up for by others."""
    reachable = [node for node in state.desired.seats if state.reachable(node)]
    for removing in list(state.removings):
        if removing.owed and not removing.open(reachable) and state.remove_more(removing):
            return True
        if not removing.owed and not removing.asked:
            state.removings.remove(removing)
    return False


def _pace(state: "ClusterState", now: float, wall: float) -> bool:
    """A rate of the whole cluster is shared by the nodes that can be reached."""
    nodes = len(state.healthy())
    if not nodes:
        return False
    interval = state.rules.interval(nodes)
    if interval == state.desired.interval:
        return False
    own = {node: seat.own for node, seat in state.desired.seats.items() if seat.own is not None}
    state.change(state.desired.settings, interval, own)
    return True


def _balance(state: "ClusterState", now: float, wall: float) -> bool:
    """A node that has joined gets its share of the users that others have."""
    if all((node, seat.number) in state.balanced for node, seat in state.desired.seats.items()):
        return False
    places = state.places()
    for place in places:
        seat = state.desired.seats[place.name]
        if (place.name, seat.number) in state.balanced:
            continue
        state.balanced.add((place.name, seat.number))
        if not state.rules.rebalance():
            continue
        fair = sum(other.users for other in places) // len(places)
        wanted = fair - place.users
        ids: dict[str, list[IdRange]] = {}
        for other in sorted(places, key=lambda other: -other.users):
            surplus = min(other.users - fair, wanted)
            if surplus > 0:
                ids[other.name] = state.chooser.pick(other.name, surplus, state.books.ended, state.moving)
                wanted -= surplus
        ids = {node: ranges for node, ranges in ids.items() if ranges}
        if ids:
            state.say("node", f"{place.name} gets users of {', '.join(ids)}", node=place.name)
            state.move(ids)
            return True
    return False


def _least(places: list[Place]) -> list[Place]:
    """Those with fewer users than the average, or all if there are none."""
    average = sum(place.users for place in places) / len(places)
    return [place for place in places if place.users < average] or places


_RULES: dict[str, tuple[Rule, ...]] = {
    "setup": (_fail, _lead, _init),
    "init": (_fail, _run),
    "run": (_adopt, _fail, _close, _join, _remove, _pace, _balance),
    "stop": (_lead, _teardown),
    "teardown": (_over,),
    "over": (_tell_over,),
}
