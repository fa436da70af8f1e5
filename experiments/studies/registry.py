"""Studies by name, in the order of the paper."""

from collections.abc import Callable
import dataclasses
import importlib
import pathlib

from experiments.study import Finding, Study
from toolkit_basics.registry import Registry

# Module in this package: title, and where in the paper or its reviews. The
# modules are imported when they are asked for: each brings its own figures.
_TEXTS = {
  'map_grids': (
    'Attribution maps by networks and methods',
    'Figure 2 and section 4.2.1',
  ),
  'similarity_matrices': (
    'Attribution against SVCCA, matrix against matrix',
    'Figure 3 and section 4.2.2: Pearson 0.939, Spearman 0.660',
  ),
  'precision_recall': (
    'P@K and R@K of all measures on all probe sets',
    'Figure 4 and section 4.2.3: P@3 about 85 % on COCO; the curves that the '
    'authors released show 76 %',
  ),
  'second_group': (
    'Networks without an oracle: two similarities, two trees',
    'Figure 5 and section 4.3',
  ),
  'merged_groups': (
    'Two banks in one space',
    'Section 4.3: the tasks of both groups in one model space',
  ),
  'efficiency': (
    'What attribution costs',
    'Section 3.4: E N (T - 1) / M',
  ),
  'probe_size': (
    'How many probe images are enough',
    'Section 3.3: a model is a point for a set of probe images',
  ),
  'direct_comparison': (
    'Affinity against the symmetrised oracle',
    'Reviewer 4, point 1',
  ),
  'symmetry': (
    'What a symmetric matrix can lose',
    'Reviewer 4, point 3',
  ),
  'layers': (
    'Which layer to explain',
    'Rebuttal: maps from other layers',
  ),
  'bad_cases': (
    'Targets that are ranked badly',
    'Rebuttal, reviewer 2: class_places is poorly predicted',
  ),
  'remedies': (
    'What helps outside the protocol of the paper',
    'Not in the paper: attribution loses to similarities of representations',
  ),
  'quantisation': (
    'Affinities from maps of few bits',
    "Rebuttal, reviewer 1: Spearman's correlation with the 32-bit affinity is "
    '0.56, 0.71, 0.85, 0.96, 0.99 for 1, 2, 4, 8, 16 bits',
  ),
  'pixels': (
    'Do maps look at the pixels that matter for the task?',
    'Reviewer 4, point 4, and the rebuttal: deeper layers focus more on them',
  ),
  'textures': (
    'Scenes with textures from none to dense',
    'Section 4.2.3: complex textures may disentangle attributions',
  ),
}


@dataclasses.dataclass(frozen=True)
class Entry:
  """A study.

  Attributes:
    name: Of its module, its command and its folder.
    title: For people.
    source: What of the paper it answers to.
  """

  name: str
  title: str
  source: str

  @property
  def function(self) -> Callable[[Study, pathlib.Path], Finding]:
    return importlib.import_module(f'experiments.studies.{self.name}').conduct


_STUDIES: Registry[Entry] = Registry('study')
for _name, _texts in _TEXTS.items():
  _STUDIES.register(_name)(Entry(_name, *_texts))
names = _STUDIES.names
get = _STUDIES.get
