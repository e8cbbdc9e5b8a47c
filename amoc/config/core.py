"""amoc's own settings, and what follows from several of them at once. Pure: no I/O.

The XMPP client declares its settings in `amoc.xmpp.settings`, a scenario in its `SETTINGS`.
"""

import math
from typing import TYPE_CHECKING, Literal

from amoc.config.checks import at_least, between, not_empty
from amoc.config.convert import Count
from amoc.config.setting import Setting

if TYPE_CHECKING:
    from amoc.config.lookup import Config

__all__ = ["CORE", "interarrival_ms"]

DAY_MS = 24 * 3600 * 1000.0  # the longest pause between two starts or repetitions that can be meant

_STRENGTH = ("unset", "default", "file", "runtime", "env")


def _rate(value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError("must be above 0")


def _endpoint(value: str) -> None:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must be host:port, such as graphite:2003")


CORE: tuple[Setting, ...] = (
    Setting(
        "interarrival",
        float,
        50.0,
        "milliseconds between two consecutive user starts on each node; 0: as fast as possible",
        between(0, DAY_MS),
    ),
    Setting(
        "user_rate",
        float,
        doc="user starts per minute in the whole cluster, instead of interarrival",
        check=_rate,
    ),
    Setting(
        "repeat_interval",
        float,
        60_000.0,
        "milliseconds that a user waits before it runs again",
        between(0, DAY_MS),
    ),
    Setting("repeat_num", Count, math.inf, "how often a user runs again; infinity: until it is removed"),
    Setting(
        "role",
        Literal["local", "master", "slave"],
        "local",
        "what a node is: a whole test by itself, the master of slaves, or one of them",
        change="restart",
    ),
    Setting(
        "node_name",
        str,
        doc="what the node is called, and its key; unset: master for a master, the name of its host for a slave",
        check=not_empty,
        change="restart",
    ),
    Setting("master_host", str, "127.0.0.1", "where a slave finds its master", not_empty, "restart"),
    Setting(
        "control_host",
        str,
        "127.0.0.1",
        "address of this machine on which the master listens for its slaves; 0.0.0.0: all",
        not_empty,
        "restart",
    ),
    Setting(
        "control_port",
        int,
        5555,
        "port on which the master publishes commands; it answers requests on the next",
        between(1, 65534),
        "restart",
    ),
    Setting("keys_dir", str, "keys", "directory of the keys of master and slaves", not_empty, "restart"),
    Setting("workers", int, 0, "worker processes per node; 0: one per core", between(0, 1024), "restart"),
    Setting(
        "master_timeout",
        float,
        60.0,
        "seconds that a slave without its master keeps the load going",
        at_least(5),  # a beat comes each second, and its answer may take some
        "restart",
    ),
    Setting(
        "failure_policy",
        Literal["keep", "failover"],
        "keep",
        "what becomes of a lost slave's users: they stay lost, or start again on the other slaves",
    ),
    Setting(
        "distribution",
        str,
        "round_robin",
        "which slave gets which users: round_robin, blocks, weighted (by cores), or module:function of yours",
        not_empty,
    ),
    Setting("rebalance", bool, False, "whether a slave that joins a running test gets users of the others"),
    Setting(
        "state_dir", str, ".amoc", "directory of the file from which a restarted master goes on", not_empty, "restart"
    ),
    Setting("scenarios_dir", str, "scenarios", "directory of the scenarios", not_empty, "restart"),
    Setting(
        "log_level",
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        "INFO",
        "the least level that is logged",
    ),
    Setting("api_port", int, 4000, "port of the REST API", between(0, 65535), "restart"),
    Setting("status_file", str, ".amoc.status", "file that says whether the node is ready", not_empty, "restart"),
    Setting("graphite_endpoint", str, doc="host:port of Graphite; unset: nothing is sent", check=_endpoint),
    Setting("graphite_prefix", str, doc="prefix of every Graphite path"),
    Setting(
        "hosts",
        list[str],
        [],
        "the slaves that the master starts over ssh, each as [NAME=][USER@]HOST[:PORT]",
        change="restart",
    ),
    Setting("path", str, doc="where amoc is installed on these slaves", check=not_empty, change="restart"),
)


def interarrival_ms(config: "Config", nodes: int = 1) -> float:
    """Milliseconds between two starts on each of `nodes` nodes, from `interarrival` and `user_rate`.

    The one that comes from the stronger source counts (a command line's interarrival beats a file's
    user_rate); from the same source, user_rate.
    """
    strength = _STRENGTH.index
    rate = strength(config.source("user_rate"))
    if rate and rate >= strength(config.source("interarrival")):
        return 60_000 / float(config.get("user_rate")) * nodes
    return float(config.get("interarrival"))
