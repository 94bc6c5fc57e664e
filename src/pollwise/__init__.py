"""Await the jobs that other people's servers run."""
