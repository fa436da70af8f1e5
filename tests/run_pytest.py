"""Runs pytest on the folders that are named; it is what Bazel runs."""

import os
import sys

import pytest

from tests import module_graph

if __name__ == '__main__':
  os.chdir(module_graph.ROOT)
  sys.exit(pytest.main(sys.argv[1:]))
