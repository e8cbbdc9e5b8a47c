"""Users that do nothing but exist: what a user without a connection costs."""

import asyncio


async def start(user_id: int) -> None:
    """Wait to be removed."""
    await asyncio.Event().wait()
