"""What each of the 20 tasks is on the scenes of the mini bank.

Pictures reach a network through its preprocessing T alone, in training as in
attribution. denoise is trained on noisy pictures, but probed on clean ones,
as Taskonomy's own demo does.
"""

import dataclasses

PLAIN = 'range(-1, 1)'
LIGHTNESS = 'lightness | range(-1, 1)'
MASKED = 'range(-1, 1) | mask_center(0.5)'


@dataclasses.dataclass(frozen=True)
class MiniTask:
  """How a task is learned.

  Attributes:
    name: Canonical name.
    outputs: Numbers for each pixel of a dense task, or for each picture.
    dense: Whether there is an output for each pixel.
    classes: Whether the outputs are logits (cross-entropy); otherwise they
      are regressed (squared error of standardised labels).
    preprocessing: T, from pictures in [0, 1] to the network's input.
    noise: Standard deviation of the input's noise that belongs to the task.
    masked: Whether only the central square counts in the loss.
  """

  name: str
  outputs: int
  dense: bool = True
  classes: bool = False
  preprocessing: str = PLAIN
  noise: float = 0.0
  masked: bool = False


MINI_TASKS = {
  task.name: task
  for task in (
    MiniTask('autoencoder', 3),
    MiniTask('curvature', 2),
    MiniTask('denoise', 3, noise=0.25),
    MiniTask('edge2d', 1),
    MiniTask('edge3d', 1),
    MiniTask('keypoint2d', 1),
    MiniTask('keypoint3d', 1),
    MiniTask('colorization', 2, preprocessing=LIGHTNESS),
    MiniTask('reshade', 1),
    MiniTask('rgb2depth', 1),
    MiniTask('rgb2mist', 1),
    MiniTask('rgb2sfnorm', 3),
    MiniTask('room_layout', 9, dense=False),
    MiniTask('segment25d', 4),
    MiniTask('segment2d', 4),
    MiniTask('vanishing_point', 3, dense=False),
    MiniTask('segmentsemantic', 17, classes=True),
    MiniTask('class_1000', 11, dense=False, classes=True),
    MiniTask('class_places', 6, dense=False, classes=True),
    MiniTask('inpainting_whole', 3, preprocessing=MASKED, masked=True),
  )
}
