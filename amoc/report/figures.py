"""How figures are written for people: counts, rates, times, sizes.

Pure: numbers in, text out.
"""

__all__ = ["clean", "count", "duration", "memory", "milliseconds", "percent", "rate", "sparkline"]

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"


def count(number: float) -> str:
    """`12,345`; a level that is not whole with up to two places."""
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.2f}"


def rate(per_second: float) -> str:
    """Three digits or more: `0.25`, `12.5`, `1,234`; without the unit."""
    return _three_digits(per_second)


def milliseconds(microseconds: float) -> str:
    """µs as ms with three digits or more: `0.012`, `1.23`, `45.6`, `1,234`; without the unit."""
    return _three_digits(microseconds / 1000)


def percent(share: float) -> str:
    """A share (1.0 is all) in percent: never `0 %` for something and never `100 %` for not quite all."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")


def duration(seconds: float) -> str:
    """`8.4 s` below a minute, then `12:34`, then `1:02:03`, then `2 d 01:02:03`."""
    seconds = max(seconds, 0.0)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def memory(octets: float) -> str:
    """Bytes as `123 MiB` or `1.5 GiB`."""
    mebibytes = octets / 2**20
    return f"{mebibytes / 1024:.1f} GiB" if mebibytes >= 1000 else f"{mebibytes:.0f} MiB"


def sparkline(values: list[float], width: int, *, ascii_only: bool = False) -> str:
    """The values as a row of bars, from 0 to the largest; neighbours are averaged to fit `width`."""
    if not values or width < 1:
        return ""
    per_bar = -(-len(values) // width)
    first = len(values) % per_bar  # the newest bar is always a whole one
    groups = [values[:first]] if first else []
    groups += [values[i : i + per_bar] for i in range(first, len(values), per_bar)]
    means = [sum(group) / len(group) for group in groups]
    top = max(means)
    bars = ASCII_BARS if ascii_only else BARS
    if top <= 0:
        return bars[0] * len(means)
    return "".join(bars[min(int(mean / top * len(bars)), len(bars) - 1)] for mean in means)


def clean(text: str) -> str:
    """One line without control characters: what scenarios and servers say may not steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _three_digits(number: float) -> str:
    for limit, places in ((0.9995, 3), (9.995, 2), (99.95, 1)):
        if number < limit:
            return f"{number:.{places}f}" if number else "0"
    return f"{number:,.0f}"
