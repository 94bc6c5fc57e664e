"""Measurements of pollwise against its peers; each module is a command, see README.md."""
