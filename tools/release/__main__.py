"""`python -m tools.release [--target TARGET …]`: what `make rel` calls."""

import argparse
import json
import sys
from pathlib import Path

from amoc.errors import AmocError, BadInput
from tools.release.build import build
from tools.release.config import render
from tools.release.targets import Target, fewest, read_target

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Build a release; its path is the one line of standard output."""
    parser = argparse.ArgumentParser(prog="make rel", description="Build a self-contained release of amoc.")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="TARGET",
        help="what it is for, such as cp311-manylinux_2_36_x86_64; several times; this machine if left out",
    )
    parser.add_argument(
        "--also-before",
        action="store_true",
        help="and for what the release before was built for: a host that is away just now gets the same one later",
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "_rel", help="where it is written (_rel)")
    arguments = parser.parse_args()
    try:
        wanted = [*arguments.target, *(_targets_before(arguments.folder) if arguments.also_before else [])]
        targets = fewest(map(read_target, wanted)) or [_this_one()]
        arguments.folder.mkdir(parents=True, exist_ok=True)
        path = build(ROOT, render(ROOT), targets, arguments.folder, _say)
    except AmocError as error:
        _say(" ".join(str(error).split()))
        return 2 if isinstance(error, BadInput) else 1
    _say(f"for {'; '.join(target.for_people for target in targets)}")
    print(path)
    return 0


def _targets_before(folder: Path) -> list[str]:
    """The targets of the release that is in `folder`."""
    try:
        targets: list[str] = json.loads((folder / "RELEASE").read_bytes())["targets"]
    except (OSError, ValueError, KeyError):
        return []
    return targets


def _this_one() -> Target:
    """The target that this machine is, as the release's own installer says it."""
    sys.path.insert(0, str(Path(__file__).parent / "files" / "lib"))
    from install import here  # type: ignore[import-not-found]  # found by the line above

    return read_target(here())


def _say(text: str) -> None:
    print(f"make rel: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
