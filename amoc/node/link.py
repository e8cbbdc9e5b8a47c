"""What a node says to its master next, and what the answers mean.

Pure: times come in, `now` in monotonic seconds and `wall` in Unix seconds. One request is under way at a time:

    hello     until it is welcome, and again whenever the master does not know it
    snapshot  when a command was missed, at the beginning, and after the lease was over
    fetch     when the state machine asked for a scenario's source
    beat      otherwise

Only an answer to a hello, a beat or a snapshot renews the lease: with these the master notes that it has heard of us.
"""

import msgspec

from amoc.control import (
    PROTOCOL,
    Beat,
    BeatReply,
    Command,
    Event,
    Fetch,
    Fetched,
    Hello,
    NodeLoad,
    Refused,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    Welcome,
    apply,
)
from amoc.node.clock import Offset
from amoc.node.effects import Effect, Emit
from amoc.node.outbox import Outbox
from amoc.node.sources import Sources
from amoc.node.state import NodeState
from amoc.scenario import Source

__all__ = ["BEAT", "RETRY", "Link"]

BEAT = 1.0  # seconds between two beats
RETRY = 2.0  # seconds until a refused node tries again
MOST_EVENTS = 1000  # waiting for the next beat; more log lines than this are counted, not sent


class Link:
    """The node's side of the conversation.

    `over` says why it has ended for good, None while it goes on; `trouble` why the last request came to nothing.
    """

    def __init__(self, state: NodeState, version: str, cores: int, address: str = "") -> None:
        self.over: str | None = None
        self.trouble = ""
        self.registered = False
        self.state = state
        self._hello = Hello(state.name, state.incarnation, PROTOCOL, version, cores, address)
        self._outbox = Outbox()
        self._offset = Offset()
        self._behind = True
        self._wanted: str | None = None
        self._sources = Sources()
        self._refusal = ""
        self._anew = False
        self._silent = False
        self._soon = False
        self._events: list[Event] = []
        self._left_out = 0

    def __repr__(self) -> str:
        return f"<Link of {self.state.name} {'registered' if self.registered else self._refusal or 'new'}>"

    # What happens here

    def heard(self, command: Command, now: float) -> list[Effect]:
        """A command has arrived."""
        if self.over is not None:  # it may still give a seat to this incarnation, which has lost its name
            return []
        try:
            desired = apply(self.state.desired, command)
        except ValueError:  # a gap: some command was lost on the way
            self._behind = True
            return []
        return [] if desired is self.state.desired else self.state.wants(desired, now)

    def fetch(self, version: str, now: float) -> list[Effect]:
        """The state machine wants this source: it is here, or asked for with the next request."""
        source = self._sources.get(version)
        if source is not None:
            self._wanted = None
            return self.state.source_arrived(source, now)
        self._wanted = version
        return []

    def event(self, event: Event) -> bool:
        """Tell of something with the next beat; whether it is the first that waits for it."""
        if len(self._events) >= (MOST_EVENTS if event.event == "log" else 2 * MOST_EVENTS):
            self._left_out += 1
            return False
        self._events.append(event)
        return len(self._events) == 1

    # The conversation

    @property
    def pause(self) -> float:
        """Seconds until the next request, unless something happens before."""
        return 0.0 if self._soon else RETRY if self._refusal else BEAT

    def next(self, wall: float, load: NodeLoad) -> Request:
        """What to send now."""
        name, incarnation = self.state.name, self.state.incarnation
        if not self.registered:
            return self._hello
        if not self._silent:  # after a request in vain a beat comes first, so that others do not take us for lost
            if self._behind or self.state.stale:
                return Snapshot(name, incarnation)
            if self._wanted is not None:
                return Fetch(name, incarnation, self._wanted)
        offset, delay = round(self._offset.offset * 1000, 3), round(self._offset.delay * 1000, 3)
        load = msgspec.structs.replace(load, offset_ms=offset, answer_ms=delay)
        beat = self._outbox.next(lambda seq: self._beat(seq, load))
        beat.sent = wall
        return beat

    def answered(
        self, request: Request, reply: Reply | None, sent: float, now: float, wall: float, trouble: str = ""
    ) -> list[Effect]:
        """The answer to `request`, which was sent at `sent` (monotonic); None if there was none, `trouble` says why."""
        self.trouble = trouble
        self._silent = reply is None and not isinstance(request, Beat)
        effects: list[Effect] = []
        match reply:
            case Refused():
                effects = self._refused(request, reply, now)
            case Welcome(number=number, seq=seq):
                self.registered, self._refusal, self._behind = True, "", True
                self._anew = number < self.state.desired.number  # it has lost its state: what it says now counts
                effects = [*self.state.renewed(sent, now), *self._counted(seq, 0)]
            case BeatReply(seq=seq, durable=durable, number=number) if isinstance(request, Beat):
                self._refusal = ""
                self._offset.add(request.sent, reply.received, reply.sent, wall)
                self._behind |= number > self.state.desired.number
                effects = [*self.state.renewed(sent, now), *self._counted(seq, durable)]
            case SnapshotReply(desired=desired):
                effects = self.state.renewed(sent, now)
                if self._anew or desired.number >= self.state.desired.number:  # else commands have overtaken it
                    self._behind = self._anew = False
                    effects += self.state.wants(desired, now, fresh=True)
            case Fetched(version=version) if version == self._wanted:
                self._wanted = None
                source = Source(reply.name, reply.text, reply.path, version, reply.helpers)
                self._sources.keep(source)
                effects = self.state.source_arrived(source, now)
        more = not self.registered or self._behind or self.state.stale or self._wanted is not None
        self._soon = reply is not None and more and not self._refusal
        return effects

    def _refused(self, request: Request, reply: Refused, now: float) -> list[Effect]:
        match reply.code:
            case "superseded":
                self.over = reply.reason
                return [Emit("node", "ERROR", reply.reason), *self.state.superseded(now)]
            case "unregistered":
                self.registered = False
                return []
        if isinstance(request, Fetch) and self._wanted == request.version:
            self._wanted = None
            return self.state.failed(f"the scenario's source could not be fetched: {reply.reason}", now)
        if isinstance(request, Beat) and reply.code in ("decode", "size") and (lost := self._outbox.refused()):
            self.trouble = f"the master cannot read a beat of node {self.state.name}: {reply.reason}"
            text = f"{self.trouble}; {lost} are given up (of {self._outbox.given_up} beats so far)"
            return [Emit("node", "ERROR", text)]
        self.trouble = f"the master refuses node {self.state.name}: {reply.reason}"
        if reply.reason == self._refusal:
            return []
        self._refusal = reply.reason
        return [Emit("node", "ERROR", self.trouble)]

    def _counted(self, seq: int, durable: int) -> list[Effect]:
        if self._outbox.answered(seq, durable):
            return []
        return [
            Emit("node", "WARNING", "the master has lost what this node told it before: its counts are not complete")
        ]

    def _beat(self, seq: int, load: NodeLoad) -> Beat:
        events, self._events = self._events, []
        if self._left_out:
            text = f"{self._left_out} log lines were left out"
            events.append(Event("log", events[-1].time, "WARNING", text, self.state.name))
            self._left_out = 0
        state = self.state
        return Beat(
            state.name,
            state.incarnation,
            seq,
            state.desired.number,
            **msgspec.structs.asdict(state.take()),
            load=load,
            events=events,
        )
