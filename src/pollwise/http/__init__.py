"""The only package that sends requests: aiohttp, content codings and credentials."""
