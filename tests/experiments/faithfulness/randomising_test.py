"""Tests of maps of networks whose weights are randomised."""

import dataclasses

from absl.testing import absltest
import numpy as np

from attribution import methods
from attribution.methods import AttributionMethod
from experiments.faithfulness import looking, randomising
from taskonomy_models.encoder import Encoder
from tests import testing


@dataclasses.dataclass(frozen=True)
class _Blind(AttributionMethod):
  """A method that shows the image itself, whatever the network."""

  name = 'blind'

  def attribute(self, inputs, gradients):
    return inputs


class RandomisingTest(absltest.TestCase):
  def test_stages_go_from_the_representation_to_the_input(self):
    layers = [('a', 'a_bias'), ('b',), ('c',), ('d',), ('e',)]
    found = list(randomising.changes(layers, 2))
    self.assertEqual(
      found,
      [
        ('cascading', 1, ['c', 'd', 'e']),
        ('independent', 1, ['c']),
        ('cascading', 2, ['a', 'a_bias', 'b', 'c', 'd', 'e']),
        ('independent', 2, ['a', 'a_bias']),
      ],
    )
    self.assertLen(list(randomising.changes(layers, 9)), 10)
    self.assertEmpty(list(randomising.changes([], 2)))

  def test_maps_change_unless_the_method_does_not_ask_the_network(self):
    encoder = Encoder(
      'one',
      testing.tiny_graph_def(),
      *('input:0', 'representation:0', 'range(0, 1)', 'One'),
    )
    how = looking.Explaining((*methods.create_all(['gradient']), _Blind()), 4)
    with encoder.load() as network:
      found = randomising.likenesses(
        network,
        encoder,
        testing.images(3),
        randomising.Randomising(stages=2),
        how,
      )
    np.testing.assert_allclose(found['cascading/share'], [0.5, 1])
    np.testing.assert_allclose(found['independent/share'], [0.5, 0.5])
    for way in randomising.WAYS:
      for likeness in randomising.LIKENESSES:
        blind = found[f'{way}/blind/{likeness}']
        np.testing.assert_allclose(blind, np.ones((2, 3)), atol=1e-6)
        changed = found[f'{way}/gradient/{likeness}']
        self.assertEqual(changed.shape, (2, 3))
        self.assertLess(changed.max(), 0.999)


if __name__ == '__main__':
  absltest.main()
