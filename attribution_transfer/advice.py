"""Which network to transfer from."""

from collections.abc import Iterable, Sequence
import os

from attribution_transfer import inputs
from experiments.recommending import labelled, page, running
from experiments.recommending.answer import Recommendation as Recommendation
from experiments.recommending.looks import Looking
from taskonomy_models.bank import Bank
from taskonomy_models.encoder import Encoder

History = str | os.PathLike | Iterable[tuple[str, str, float]]


def recommend(
  bank: Bank | inputs.Path | Sequence[Encoder],
  images: inputs.Images | None = None,
  labels: labelled.GivenLabels | None = None,
  target: str | Encoder | None = None,
  history: History | None = None,
  *,
  train: int = 0,
  label_kind: str | None = None,
  num_images: int = 200,
  num_draws: int = 100,
  twins: int = 5,
  num_source: int = 200,
  batch_size: int = 50,
  seed: int = 0,
  output: str | os.PathLike | None = None,
) -> Recommendation:
  """Returns which network of a bank to transfer from, and how sure that is.

  With labels the networks are scored by them; with a network of the target, by
  how well they predict what it does, or how alike they see the images; with a
  history, by their standing on other targets; with nothing of these the answer
  is that it cannot be told.

  Longer than a screen, for it explains its arguments.

  Args:
    bank: Two networks or more: what `bank` takes, or returns.
    images: Of the target: a folder, a list of files, an array of uint8 [n,
      height, width, 3], or what `images` returns.
    labels: What is to be told of the images: 'folders' if the folder of images
      has a folder for each class; the path of a CSV of file and class or
      number; a mapping of files to it; or an array, or list, of what belongs to
      each image.
    target: The network of the target: its name in the bank, or itself. If its
      graph has a head (`prediction` of `network`), candidates are ranked by how
      well they predict what it does.
    history: Earlier results: the path of a CSV with columns target, network,
      score (more is better), or such tuples.
    train: From how many of the best a readout is really trained, on 70 % of the
      labelled images; 0 or more.
    label_kind: 'classes' or 'numbers', if labels do not tell by themselves.
    num_images: How many images to draw from a source that has more; 3 or more.
    num_draws: How often images are drawn anew, for intervals; 2 or more.
    twins: How many untrained twins each network is compared with; 0 for none.
    num_source: With labels, how many images that the networks were trained on
      are looked at, where these are known (the mini bank); 0 for none.
    batch_size: Images computed at once.
    seed: Of images, draws and twins.
    output: A folder that gets `report.html` and tables; default: none is
      written.

  Returns:
    The answer; `print` shows it. What fails with one network only is said
    there.

  Raises:
    ValueError: If an argument is wrong, or the arguments do not fit each other.
    OSError: If a file cannot be read.
  """
  if images is not None:
    inputs.check_images(images)
  if isinstance(images, str) and os.path.isdir(os.path.expanduser(images)):
    images = os.path.expanduser(images)
  if not isinstance(target, str | Encoder | None):
    raise ValueError(
      f'target must be the name of a network of the bank, or what '
      f'attribution_transfer.network returns, not {target!r:.60}.'
    )
  question = running.Question(
    inputs.bank(bank),
    images,
    labels,
    target,
    None if history is None else labelled.read_history(history),
    target if isinstance(target, str) else None,
  )
  settings = {
    'train': train,
    'num_images': num_images,
    'num_draws': num_draws,
    'twins': twins,
    'num_source': num_source,
    'seed': seed,
  }
  inputs.check_numbers(
    {**settings, 'batch_size': batch_size},
    num_images=3,
    num_draws=2,
    batch_size=1,
  )
  if output is not None:
    output = inputs.folder(output, 'output')
  way = running.Way(
    num_images=num_images,
    label_kind=label_kind,
    train=train,
    num_draws=num_draws,
    num_source=num_source,
    looking=Looking(num_twins=twins, batch_size=batch_size, seed=seed),
    seed=seed,
  )
  found = running.recommend(question, way)
  if output is None or found.decision is None:
    return found
  return page.write(found, output, settings)
