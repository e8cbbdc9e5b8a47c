"""Patterns of account names and the like, in which {id} stands for the id of the user.

    user_{id}         user_7
    user_{id:06d}     user_000007: anything that Python's format knows for whole numbers
    user_{id:%100}    user_1 to user_100, over and over: user 107 is user_7
    user_{id:%100:03d}   both

Pure: no I/O.
"""

__all__ = ["check_pattern", "fill"]


class _Id(int):
    """An id that can be counted round: `%100` in a format comes before anything else in it."""

    def __format__(self, spec: str) -> str:
        value = int(self)
        if spec.startswith("%"):
            count, _, spec = spec[1:].partition(":")
            if not (count.isascii() and count.isdigit() and int(count) > 0):
                raise ValueError(f"{{id:%{count}}}: a number from 1 on has to follow the %, as in {{id:%100}}")
            value = (value - 1) % int(count) + 1
        return format(value, spec)


def fill(pattern: str, user_id: int) -> str:
    """The pattern for one user."""
    return pattern.format(id=user_id if "%" not in pattern else _Id(user_id))


def check_pattern(pattern: str) -> None:
    """Raises ValueError unless the pattern can be filled."""
    try:
        fill(pattern, 1)
    except (LookupError, AttributeError) as error:
        raise ValueError("only {id} can stand in braces; write {{ for a brace") from error
    except ValueError as error:
        reason = str(error) if str(error).startswith("{id:%") else "write {id}, {id:06d}, {id:%100}; {{ for a brace"
        raise ValueError(reason) from error
