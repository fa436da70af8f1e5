"""Tests of all packages, one module for each module tested."""
