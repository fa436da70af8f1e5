"""Tests of what is found in networks that nobody has described."""

import json
import os

from absl.testing import absltest, parameterized
from google.protobuf import text_format
import numpy as np
import tensorflow as tf

from attribution import explainer as explainers
import frozen_graphs
from frozen_graphs.errors import GraphError
from taskonomy_models import bank as banks
from taskonomy_models import proposal as proposals
from taskonomy_models import proposal_text
from tests import inspection_testing, testing


class KindsTest(parameterized.TestCase):
  """Each kind of network, with the answers known from how it was built."""

  # Network, input, representation, its shape, preprocessing.
  @parameterized.named_parameters(
    ('a_classifier', 'classifier', 'input', 'features', (4, 4, 16),
     'resize(32) | range(0, 1)'),
    ('a_classifier_that_flattens', 'flattening_classifier', 'input', 'features',
     (4, 6, 16), 'resize(32, 48) | range(0, 255)'),
    ('a_u_net', 'u_net', 'input', 'features', (8, 8, 16),
     'resize(32) | range(0, 1)'),
    ('transposed_convolutions', 'transposing_u_net', 'input', 'features',
     (32, 32, 16), 'resize(256) | range(0, 1)'),
    ('a_pyramid', 'pyramid_detector', 'input', 'features', (4, 4, 24),
     'resize(64) | range(0, 1)'),
    ('a_pyramid_that_copies', 'copying_pyramid', 'input', 'features',
     (4, 4, 24), 'resize(64) | range(0, 1)'),
    ('channels_first', 'channels_first', 'input', None, (16, 4, 5),
     'resize(32, 40) | range(0, 1) | channels_first'),
    ('a_fixed_batch_of_grey_images', 'fixed_batch', 'input', 'features',
     (4, 4, 16), 'resize(32) | grayscale | range(0, 1)'),
    ('images_of_bytes', 'byte_images', 'floats', 'features', (4, 4, 16),
     'resize(32) | range(0, 255)'),
    ('a_loop_over_images', 'loop_over_images', None, 'features', (4, 4, 16),
     'resize(32) | range(0, 255)'),
    ('several_inputs_and_outputs', 'several_inputs', 'input', 'features',
     (4, 4, 16), 'resize(32) | range(0, 1)'),
    ('a_transformer', 'transformer', 'input', 'block_2', (17, 16),
     'resize(32) | range(0, 1)'),
    ('dense_layers_only', 'dense_only', 'input', 'features', (12,),
     'resize(8) | range(0, 1)'),
    ('a_default_for_dropout', 'dropout_of_old', 'tower_0/images',
     'tower_0/features', (4, 4, 16), 'resize(32) | range(0, 1)'),
    ('super_resolution', 'super_resolution', 'input', 'features',
     (256, 256, 8), 'resize(256) | range(0, 255)'),
    ('an_encoder_with_taps', 'tapped_encoder', 'input', None, (4, 4, 11),
     'resize(32) | range(0, 1)'),
  )  # fmt: skip
  def test_the_proposal_is_the_known_answer_for(
    self, network, source, representation, shape, preprocessing
  ):
    graph_def = inspection_testing.graph_def_of(
      getattr(inspection_testing, network)
    )
    proposal = proposals.propose(graph_def, name=network)
    if source is not None:
      self.assertEqual(proposal.entry['input'], f'{source}:0')
    if representation is not None:
      self.assertEqual(proposal.entry['representation'], f'{representation}:0')
    self.assertEqual(proposal.entry['preprocessing'], preprocessing)
    with explainers.Explainer(
      graph_def,
      input_tensor=proposal.entry['input'],
      representation_tensor=proposal.entry['representation'],
      preprocessing=proposal.entry['preprocessing'],
      methods=('gradient_times_input', 'elrp'),
      batch_size=1,
    ) as explainer:
      explanation = explainer.explain(testing.images(1, 32))
    self.assertEqual(explanation.representation.shape[1:], shape)
    for maps in explanation.maps.values():
      self.assertTrue(np.isfinite(maps).all())
      self.assertGreater(np.abs(maps).max(), 0)


