"""The asyncio controller: reconcilers, runner, journal, actions."""
