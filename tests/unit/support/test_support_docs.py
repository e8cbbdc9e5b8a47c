"""The documentation as a whole: its links lead somewhere, its make targets exist, and every page can be reached."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"(?ms)^```.*?^```")


def links(page: Path) -> list[str]:
    """Link targets inside the project, without their anchors."""
    found = LINK.findall(FENCE.sub("", page.read_text()))
    return [link.partition("#")[0] for link in found if "://" not in link and not link.startswith(("#", "mailto:"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not (page.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):.*## ", (ROOT / "Makefile").read_text()))
    text = page.read_text()
    shown = [*re.findall(r"`make ([a-z ]+)[^`]*`", text), *re.findall(r"(?m)^    make ([a-z ]+?)(?: {2}|$)", text)]
    unknown = {target for words in shown for target in words.split()} - targets
    assert unknown == set()


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page.is_dir():
            waiting += page.rglob("*.md")
        elif page.suffix == ".md" and page.exists() and page not in reached:
            reached.add(page)
            waiting += [page.parent / link for link in links(page)]
    assert [page for page in PAGES if page.resolve() not in reached] == []
