"""Furniture made of boxes, spheres and upright cylinders."""

from collections.abc import Callable

import numpy as np

from probe_data import raycast
from toolkit_basics.registry import Registry

# Shape, centre and half extents, metres.
Part = tuple[int, tuple[float, float, float], tuple[float, float, float]]

# From a function that draws a number between two to the parts of an object,
# which stands at the origin and faces its own +x.
_PIECES: Registry[Callable[[Callable[[float, float], float]], list[Part]]] = (
  Registry('piece of furniture')
)
_piece = _PIECES.register


def draw_parts(rng: np.random.Generator, label: str) -> list[Part]:
  """Returns the parts of an object of a class, at the origin, facing +x."""
  return _PIECES.get(label)(rng.uniform)


def _box(x, y, z, half_x, half_y, half_z):
  return raycast.BOX, (x, y, z), (half_x, half_y, half_z)


def _sphere(x, y, z, radius):
  return raycast.SPHERE, (x, y, z), (radius, radius, radius)


def _cylinder(x, y, z, radius, half_z):
  return raycast.CYLINDER, (x, y, z), (radius, radius, half_z)


@_piece('bed')
def _bed(u):
  length, width, height = u(0.9, 1.05), u(0.5, 0.9), u(0.2, 0.3)
  return [
    _box(0, 0, height, length, width, height),
    _box(-length, 0, u(0.4, 0.6), 0.05, width, 0.6),
    _box(-length * 0.7, 0, 2 * height + 0.07, 0.2, width * 0.7, 0.07),
  ]


@_piece('sofa')
def _sofa(u):
  depth, width, height = u(0.35, 0.45), u(0.7, 1.1), u(0.18, 0.24)
  return [
    _box(0, 0, height, depth, width, height),
    _box(-depth, 0, 0.42, 0.12, width, 0.42),
    _box(0, width, 0.3, depth, 0.1, 0.3),
    _box(0, -width, 0.3, depth, 0.1, 0.3),
  ]


@_piece('table')
def _table(u):
  height, depth, width = u(0.35, 0.4), u(0.35, 0.5), u(0.5, 0.9)
  legs = [
    _cylinder(x * depth * 0.9, y * width * 0.9, height, 0.035, height)
    for x in (-1, 1)
    for y in (-1, 1)
  ]
  return [_box(0, 0, 2 * height, depth, width, 0.03), *legs]


@_piece('chair')
def _chair(u):
  seat, half = u(0.2, 0.24), u(0.2, 0.25)
  return [
    _box(0, 0, 2 * seat, half, half, 0.03),
    _cylinder(0, 0, seat, 0.05, seat),
    _box(-half, 0, 2 * seat + 0.25, 0.03, half, 0.25),
  ]


@_piece('cabinet')
def _cabinet(u):
  half_z, width = u(0.4, 0.95), u(0.35, 0.7)
  return [
    _box(0, 0, half_z, 0.27, width, half_z),
    _sphere(0.29, 0.08, half_z, 0.04),
    _sphere(0.29, -0.08, half_z, 0.04),
  ]


@_piece('bookshelf')
def _bookshelf(u):
  half_z = u(0.7, 1.0)
  return [_box(0, 0, half_z, 0.16, u(0.35, 0.6), half_z)]


@_piece('lamp')
def _lamp(u):
  half_z = u(0.55, 0.75)
  return [
    _cylinder(0, 0, half_z, 0.03, half_z),
    _sphere(0, 0, 2 * half_z, u(0.15, 0.22)),
  ]


@_piece('plant')
def _plant(u):
  pot, radius = u(0.12, 0.2), u(0.22, 0.4)
  return [
    _cylinder(0, 0, pot, 0.15, pot),
    _sphere(0, 0, 2 * pot + radius * 0.9, radius),
    _sphere(0.1, 0.1, 2 * pot + radius * 1.7, radius * 0.6),
  ]


@_piece('ball')
def _ball(u):
  radius = u(0.15, 0.35)
  return [_sphere(0, 0, radius, radius)]


@_piece('sink')
def _sink(u):
  half_z = u(0.3, 0.38)
  return [
    _cylinder(0, 0, half_z, 0.12, half_z),
    _box(0, 0, 2 * half_z + 0.06, 0.25, u(0.25, 0.4), 0.08),
  ]


CLASSES = _PIECES.names()
