"""Ready-made checks for `Setting(check=…)`: each raises ValueError with what is wrong. Pure: no I/O."""

from collections.abc import Callable, Sized

__all__ = ["at_least", "between", "not_empty"]


def at_least(low: float) -> Callable[[float], None]:
    """A number not below `low`."""

    def check(value: float) -> None:
        if value < low:
            raise ValueError(f"must be at least {low}")

    return check


def between(low: float, high: float) -> Callable[[float], None]:
    """A number from `low` to `high`, both included."""

    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")

    return check


def not_empty(value: Sized) -> None:
    """A text, list or table with something in it."""
    if not len(value):
        raise ValueError("must not be empty")
