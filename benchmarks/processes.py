"""Measurements in a process of its own, so that none leaves its memory to the next."""

import concurrent.futures
import multiprocessing
import resource
import sys


def in_its_own(function, *arguments):
    """Return what a function returns in a new process."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_megabytes():
    """Return the most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kilobytes.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
