"""Pictures to try networks on, where no photograph is at hand."""

import numpy as np


def noise(number: int, side: int) -> np.ndarray:
  """Returns coloured noise with the spectrum of photographs.

  Returns:
    uint8 [number, side, side, 3]; amplitudes fall off as 1 / frequency (Field,
    1987).
  """
  frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side)] * 2))
  frequency[0, 0] = np.inf
  rng = np.random.default_rng(0)
  noise = np.fft.fft2(rng.normal(size=(number, 3, side, side)))
  smooth = np.fft.ifft2(noise / frequency).real
  smooth /= np.maximum(smooth.std(axis=(1, 2, 3), keepdims=True), 1e-9)
  values = 127 + 50 * (0.5 * smooth + smooth.mean(axis=1, keepdims=True))
  return np.clip(values, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
