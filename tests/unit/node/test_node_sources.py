"""Sources kept by their content hash."""

from amoc.node.sources import MOST, Sources
from amoc.scenario import Source


def test_a_source_is_kept_by_its_version() -> None:
    sources = Sources()
    source = Source.of("chat", "text", "/chat.py", {"_a.py": "1"})
    assert sources.get(source.version) is None
    sources.keep(source)
    assert sources.get(source.version) is source
    assert sources.get(Source.of("chat", "text", "/chat.py", {"_a.py": "2"}).version) is None
    assert repr(sources) == "<Sources ['chat']>"


def test_those_used_last_are_kept() -> None:
    sources = Sources()
    made = [Source.of("chat", str(number), "/chat.py") for number in range(MOST + 2)]
    for source in made[:MOST]:
        sources.keep(source)
    assert sources.get(made[0].version) is made[0], "it has been used now"
    for source in made[MOST:]:
        sources.keep(source)
    gone = [source.text for source in made if sources.get(source.version) is None]
    assert gone == ["1", "2"]
