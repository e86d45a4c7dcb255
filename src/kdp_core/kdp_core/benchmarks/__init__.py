"""Benchmarks: environments, protocols and tables. Every result is a file in long format (``long_format``)."""
