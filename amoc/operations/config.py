"""`config.*`: settings looked up and changed; what the console calls `amoc_config`."""

from typing import Any

from amoc.operations.context import Context
from amoc.operations.operation import operation

__all__: list[str] = []


class _Missing:
    """Stands for a default that was not given."""

    def __repr__(self) -> str:
        return "<none>"


_MISSING: Any = _Missing()


@operation("config.get")
async def get(context: Context, name: str, default: Any = _MISSING) -> Any:
    """The value of setting `name`; without a value, `default`, or an error if none is given. A secret is `***`.

    Example: amoc_config.get("interarrival")
    """
    if default is _MISSING:
        return context.master.setting(name)
    return context.master.setting(name, default)


@operation("config.set", changes=True)
async def set(context: Context, name: str, value: Any) -> Any:
    """Set `name` to `value`, at once also in a running test; returns `name` with the value now in force.

    The environment wins over a value set here: the reply then still shows the environment's.
    Errors: unknown name, wrong type, a value that is refused, one that cannot change while a test runs.

    Example: amoc_config.set("interarrival", 10)
    """
    return await context.master.set_settings({name: value})


@operation("config.unset", changes=True)
async def unset(context: Context, name: str) -> Any:
    """Take back what was set at run time for `name`; returns the value now in force.

    Example: amoc_config.unset("interarrival")
    """
    return await context.master.unset_setting(name)


@operation("config.all")
async def all(context: Context) -> Any:
    """Every declared setting with its value, where the value comes from, its default and its meaning.

    Example: amoc_config.all()
    """
    return context.master.settings()
