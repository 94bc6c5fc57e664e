"""asyncio drives the core: watches, their dispatcher and its pollers."""
