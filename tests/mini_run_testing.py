"""A run of a part of the mini bank, for tests of what goes on from a run."""

from collections.abc import Sequence
import dataclasses
import os

from experiments import pipeline
from probe_data import probe_sets
from taskonomy_models import bank as banks


def write(folder: str | os.PathLike) -> Sequence[str]:
  """Writes the spaces of a short run, and returns the networks' names."""
  bank = banks.load('mini')
  bank = dataclasses.replace(bank, encoders=bank.encoders[:3])
  probe = probe_sets.load('scenes', num_images=3)
  how = pipeline.Projection(pipeline.method_objects(['elrp']))
  pipeline.project(bank, probe, how, folder)
  return bank.names
