"""Console sessions shown in the documentation: what is typed, and the shape of what is shown below it."""

import re
from pathlib import Path

__all__ = ["session_of", "shape"]


def session_of(page: Path) -> list[tuple[str, str]]:
    """Each line typed in the page's session (`<!-- session -->`) with the reply shown below it."""
    block = re.search(r"<!-- session -->\n```console\n(.*?)```", page.read_text(), re.DOTALL)
    assert block is not None, f"{page} has no session"
    return re.findall(r"In \[\d+\]: (.*)\n(?:Out\[\d+\]: ?\n?((?:.+\n)*))?", block[1])


def shape(reply: str) -> str:
    """A pattern for replies like this one: other numbers and signs, other spaces, more at the end of a line."""
    lines = [re.sub(r"(\\? )+", r"\\s+", re.escape(line)) for line in reply.splitlines()]
    lines = [re.sub(r"\\s\+\\[+-](?=\d)", r"\\s+[+-]", line) for line in lines]
    return ".*\n".join(re.sub(r"\d+", r"\\d+", line) for line in lines)
