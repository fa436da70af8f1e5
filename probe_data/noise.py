"""Pictures with the spectrum of photographs, but without anything in them.

A control: what a measure still finds on them, it does not owe to content. The
amplitude falls as 1 / frequency, as in natural scenes (Field, 1987), the phases
are random, and most of the contrast is common to the three channels.
"""

import numpy as np

_CONTRAST = 0.2  # Standard deviation over a picture, of values in [0, 1].
_COLOUR = 0.3  # Amplitude of each channel's own part to the common one.


def pictures(
  num_images: int, image_size: tuple[int, int], seed: int = 0
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns pictures, uint8 [num_images, *image_size, 3], and their names.

  Picture i is the same however many there are.
  """
  height, width = image_size
  result = np.empty((num_images, height, width, 3), np.uint8)
  for i, picture in enumerate(result):
    rng = np.random.default_rng([seed, i])
    common, *own = (_field(rng, height, width) for _ in range(4))
    mixed = common[..., None] + _COLOUR * np.stack(own, axis=-1)
    values = 0.5 + _CONTRAST * mixed / np.hypot(1, _COLOUR)
    picture[...] = np.rint(255 * np.clip(values, 0, 1))
  return result, tuple(f'noise {seed}/{i}' for i in range(num_images))


def _field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
  """Returns float64 [height, width] of mean 0 and standard deviation 1."""
  white = np.fft.rfft2(rng.normal(size=(height, width)))
  frequency = np.hypot(
    np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
  )
  frequency[0, 0] = np.inf  # No constant part.
  field = np.fft.irfft2(white / frequency, s=(height, width))
  return field / (field.std() or 1.0)
