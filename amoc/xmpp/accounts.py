"""Who the users are: the account, the address and the neighbours of an id."""

from amoc.xmpp.settings import Options

__all__ = ["jid_of", "neighbours"]


def jid_of(user_id: int) -> str:
    """The bare address of a user: user_7@localhost with the default settings."""
    options = Options.read({})
    return f"{options.account(user_id)}@{options.domain}"


def neighbours(user_id: int, distance: int) -> list[int]:
    """The ids up to `distance` below and above `user_id`, from 1 on, without itself."""
    return [other for other in range(max(1, user_id - distance), user_id + distance + 1) if other != user_id]
