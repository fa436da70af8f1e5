"""Tests of reading the description of a Keras 2 model."""

from absl.testing import absltest, parameterized

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.keras import config as keras_config
from frozen_graphs.formats.keras.config import Entry

_MODEL = {'class_name': 'Functional', 'config': {'layers': []}}


class KerasConfigTest(parameterized.TestCase):
  @parameterized.parameters(
    {'keras_version': '2.10.0', 'model_config': _MODEL},
    {'model_config': _MODEL},
    {**_MODEL, 'keras_version': 'tfjs-layers 3.18.0'},
    _MODEL,
  )
  def test_model_as_either_converter_or_runtime_stores_it(self, **topology):
    self.assertEqual(
      keras_config.described_model(topology), ('Functional', {'layers': []})
    )

  @parameterized.parameters(
    ({'keras_version': '3.4.1', 'model_config': _MODEL}, 'tf-keras'),
    ({'class_name': 'Graph', 'config': {}}, "'Graph'"),
    ({'class_name': 'Functional'}, "'config'"),
    ({'model_config': 3}, "'class_name'"),
    ({}, "'class_name'"),
  )
  def test_what_is_no_model(self, topology, fragment):
    with self.assertRaisesRegex(GraphError, fragment):
      keras_config.described_model(topology)

  @parameterized.parameters(
    ([], []),
    (['a', 0, 1], [('a', 0, 1)]),
    ([['a', 0, 1]], [('a', 0, 1)]),
    ([['a', 0, 1, {}], ['b', 2, 0, {}]], [('a', 0, 1), ('b', 2, 0)]),
    ([['a', 0, 0, {'training': False, 'mask': None}]], [('a', 0, 0)]),
  )
  def test_tensors_that_are_named(self, described, expected):
    self.assertEqual(keras_config.references(described), expected)

  @parameterized.parameters(
    (None,),
    ({'args': []},),
    ([['a', 0]],),
    ([['a', '0', 0]],),
    ([['a', True, 0]],),
    ([[0, 0, 0]],),
    ([['a', 0, 0, {'training': True}]],),
    ([['a', 0, 0, {'y': ['b', 0, 0]}]],),
    ([['a', 0, 0, 3]],),
  )
  def test_what_names_no_tensor(self, described):
    with self.assertRaisesRegex(GraphError, 'names no tensor'):
      keras_config.references(described)

  def test_layers_take_their_name_from_their_options_if_need_be(self):
    described = [
      {'class_name': 'ReLU', 'config': {'name': 'first'}},
      {'class_name': 'ReLU', 'config': {}, 'name': 'second'},
      {'class_name': 'Sequential', 'config': [], 'inbound_nodes': [[]]},
    ]
    self.assertEqual(
      list(keras_config.entries(described)),
      [
        Entry('first', 'ReLU', {'name': 'first'}, []),
        Entry('second', 'ReLU', {}, []),
        Entry('Sequential', 'Sequential', [], [[]]),
      ],
    )

  @parameterized.parameters(
    (3, 'not a list'),
    ([3], 'class_name'),
    ([{'class_name': 'ReLU'}], "'config'"),
    ([{'class_name': 'ReLU', 'config': [], 'name': 'a'}], "'a'"),
    ([{'class_name': 4, 'config': {}, 'name': 'a'}], 'class 4'),
    ([{'class_name': 'ReLU', 'config': {}, 'name': 5}], 'name 5'),
    ([{'class_name': 'ReLU', 'config': {}, 'inbound_nodes': 7}], 'inputs 7'),
  )
  def test_what_are_no_layers(self, described, fragment):
    with self.assertRaisesRegex(GraphError, fragment):
      list(keras_config.entries(described))


if __name__ == '__main__':
  absltest.main()
