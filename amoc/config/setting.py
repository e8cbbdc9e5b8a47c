"""One declared setting: its name, type, default, description, check. Pure: no I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from amoc.config.convert import check_type, convert, describe, from_text, show, type_name
from amoc.config.errors import ConfigError

__all__ = ["HIDDEN", "UNSET", "Setting"]

HIDDEN = "***"  # what is shown instead of a secret's value


@final
class Unset:
    """The type of UNSET: no value, as opposed to the value None."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as it is declared, once, by amoc, by one of its packages or by a scenario.

    `type` is int, float, bool, str, `Count`, `list[…]`, `dict[str, …]`, `Literal[…]` or `X | None`.
    `default` UNSET means that `get` fails until a value is given.
    `check(value)` raises ValueError(text), or returns False, when a value of the right type is unacceptable.
    `change` says whether it may change while a test runs, or only between tests.
    A `secret` value is never shown, neither by `all()` nor in an error.
    Raises ConfigError when the declaration itself is wrong, the default included.
    """

    name: str
    type: Any = str
    default: Any = UNSET
    doc: str = field(default="", compare=False)
    check: Callable[[Any], object] | None = field(default=None, compare=False)
    change: Literal["live", "restart"] = "live"
    secret: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ConfigError(f"setting {show(self.name)}: the name must be an identifier, such as 'rounds'")
        try:
            check_type(self.type)
            if self.change not in ("live", "restart"):
                raise ValueError(f"change must be 'live' or 'restart', not {show(self.change)}")
            if not isinstance(self.doc, str):
                raise ValueError(f"doc must be text, not {show(self.doc)}")
            if self.check is not None and not callable(self.check):
                raise ValueError(f"check must be a function, not {show(self.check)}")
        except ValueError as error:
            raise ConfigError(f"setting {self.name}: {error}") from None
        if self.default is not UNSET:
            object.__setattr__(self, "default", self.accept(self.default, "its default"))

    @property
    def type_name(self) -> str:
        """The type as one writes it: `list[str]`."""
        return type_name(self.type)

    def accept(self, value: Any, source: str, *, text: bool = False) -> Any:
        """The value converted and checked; ConfigError names setting, value, source and what was expected.

        `text` says that the value comes from a place that knows only text: the environment.
        """
        try:
            converted = from_text(self.type, value) if text else convert(self.type, value)
        except ValueError as error:
            reason = f"expected {describe(self.type)}" if self.secret else str(error)
            raise ConfigError(f"setting {self.name}: {reason} ({source})") from None
        if refusal := self._refusal(converted):
            shown = HIDDEN if self.secret else show(value)
            raise ConfigError(f"setting {self.name}: {shown} is not acceptable: {refusal} ({source})")
        return converted

    def shown(self, value: Any) -> Any:
        """The value, unless it is a secret."""
        return HIDDEN if self.secret and value not in (UNSET, None, "") else value

    def _refusal(self, value: Any) -> str:
        """Why the check refuses the value; empty when it does not."""
        if self.check is None:
            return ""
        try:
            if self.check(value) is False:
                return "its check says no"
        except ValueError as error:
            return " ".join(str(error).split()) or "its check says no"
        except Exception as error:  # a check is a scenario's code: its own mistake must not look like ours
            return f"its check failed with {type(error).__name__}: {' '.join(str(error).split())}"
        return ""
