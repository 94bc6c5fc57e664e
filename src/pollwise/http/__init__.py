"""The only wing that sends: aiohttp, content codings and credentials."""
