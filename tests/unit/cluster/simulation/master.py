"""The master's process: the real state, and what the keeper does around it; its disk outlives it."""

from amoc.cluster import saved
from amoc.cluster.effects import Publish, Say
from amoc.cluster.removals import Removing
from amoc.cluster.rules import Rules
from amoc.cluster.state import ClusterState
from amoc.control.messages import decode_request, encode
from tests.unit.cluster.simulation.world import World

__all__ = ["MasterProcess"]

TICK = 0.5
WRITE = 2.0


class _Watched(ClusterState):
    """Keeps account of how many users a removal did not find."""

    world: World

    def remove_more(self, removing: Removing) -> bool:
        """As it is, and noted."""
        found = super().remove_more(removing)
        asked = sum(sum(by_node.values()) for by_node in removing.asked.values())
        self.world.short[removing.number] = removing.wanted - asked - sum(removing.met.values())
        return found


class MasterProcess:
    """A master that begins with what is on the `disk`, if there is something."""

    def __init__(self, world: World, rules: Rules, disk: bytes | None = None) -> None:
        self.world = world
        self.alive = True
        self.disk = disk
        self.state = _Watched(rules, "0.1")
        self.state.world = world
        if disk is not None:
            saved.restore(self.state, saved.decode(disk), world.now)
        else:
            self.state.durable = {}
        self._written = -1
        world.after(TICK * world.random.random(), self._tick)
        world.after(WRITE * world.random.random(), self._write_again)

    def answer(self, data: bytes) -> bytes:
        """A node's request."""
        reply = self.state.answer(decode_request(data), self.world.now, self.world.wall)
        self.perform()
        if self.state.due:
            self.advance()
        return encode(reply)

    def advance(self) -> None:
        """What follows from what has happened."""
        self.state.advance(self.world.now, self.world.wall)
        self.perform()

    def perform(self) -> None:
        """Write down, publish."""
        effects = self.state.take()
        if any(isinstance(effect, Publish) for effect in effects):
            self._write()
        for effect in effects:
            match effect:
                case Publish(command):
                    self.world.say(f"master: {command}"[:300])
                    self.world.publish(encode(command))
                case Say(text=text):
                    self.world.say(f"master: {text}")

    def _tick(self) -> None:
        if self.alive:
            self.state.tick(self.world.now, self.world.wall)
            self.perform()
            self.world.after(TICK, self._tick)

    def _write_again(self) -> None:
        if self.alive:
            self._write()
            self.world.after(WRITE, self._write_again)

    def _write(self) -> None:
        if self.state.changes != self._written:
            self._written = self.state.changes
            self.disk = saved.encode(saved.save(self.state))
            self.state.durable = dict(self.state.books.seqs)

    def crash(self) -> None:
        """SIGKILL."""
        self.alive = False
