"""Tests of TensorFlow 1's checkpoints, against the sessions that wrote them."""

import os
import pathlib
import shutil

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs import graph
from frozen_graphs.errors import GraphError
from frozen_graphs.formats import checkpoint
from tests import format_testing

v1 = tf.compat.v1
_FEATURES = 'encoder/top/features:0'


def _variable(name, *shape, **options) -> tf.Tensor:
  initializer = v1.random_normal_initializer(0, 0.4, seed=1)
  return v1.get_variable(name, shape, initializer=initializer, **options)


def _normalised(x: tf.Tensor, is_training) -> tf.Tensor:
  """Batch normalization as networks of TensorFlow 1 spell it."""
  mean = v1.get_variable('mean', initializer=np.full(4, 0.2, np.float32))
  variance = v1.get_variable('variance', initializer=np.full(4, 3, np.float32))
  batch = tf.nn.moments(x, [0, 1, 2])

  def in_training():
    updates = [
      v1.assign(old, 0.9 * old + 0.1 * new)
      for old, new in zip((mean, variance), batch, strict=True)
    ]
    with tf.control_dependencies(updates):
      return [tf.identity(each) for each in batch]

  moments = tf.cond(is_training, in_training, lambda: [mean, variance])
  return (x - moments[0]) * tf.math.rsqrt(moments[1] + 1e-3)


def _network(image: tf.Tensor, is_training, **options) -> tf.Tensor:
  with v1.variable_scope('encoder'):
    kernel = _variable('first', 3, 3, 3, 4, **options)
    x = tf.nn.conv2d(image, kernel, 1, 'SAME')
    x = tf.nn.relu(_normalised(x, is_training), name='stem/features')
    x = tf.cond(is_training, lambda: tf.nn.dropout(x, rate=0.5), lambda: x)
    kernel = _variable('second', 3, 3, 4, 6, **options)
    x = tf.nn.conv2d(x, kernel, 2, 'SAME')
    return tf.nn.elu(x, name='top/features')


def _train(features: tf.Tensor) -> tf.Operation:
  loss = tf.reduce_mean(tf.square(features - 1.0), name='loss')
  v1.summary.scalar('loss', loss)
  step = v1.train.get_or_create_global_step()
  return v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, step)


class CheckpointTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.images = format_testing.images()

  def _trained(self, session) -> str:
    """Takes two steps of training, and returns what the saver wrote."""
    step = session.graph.get_operation_by_name('Momentum')
    session.run(v1.global_variables_initializer())
    for _ in range(2):
      session.run(step, self._fed)
    saver = v1.train.Saver()
    return saver.save(session, os.fspath(self.folder / 'model.ckpt'), 2)

  def _written(self, from_files=False, is_training=None, **options):
    """Writes a checkpoint, and returns what its session computes then."""
    with v1.Graph().as_default() as graph, v1.Session() as session:
      if is_training is None:
        is_training = v1.placeholder_with_default(False, [], 'is_training')
      if from_files:
        data = tf.data.Dataset.from_tensors(self.images).repeat()
        image = v1.data.make_one_shot_iterator(data).get_next()
      else:
        image = v1.placeholder(tf.float32, [None, None, None, 3], 'image')
      self._fed = {} if from_files else {image: self.images}
      features = _network(image, is_training, **options)
      _train(features)
      self.prefix = self._trained(session)
      weights = np.random.default_rng(7).normal(size=(3, 8, 8, 6))
      gradient = tf.gradients(
        tf.reduce_sum(features * weights.astype(np.float32)), image
      )[0]
      self.names = [node.name for node in graph.as_graph_def().node]
      return session.run((features, gradient), {image: self.images})

  def _assert_same(self, network, expected) -> None:
    actual = format_testing.run(network, self.images, _FEATURES)
    format_testing.assert_same(actual, expected)

  @parameterized.parameters(True, False)
  def test_training_graph_computes_what_its_session_does(self, use_resource):
    expected = self._written(use_resource=use_resource)
    network = checkpoint.load(self.prefix)
    self.assertEqual(network.inputs[0], 'image:0')
    self._assert_same(network, expected)
    kept = {node.op for node in network.graph_def.node}
    self.assertNoCommonElements(
      kept,
      {'SaveV2', 'RestoreV2', 'ApplyMomentum', 'ResourceApplyMomentum', 'If'},
    )

  def test_old_control_flow_is_folded_as_well(self):
    self.addCleanup(v1.enable_control_flow_v2)
    v1.disable_control_flow_v2()
    expected = self._written()
    self.assertTrue(any('Switch' in name for name in self.names))
    self._assert_same(checkpoint.load(self.prefix), expected)

  def test_placeholder_for_training_is_made_a_constant(self):
    with v1.Graph().as_default(), v1.Session() as session:
      is_training = v1.placeholder(tf.bool, [], 'is_training')
      image = v1.placeholder(tf.float32, [None, None, None, 3], 'image')
      self._fed = {image: self.images, is_training: False}
      features = _network(image, is_training)
      _train(features)
      self.prefix = self._trained(session)
      value = session.run(features, self._fed)
    network = checkpoint.load(
      self.prefix,
      constants={'is_training': False},
      representation='top/features',
    )
    self.assertEqual(network.inputs, ('image:0',))
    actual, _ = format_testing.run(network, self.images)
    np.testing.assert_allclose(actual, value, 1e-5, 1e-6)

  def test_images_of_an_iterator_become_the_input(self):
    expected = self._written(from_files=True)
    network = checkpoint.load(
      self.prefix, input='IteratorGetNext', representation='top/features'
    )
    self.assertLen(network.inputs, 1)
    self.assertEqual(network.outputs, (_FEATURES,))
    self._assert_same(network, expected)
    kept = {node.op for node in network.graph_def.node}
    self.assertNoCommonElements(kept, {'IteratorGetNext', 'OneShotIterator'})

  def test_partitioned_variables_are_read(self):
    expected = self._written(
      partitioner=v1.fixed_size_partitioner(2, axis=3), use_resource=True
    )
    self.assertTrue(any('part_1' in name for name in self.names))
    self._assert_same(checkpoint.load(self.prefix), expected)

  def test_every_name_of_a_checkpoint_is_recognised(self):
    self._written()
    for source in (
      self.prefix,
      f'{self.prefix}.meta',
      f'{self.prefix}.index',
      f'{self.prefix}.data-00000-of-00001',
      self.folder,
    ):
      self.assertTrue(checkpoint.matches(source), source)
      network = checkpoint.load(source, representation='top/features')
      self.assertEqual(network.outputs, (_FEATURES,))
    self.assertFalse(checkpoint.matches(self.folder / 'other.ckpt'))
    self.assertFalse(checkpoint.matches(self.create_tempdir().full_path))

  def test_graph_may_lie_elsewhere(self):
    self._written()
    moved = os.fspath(self.folder / 'graph.bin')
    shutil.move(f'{self.prefix}.meta', moved)
    network = checkpoint.load(
      self.prefix, meta_graph=moved, representation='top/features'
    )
    self.assertLen(network.outputs, 1)
    with self.assertRaisesRegex(GraphError, r'\.meta is missing.*weights only'):
      checkpoint.load(self.prefix)

  def test_dropout_of_training_is_refused_and_says_why(self):
    with v1.Graph().as_default(), v1.Session() as session:
      image = v1.placeholder(tf.float32, [None, None, None, 3], 'image')
      scale = v1.get_variable('scale', initializer=np.float32(2))
      tf.nn.relu(tf.nn.dropout(image * scale, 0.5), name='features')
      session.run(v1.global_variables_initializer())
      path = os.fspath(self.folder / 'model.ckpt')
      prefix = v1.train.Saver().save(session, path)
    network = checkpoint.load(prefix, representation='features')
    with self.assertRaisesRegex(GraphError, 'random numbers.*training mode'):
      graph.extract(network.graph_def, network.inputs[0], network.outputs[0])

  def test_tensor_that_is_missing_or_not_the_only_one_is_named(self):
    self._written()
    with self.assertRaisesRegex(GraphError, "'absent'"):
      checkpoint.load(self.prefix, representation='absent')
    with self.assertRaisesRegex(GraphError, "'absent'"):
      checkpoint.load(self.prefix, input='absent')
    with self.assertRaisesRegex(
      GraphError, r"2 nodes .*end in 'features'; choo"
    ):
      checkpoint.load(self.prefix, representation='features')
    with self.assertRaisesRegex(GraphError, "'absent'"):
      checkpoint.load(self.prefix, constants={'absent': False})

  def test_checkpoint_of_another_graph_is_refused(self):
    self._written()
    meta = pathlib.Path(f'{self.prefix}.meta').read_bytes()
    with v1.Graph().as_default(), v1.Session() as session:
      v1.get_variable('other', initializer=np.float32(1))
      session.run(v1.global_variables_initializer())
      other = os.fspath(self.folder / 'other.ckpt')
      v1.train.Saver().save(session, other)
    pathlib.Path(f'{other}.meta').write_bytes(meta)
    with self.assertRaisesRegex(GraphError, 'belongs to another graph'):
      checkpoint.load(other)

  @parameterized.parameters('.meta', '.index', '.data-00000-of-00001')
  def test_cut_files_are_one_clear_error(self, suffix):
    self._written()
    path = pathlib.Path(f'{self.prefix}{suffix}')
    content = path.read_bytes()
    for share in (0, 0.3):
      path.write_bytes(content[: int(len(content) * share)])
      with self.assertRaisesRegex(GraphError, 'model.ckpt-2: '):
        checkpoint.load(self.prefix)

  @parameterized.parameters('.index', '.data-00000-of-00001')
  def test_missing_files_are_one_clear_error(self, suffix):
    self._written()
    os.remove(f'{self.prefix}{suffix}')
    with self.assertRaisesRegex(
      GraphError, 'model.ckpt-2: .*(incomplete|No such)'
    ):
      checkpoint.load(f'{self.prefix}.meta')

  def test_path_without_a_checkpoint_is_refused(self):
    with self.assertRaisesRegex(GraphError, 'no checkpoint there'):
      checkpoint.load(self.folder / 'absent')


if __name__ == '__main__':
  absltest.main()
