"""What is wrong with a scenario. Pure: no I/O."""

from amoc.errors import BadInput

__all__ = ["ScenarioError"]


class ScenarioError(BadInput):
    """A scenario cannot be found, does not load, or does not keep the contract; nothing was started."""
