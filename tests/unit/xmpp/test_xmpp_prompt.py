"""A stanza whose tag is split between reads comes when its last byte has come, whatever expat this is."""

from xml.parsers import expat

import pytest

from amoc.xmpp.core.prompt import make_prompt


@pytest.mark.parametrize("size", [1, 8, 100, 5000])
def test_a_tag_in_pieces_is_seen_with_its_last_byte(size: int) -> None:
    parser = expat.ParserCreate()
    make_prompt(parser)
    seen: list[str] = []
    parser.StartElementHandler = lambda name, _: seen.append(name)
    parser.Parse(b"<root>", False)
    for _ in range(3):
        seen.clear()
        parser.Parse(b"<" + b"x" * size, False)
        assert seen == []
        parser.Parse(b"/", False)
        parser.Parse(b">", False)
        assert seen == ["x" * size]
