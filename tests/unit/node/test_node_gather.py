"""What workers counted, gathered for a beat: sums of counters, and of each living worker's gauges."""

import msgspec

from amoc.metrics import Delta, Distribution, Registry, unpack
from amoc.node.gather import Gathered


def counted(registry: Registry) -> bytes:
    return msgspec.msgpack.encode(registry.flush())


def taken(gathered: Gathered) -> Delta:
    packed = unpack(gathered.take())
    histograms = {name: Distribution(dict(d.items()), d.sum, d.min, d.max) for name, d in packed.histograms.items()}
    return Delta(packed.counters, packed.spirals, packed.gauges, histograms)


def test_counters_and_histograms_add_up_and_are_sent_once() -> None:
    gathered, one, two = Gathered(), Registry(), Registry()
    one.counter("sent").increment(3)
    two.counter("sent").increment(4)
    one.histogram("ttd").record(100)
    two.histogram("ttd").record(200)
    gathered.add(0, counted(one))
    gathered.add(1, counted(two))
    delta = taken(gathered)
    assert delta.counters == {"sent": 7}
    assert delta.histograms["ttd"].count == 2
    assert gathered.take() == b""
    one.counter("sent").increment()
    gathered.add(0, counted(one))
    assert taken(gathered).counters == {"sent": 1}


def test_gauges_are_the_sum_over_living_workers() -> None:
    gathered, one, two = Gathered(), Registry(), Registry()
    one.gauge("users").set(10)
    two.gauge("users").set(5)
    gathered.add(0, counted(one))
    gathered.add(1, counted(two))
    assert taken(gathered).gauges == {"users": 15}
    one.gauge("users").set(7)
    gathered.add(0, counted(one))
    assert taken(gathered).gauges == {"users": 12}
    gathered.forget(0)
    assert taken(gathered).gauges == {"users": 5}
    gathered.forget(1)
    assert taken(gathered).gauges == {"users": 0}  # said once more, and then no longer
    assert gathered.take() == b""


def test_a_replacement_takes_the_place_of_the_dead() -> None:
    gathered, one, new = Gathered(), Registry(), Registry()
    one.gauge("users").set(10)
    gathered.add(0, counted(one))
    gathered.forget(0)
    new.gauge("users").set(3)
    gathered.add(0, counted(new))
    assert taken(gathered).gauges == {"users": 3}
    gathered.forget(7)
    assert gathered.take() == b""
