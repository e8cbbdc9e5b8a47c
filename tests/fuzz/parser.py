"""Fuzz run of the stream parser: many connections in turn, each compared with a parse of its whole document.

    python -m tests.fuzz.parser --minutes 10
    python -m tests.fuzz.parser --seed 7 --case 1234      one case of that run again

A case is a handful of connections, whose streams are made and mutated by `streams`, cut into reads, and fed in
turn to one `StreamParser` each; in between whole elements go through `parse_elements`. What comes out of each has to
be what `oracle` says of the same bytes. A difference ends the run, with the seed and with the fewest reads that
show it (`shrink`).
"""

import argparse
import random
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.parser import MAX_STANZA_SIZE, Event, StreamParser, parse_elements
from amoc.xmpp.core.tokenizer import BadXml, StreamEnd, StreamHeader
from tests.fuzz import streams
from tests.fuzz.oracle import Meaning, Thing, is_allowed, meaning_of
from tests.fuzz.shrink import shrink

__all__ = ["Case", "difference", "main", "make", "run"]

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
SMALL_LIMITS = (1024, 1500, 3000)
REPORT_SECONDS = 60.0


@dataclass(frozen=True)
class Case:
    """`reads` are pairs of a connection's number and what it reads next; `limits` are bytes of a stanza.

    A connection of `whole` is none: each of its reads is whole elements, for `parse_elements`.
    """

    limits: tuple[int, ...]
    whole: frozenset[int]
    reads: tuple[tuple[int, bytes], ...]


def make(seed: int, number: int) -> Case:
    """Case `number` of the run of `seed`."""
    chance = random.Random(f"{seed} {number}")
    limits, whole, reads = [], set(), []
    for connection in range(chance.choice((1, 2, 2, 3, 4, 6))):
        small = chance.random() < 0.08
        limits.append(chance.choice(SMALL_LIMITS) if small else MAX_STANZA_SIZE)
        if chance.random() < 0.15:
            whole.add(connection)
            texts = [streams.elements(chance).encode() for _ in range(chance.randrange(1, 4))]
            pieces = [_perhaps_mutated(chance, text) for text in texts]
        else:
            document = streams.stream(chance, limits[-1] if small else 0)
            pieces = streams.cut(chance, _perhaps_mutated(chance, document))
        reads.append([(connection, piece) for piece in pieces if piece])
    mixed = []
    while left := [each for each in reads if each]:
        mixed.append(chance.choice(left).pop(0))
    return Case(tuple(limits), frozenset(whole), tuple(mixed))


def _perhaps_mutated(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.4:
        return data
    return streams.mutated(chance, data, streams.stream(chance))


# -- one case ------------------------------------------------------------------------------------------------


def difference(case: Case) -> str:
    """What the parsers say that they must not, "" if there is nothing."""
    parsers = [StreamParser(limit) for limit in case.limits]
    documents = [b"" for _ in case.limits]
    found: list[list[Thing]] = [[] for _ in case.limits]
    complaints: Iterable[str] = ()
    for connection, data in case.reads:
        limit = case.limits[connection]
        if connection in case.whole:
            things = _things(parse_elements(data, limit))
            meaning = _meaning_of_elements(data)
            if meaning.referred and things == meaning.things[:-1]:
                continue  # "&#32;" between them is white space, or is none
            complaints = _compared(things, meaning, limit, f"parse_elements({data!r})")
        else:
            documents[connection] += data
            found[connection] += _things(parsers[connection].feed(data))
        for complaint in complaints:
            return complaint
        complaints = ()
    for parser in parsers:
        parser.close()
    for connection, document in enumerate(documents):
        meaning = meaning_of(document)
        for complaint in _compared(found[connection], meaning, case.limits[connection], f"connection {connection}"):
            return complaint
    return ""


def _things(events: Iterable[Event]) -> list[Thing]:
    return [_thing(event) for event in events]


def _thing(event: Event) -> Thing:
    if isinstance(event, Element):
        return ("stanza", _nested(event))
    if isinstance(event, StreamHeader):
        pairs, prefixes = tuple(sorted(event.attrs.items())), tuple(sorted(event.prefixes.items()))
        return ("header", event.name, event.ns, pairs, prefixes)
    if isinstance(event, BadXml):
        return ("bad", event.condition)
    assert isinstance(event, StreamEnd), event
    return ("end",)


def _nested(element: Element) -> Thing:
    children = tuple(_nested(child) if isinstance(child, Element) else child for child in element.children)
    return (element.name, element.ns, tuple(sorted(element.attrs.items())), children)


def _meaning_of_elements(data: bytes) -> Meaning:
    """As in a stream, but for its header, and with whatever is left over being a fault."""
    meaning = meaning_of(HEADER + data)
    things = meaning.things = meaning.things[1:]
    del meaning.least[0], meaning.most[0]
    if things and things[-1][0] == "end":
        things[-1] = ("bad", "not-well-formed")
    elif not things or things[-1][0] != "bad":
        closed = meaning_of(HEADER + data + b"</stream:stream>").things
        if len(closed) != len(things) + 2 or closed[-1] != ("end",) or meaning.referred:
            things.append(("bad", "not-well-formed"))
            meaning.least.append(0)
            meaning.most.append(meaning.rest)
    return meaning


def _compared(found: list[Thing], meaning: Meaning, limit: int, what: str) -> Iterator[str]:
    if not is_allowed(found, meaning, limit):
        yield f"{what}, limit {limit}\n  found    {found}\n  expected {meaning.things}"


# -- the run -------------------------------------------------------------------------------------------------


def run(seed: int, cases: Iterable[int]) -> str:
    """Run these cases; the report of the first that fails, or ""."""
    for number in cases:
        case = make(seed, number)
        if difference(case):
            return _report(seed, number, case)
    return ""


def _report(seed: int, number: int, case: Case) -> str:
    if not difference(case):
        return f"case {number} of seed {seed} failed only after those before it: run them all again"
    reads = shrink(list(case.reads), lambda reads: bool(difference(Case(case.limits, case.whole, tuple(reads)))))
    least = Case(case.limits, case.whole, tuple(reads))
    return f"case {number} of seed {seed} fails (--seed {seed} --case {number}); as few reads as show it:\n" + (
        f"{least}\n{difference(least)}"
    )


def _numbers(minutes: float) -> Iterator[int]:
    """Numbers of cases until the time is over, with a line now and then."""
    began = reported = time.monotonic()
    number = 0
    while (now := time.monotonic()) < began + 60 * minutes:
        if now > reported + REPORT_SECONDS:
            reported = now
            print(f"{now - began:5.0f} s: {number} cases", flush=True)
        yield number
        number += 1
    print(f"{time.monotonic() - began:.0f} s: {number} cases, no difference", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 when there is a difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.parser", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to run (10)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="for a repetition (a random one)")
    parser.add_argument("--case", type=int, help="only this case")
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", flush=True)
    failure = run(chosen.seed, _numbers(chosen.minutes) if chosen.case is None else [chosen.case])
    if failure:
        print(failure, file=sys.stderr)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
