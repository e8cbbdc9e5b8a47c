"""Who the users are: the address and the neighbours of an id, and the rooms that it shares with others."""

from amoc.xmpp.settings import Options

__all__ = ["jid_of", "neighbours", "rooms_of"]


def jid_of(user_id: int) -> str:
    """The bare address of a user: user_7@localhost with the default settings.

    Raises ConfigError when xmpp_accounts_file has no account for that user.
    """
    return Options.read({}).jid(user_id)


def neighbours(user_id: int, distance: int) -> list[int]:
    """The ids up to `distance` below and above `user_id`, without itself, from 1 to the last of xmpp_accounts_file."""
    accounts = Options.read({}).accounts
    last = user_id + distance if accounts is None else min(user_id + distance, len(accounts))
    return [other for other in range(max(1, user_id - distance), last + 1) if other != user_id]


def rooms_of(user_id: int, rooms: int = 10, users: int = 5) -> list[str]:
    """The names of the `rooms` rooms in which a user meets others, at most `users` in each, itself included.

    They are users whose ids are near: in the n-th room of each user the borders between groups lie n ids lower than
    in the first, so that a user does not meet the same ones everywhere. All rooms are full but the first few and the
    last few. Pure: `rooms_of(7, 2, 5)` is ["room-0-1", "room-1-1"] wherever it is called.
    """
    return [f"room-{n}-{(user_id - 1 + n) // users}" for n in range(rooms)]
