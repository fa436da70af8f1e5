"""All methods that rank what to transfer, and what each does without.

The columns are those of a table in the talk on TransRate (Huang et al., ICML
2022): free of the source's data, of training on the target, of optimisation;
usable for models trained without labels, and to select a layer. Label-based
measures are listed as their registry describes them; methods that take more
than one network's features and labels are described here. A question mark says
that it is not known.
"""

import dataclasses

from transferability import measures
from transferability.measures import Measure

YES, NO, UNKNOWN = 'yes', 'no', '?'
NOT_IMPLEMENTED = 'not implemented'

COLUMNS = (
  'measure',
  'needs',
  'direction',
  'cost',
  'reference',
  'free of source data',
  'free of training on target',
  'free of optimisation',
  'unsupervised models',
  'layer selection',
  'where',
)


@dataclasses.dataclass(frozen=True)
class Method:
  """A row of the table; its fields are the columns, in their order."""

  name: str
  needs: str
  direction: str
  cost: str
  reference: str
  source_free: str
  training_free: str
  optimisation_free: str
  unsupervised: str
  layer_selection: str
  where: str


# Methods that fit a head on the target's labels, however small.
_TRAINED = {'pactran': 'no, a linear head'}

_OTHERS = (
  Method(
    'Attribution maps',
    'a network trained on the target; unlabelled images',
    'higher affinity',
    'a forward and a backward pass an image and network; O(T^2 N W H)',
    'Song et al., NeurIPS 2019',
    YES,
    'no, a network for the target',
    YES,
    YES,
    YES,
    '`transferability/model_space.py`',
  ),
  Method(
    'Taskonomy',
    'labels of all tasks; a transfer trained for each pair, ordered by AHP; '
    'sources chosen for a budget of labels by an integer program',
    'higher affinity',
    'T (T - 1) trainings',
    'Zamir et al., CVPR 2018',
    NO,
    NO,
    NO,
    YES,
    NO,
    "`experiments/transfers.py` (the mini bank's), "
    '`transferability/oracle.py`, `transferability/source_selection.py`',
  ),
  Method(
    'Task2Vec',
    "labels of both tasks; a probe network's head trained for each",
    'lower distance',
    'a training of a head a task; O(d) a pair',
    'Achille et al., ICCV 2019, arXiv 1902.03545',
    NO,
    NO,
    NO,
    YES,
    NO,
    '`transferability/similarity/task2vec.py`, of the last filters or of given '
    'gradients',
  ),
  Method(
    'RSA',
    'a network trained on the target; unlabelled images',
    'higher',
    'O(n^2 d) a network, O(n^2 log n) a pair',
    'Dwivedi and Roig, CVPR 2019, arXiv 1904.11740',
    YES,
    'no, a network for the target',
    YES,
    YES,
    YES,
    '[`rsa`](similarity.md)',
  ),
  Method(
    'DEPARA',
    'a network trained on the target; unlabelled images',
    'higher',
    'attribution maps, and O(n^2 d) a network, O(n^2 log n) a pair',
    'Song et al., CVPR 2020, arXiv 2003.07496',
    YES,
    'no, a network for the target',
    YES,
    YES,
    YES,
    '[`depara_edge`, `depara`](similarity.md)',
  ),
  Method(
    'DS',
    "images of both domains, one network's features of them; the earth "
    "mover's distance of class means",
    'higher',
    UNKNOWN,
    'Cui et al., CVPR 2018',
    NO,
    YES,
    NO,
    NO,
    NO,
    NOT_IMPLEMENTED,
  ),
  Method(
    'Zhang et al.',
    'data of the source domains; a classifier that is worst for one of them is '
    'looked for. Taken to be "Quantifying and Improving Transferability in '
    'Domain Generalization"',
    UNKNOWN,
    UNKNOWN,
    'NeurIPS 2021',
    NO,
    NO,
    NO,
    UNKNOWN,
    UNKNOWN,
    NOT_IMPLEMENTED,
  ),
  Method(
    'Tong et al.',
    'data of the source tasks, and weights of them that are best together. '
    'Taken to be "A Mathematical Framework for Quantifying Transferability in '
    'Multi-source Transfer Learning"',
    UNKNOWN,
    UNKNOWN,
    'NeurIPS 2021',
    NO,
    UNKNOWN,
    NO,
    UNKNOWN,
    NO,
    NOT_IMPLEMENTED,
  ),
)


def _of_measure(measure: Measure) -> Method:
  """Returns the row of a measure, filled in from what it takes and does."""
  from_features = YES if 'source_probs' not in measure.needs else NO
  return Method(
    f'`{measure.name}`',
    ', '.join(measure.needs),
    'higher' if measure.higher_is_better else 'lower',
    measure.cost,
    measure.reference,
    YES,  # No measure takes what the source was trained on.
    _TRAINED.get(measure.name, YES),
    YES if measure.optimisation_free else NO,
    from_features,
    from_features,
    '`transferability.measures`',
  )


def methods() -> tuple[Method, ...]:
  """Returns all methods: label-based measures by name, then the others."""
  own = [_of_measure(measures.info(name)) for name in measures.names()]
  return (*own, *_OTHERS)


def markdown() -> str:
  """Returns the table of `docs/measures.md`."""
  rows = [COLUMNS, ('---',) * len(COLUMNS)]
  rows += [dataclasses.astuple(method) for method in methods()]
  return ''.join(f'| {" | ".join(row)} |\n' for row in rows)
