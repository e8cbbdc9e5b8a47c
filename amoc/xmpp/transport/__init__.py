"""Moving bytes: asyncio connections around a sans-IO stream. Imports nothing of amoc but the core."""