class ProposalTest(absltest.TestCase):
  def graph_def(self, name='classifier'):
    return inspection_testing.graph_def_of(getattr(inspection_testing, name))

  def test_the_entry_makes_a_bank_that_loads_and_explains(self):
    folder = self.create_tempdir().full_path
    path = os.path.join(folder, 'my net.pb')
    with open(path, 'wb') as file:
      file.write(self.graph_def().SerializeToString())
    proposal = proposals.propose(
      frozen_graphs.load(path), name='my net', source=path
    )
    with open(os.path.join(folder, 'bank.json'), 'w') as file:
      json.dump(proposal_text.bank_of(proposal), file)
    (encoder,) = banks.load(folder).encoders
    self.assertEqual(encoder.name, 'my_net')
    with explainers.Explainer(
      encoder.graph,
      input_tensor=encoder.input_tensor,
      representation_tensor=encoder.representation_tensor,
      preprocessing=encoder.preprocessing,
    ) as explainer:
      explanation = explainer.explain(testing.images(2, 40))
    self.assertEqual(explanation.maps['elrp'].shape, (2, 40, 40, 3))

  def test_a_textual_graph_is_read(self):
    path = self.create_tempfile(
      'graph.pbtxt', text_format.MessageToString(self.graph_def())
    ).full_path
    proposal = proposals.propose(frozen_graphs.load(path), source=path)
    self.assertEqual(proposal.entry['graph'], 'graph.pbtxt')
    self.assertEqual(proposal.entry['representation'], 'features:0')

  def test_text_and_json_tell_the_same(self):
    proposal = proposals.propose(self.graph_def('byte_images'))
    text = proposal_text.as_text(proposal)
    content = json.loads(json.dumps(proposal_text.as_json(proposal)))
    for part in ('features:0', 'GUESS', 'behind input:0', '0..255', 'Relu'):
      self.assertIn(part, text)
    self.assertEqual(content['entry'], dict(proposal.entry))
    self.assertEqual(content['operations']['Conv2D'], 3)

  def test_a_representation_may_be_chosen(self):
    proposal = proposals.propose(self.graph_def(), representation='Relu_1')
    self.assertEqual(proposal.entry['representation'], 'Relu_1:0')
    self.assertLen(proposal.trials, 1)

  def test_attributes_that_are_left_out_have_their_defaults(self):
    graph_def = self.graph_def()
    for node in graph_def.node:  # SavedModels are stored so.
      for name in ('data_format', 'dilations', 'explicit_paddings'):
        node.attr.pop(name, None)
      if node.op == 'Placeholder':
        node.attr['shape'].shape.unknown_rank = True
        del node.attr['shape'].shape.dim[:]
    proposal = proposals.propose(graph_def)
    self.assertEqual(proposal.entry['representation'], 'features:0')

  def test_the_graph_is_not_changed(self):
    graph_def = self.graph_def('byte_images')
    before = graph_def.SerializeToString(deterministic=True)
    proposals.propose(graph_def)
    self.assertEqual(graph_def.SerializeToString(deterministic=True), before)

  def test_an_operation_without_a_rule_is_named_with_the_ways_out(self):
    def build():
      b = inspection_testing.Builder()
      x = b.conv(inspection_testing.placeholder(None, 16, 16, 3), 8, 2)
      tf.cumsum(tf.math.cumprod(x, 3), 3, name='features')

    proposal = proposals.propose(
      inspection_testing.graph_def_of(build), representation='features'
    )
    self.assertEqual(proposal.nonlinear['Cumprod'], 'NO RULE')
    self.assertIn('register_activation', proposal.no_rule)

  def test_a_candidate_that_gets_no_map_gives_way_to_the_next(self):
    def build():
      b = inspection_testing.Builder()
      x = b.conv(inspection_testing.placeholder(None, 16, 16, 3), 8, 2)
      x = tf.nn.relu(tf.identity(x), name='features')
      tf.nn.relu(b.conv(x, 8, relu=False) * 0 - 1, name='dead')

    proposal = proposals.propose(inspection_testing.graph_def_of(build))
    self.assertEqual(proposal.trials[0].tensor, 'dead:0')
    self.assertEqual(
      set(proposal.trials[0].outcomes.values()), {'the map is zero'}
    )
    self.assertNotEqual(proposal.entry['representation'], 'dead:0')

  def test_a_graph_without_images_is_refused_with_the_reason(self):
    def vectors():
      b = inspection_testing.Builder()
      b.dense(inspection_testing.placeholder(None, 10), 3)

    def nothing():
      tf.constant(1.0)

    with self.assertRaisesRegex(GraphError, 'images need 4 dimensions'):
      proposals.propose(inspection_testing.graph_def_of(vectors))
    with self.assertRaisesRegex(GraphError, 'there is no Placeholder'):
      proposals.propose(inspection_testing.graph_def_of(nothing))

  def test_files_that_are_no_networks_are_refused(self):
    folder = self.create_tempdir().full_path
    with self.assertRaisesRegex(FileNotFoundError, 'no file'):
      frozen_graphs.load(os.path.join(folder, 'missing.pb'))
    with self.assertRaisesRegex(GraphError, 'no format that is known'):
      frozen_graphs.load(folder)


if __name__ == '__main__':
  absltest.main()
