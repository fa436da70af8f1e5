"""Tests of SavedModels, against TensorFlow's own loader."""

import os
import pathlib
import shutil

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from frozen_graphs import graph
from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.formats import saved_model
from tests import format_testing

v1 = tf.compat.v1
_SPEC = tf.TensorSpec([None, None, None, 3], tf.float32, name='image')


def _variable(rng, *shape, **options) -> tf.Variable:
  return tf.Variable(rng.normal(0, 0.4, shape).astype(np.float32), **options)


class _Module(tf.Module):
  """Nested functions, a shared variable, two of one name, a captured tensor."""

  def __init__(self):
    super().__init__()
    rng = np.random.default_rng(0)
    self.first = _variable(rng, 3, 3, 3, 5, name='kernel')
    self.second = _variable(rng, 3, 3, 5, 5, name='kernel')
    self.table = tf.constant(rng.normal(size=(1, 1, 1, 5)), tf.float32)
    self.seen = tf.Variable(0, name='seen')

  @tf.function
  def _layer(self, x, kernel):
    return tf.nn.elu(tf.nn.conv2d(x, kernel, 1, 'SAME')) * self.table

  @tf.function(input_signature=[_SPEC])
  def features(self, image):
    self.seen.assign_add(1)
    x = self._layer(image, self.first)
    return {'features': self._layer(self._layer(x, self.second), self.second)}

  @tf.function(input_signature=[_SPEC])
  def doubled(self, image):
    return self.features(image)['features'] * 2


class _Switch(tf.Module):
  """Asks one of its inputs whether it is trained."""

  def __init__(self):
    super().__init__()
    rng = np.random.default_rng(0)
    self.first = _variable(rng, 3, 3, 3, 5)
    self.second = _variable(rng, 3, 3, 3, 5)

  @tf.function(input_signature=[_SPEC, tf.TensorSpec([], tf.bool, 'training')])
  def call(self, image, training):
    return tf.cond(
      training,
      lambda: tf.nn.dropout(tf.nn.conv2d(image, self.first, 1, 'SAME'), 0.5),
      lambda: tf.nn.relu(tf.nn.conv2d(image, self.second, 1, 'SAME')),
    )


class SavedModelTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / 'saved'
    self.images = format_testing.images()

  def _save(self, module, **signatures) -> None:
    tf.saved_model.save(module, str(self.folder), signatures=signatures)

  def _oracle(self, signature='serving_default'):
    loaded = tf.saved_model.load(str(self.folder))

    def call(x):  # Holds `loaded`, without which its variables would be gone.
      return next(iter(loaded.signatures[signature](x).values()))

    return call

  def test_module_computes_what_tensorflow_loads(self):
    module = _Module()
    self._save(module, serving_default=module.features)
    network = saved_model.load(self.folder)
    self.assertLen(network.inputs, 1)
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(self._oracle(), self.images),
    )
    self.assertEqual(
      graph.extract(
        network.graph_def, network.inputs[0], network.outputs[0]
      ).input_shape,
      (None, None, None, 3),
    )

  def test_variables_that_are_only_counted_are_left_out(self):
    module = _Module()
    self._save(module, serving_default=module.features)
    network = saved_model.load(self.folder)
    values = [
      tf.make_ndarray(n.attr['value'].tensor)
      for n in network.graph_def.node
      if n.op == 'Const'
    ]
    self.assertLen([v for v in values if v.shape[2:] == (5, 5)], 1)
    types = {node.op for node in network.graph_def.node}
    self.assertNoCommonElements(
      types, {'VarHandleOp', 'ReadVariableOp', 'RestoreV2', 'SaveV2'}
    )
    self.assertEmpty(network.graph_def.library.function)

  def test_loop_is_refused_as_such_and_not_for_what_saves_variables(self):
    module = _Module()

    @tf.function(input_signature=[_SPEC], autograph=False)
    def repeated(image):
      return tf.while_loop(
        lambda x: tf.reduce_mean(x) < 1,
        lambda x: (tf.nn.conv2d(x, module.first[..., :3], 1, 'SAME'),),
        [image],
      )[0]

    self._save(module, serving_default=repeated)
    network = saved_model.load(self.folder)
    with self.assertRaisesRegex(UnsafeGraphError, 'a loop, or a choice'):
      graph.extract(network.graph_def, network.inputs[0], network.outputs[0])

  def test_variable_that_is_changed_before_it_is_read_is_refused(self):
    module = _Module()

    @tf.function(input_signature=[_SPEC])
    def trained(image):
      fixed = tf.nn.conv2d(image, module.second[:, :, :3], 1, 'SAME')
      module.first.assign_add(tf.ones_like(module.first))
      changed = tf.nn.conv2d(image, module.first, 1, 'SAME')
      return {'changed': changed, 'fixed': fixed}

    self._save(module, serving_default=trained)
    network = saved_model.load(self.folder)
    changed, fixed = network.outputs
    with self.assertRaisesRegex(GraphError, 'reads a variable that the graph'):
      graph.extract(network.graph_def, network.inputs[0], changed)
    loaded = tf.saved_model.load(str(self.folder))
    format_testing.assert_same(
      format_testing.run(network, self.images, fixed),
      format_testing.original(
        lambda x: loaded.signatures['serving_default'](x)['fixed'], self.images
      ),
    )

  def test_input_without_a_stated_shape_is_no_single_number(self):
    module = _Module()
    spec = tf.TensorSpec(None, tf.float32, name='image')
    self._save(
      module,
      serving_default=tf.function(
        lambda image: tf.nn.conv2d(image, module.first, 1, 'SAME'),
        input_signature=[spec],
      ),
    )
    network = saved_model.load(self.folder)
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(self._oracle(), self.images),
    )

  def test_model_that_keras_exports_computes_what_keras_does(self):
    model = tf.keras.Sequential([
      tf.keras.Input((16, 16, 3)),
      tf.keras.layers.Conv2D(4, 3, name='conv'),
      tf.keras.layers.BatchNormalization(name='norm'),
      tf.keras.layers.Dropout(0.5),
      tf.keras.layers.Activation('swish', name='swish'),
    ])  # fmt: skip
    model = format_testing.randomised(model)
    model.export(self.folder, verbose=False)
    network = saved_model.load(self.folder)
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(lambda x: model(x, training=False), self.images),
    )

  def test_keras_model_that_tensorflow_saves_is_read(self):
    model = tf.keras.Sequential([
      tf.keras.Input((16, 16, 3)),
      tf.keras.layers.Conv2D(4, 3, name='conv'),
      tf.keras.layers.BatchNormalization(name='norm'),
    ])  # fmt: skip
    model = format_testing.randomised(model)
    tf.saved_model.save(model, str(self.folder))
    network = saved_model.load(self.folder)
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(lambda x: model(x, training=False), self.images),
    )

  def test_variables_that_only_an_ambiguous_name_leads_to_are_refused(self):
    class Twice(tf.keras.Model):
      def __init__(self):
        super().__init__()
        self.parts = [tf.keras.layers.Conv2D(3, 3, name='c') for _ in range(2)]

      def call(self, x):
        return self.parts[1](self.parts[0](x))

    model = Twice()
    model(self.images)
    tf.saved_model.save(model, str(self.folder))
    with self.assertRaisesRegex(
      GraphError, r'has 2 variables named .*model\.export'
    ):
      saved_model.load(self.folder)

  def test_signature_is_chosen(self):
    module = _Module()
    self._save(module, features=module.features, doubled=module.doubled)
    for name in ('features', 'doubled'):
      network = saved_model.load(self.folder, signature=name)
      format_testing.assert_same(
        format_testing.run(network, self.images),
        format_testing.original(self._oracle(name), self.images),
      )
    with self.assertRaisesRegex(GraphError, r"one of \['doubled', 'features'"):
      saved_model.load(self.folder)
    with self.assertRaisesRegex(GraphError, "no signature 'x'; pass one of"):
      saved_model.load(self.folder, signature='x')

  def test_only_signature_is_taken_whatever_its_name(self):
    module = _Module()
    self._save(module, features=module.features)
    self.assertLen(saved_model.load(self.folder).outputs, 1)

  def test_model_without_signature_is_refused(self):
    tf.saved_model.save(_Module(), str(self.folder), signatures={})
    with self.assertRaisesRegex(GraphError, 'no signature'):
      saved_model.load(self.folder)

  def test_graph_is_cut_to_named_tensors_of_the_signature(self):
    module = _Module()
    self._save(module, features=module.features, doubled=module.doubled)
    network = saved_model.load(self.folder, signature='doubled')
    elus = [n.name for n in network.graph_def.node if n.op == 'Elu']
    self.assertLen(elus, 3)
    first = min(elus, key=len)
    end = first.split('/', 1)[1]
    with self.assertRaisesRegex(GraphError, "3 nodes .* end in 'Elu'"):
      saved_model.load(self.folder, signature='doubled', representation='Elu')
    part = saved_model.load(
      self.folder, signature='doubled', representation=end
    )
    self.assertLess(len(part.graph_def.node), len(network.graph_def.node))
    source = next(n.name for n in part.graph_def.node if n.op == 'Conv2D')
    behind = saved_model.load(
      self.folder, signature='doubled', input=source, representation=end
    )
    self.assertNotIn('Conv2D', {n.op for n in behind.graph_def.node})
    maps = np.random.default_rng(0).normal(size=(2, 8, 8, 5)).astype(np.float32)
    actual, _ = format_testing.run(behind, maps)
    np.testing.assert_allclose(actual, tf.nn.elu(maps), 1e-5, 1e-6)

  def test_condition_is_folded_once_its_input_is_a_constant(self):
    module = _Switch()
    self._save(module, serving_default=module.call)
    name = 'serving_default_training'
    network = saved_model.load(self.folder, constants={name: False})
    self.assertEqual(network.inputs, ('serving_default_image:0',))
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(
        lambda x: module.call(x, tf.constant(False)), self.images
      ),
    )
    kernels = [
      node
      for node in network.graph_def.node
      if len(node.attr['value'].tensor.tensor_shape.dim) == 4
    ]
    self.assertLen(kernels, 1)

  def test_model_of_tensorflow_1_is_read(self):
    rng = np.random.default_rng(1)
    with v1.Graph().as_default(), v1.Session() as session:
      image = v1.placeholder(tf.float32, [None, 16, 16, 3], 'image')
      kernel = v1.get_variable(
        'kernel',
        initializer=rng.normal(size=(3, 3, 3, 4)).astype(np.float32),
        use_resource=False,
      )
      scale = v1.get_variable(
        'scale', initializer=np.float32(1.5), use_resource=True
      )
      output = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, 'SAME')) * scale
      session.run(v1.global_variables_initializer())
      v1.saved_model.simple_save(
        session, str(self.folder), {'image': image}, {'output': output}
      )
    network = saved_model.load(self.folder)
    self.assertEqual(network.inputs, ('image:0',))
    format_testing.assert_same(
      format_testing.run(network, self.images),
      format_testing.original(self._oracle(), self.images),
    )

  def test_graph_is_chosen_by_its_tags(self):
    builder = v1.saved_model.Builder(str(self.folder))
    for number, tags in enumerate((['train'], ['serve', 'gpu'])):
      with v1.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, 16, 16, 3], 'image')
        scale = v1.get_variable('scale', initializer=np.float32(3.0))
        output = image * scale + float(number)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def(
          {'image': image}, {'output': output}
        )
        signatures = {'serving_default': signature}
        if number:
          builder.add_meta_graph(tags, signatures)
        else:
          builder.add_meta_graph_and_variables(session, tags, signatures)
    builder.save()
    with self.assertRaisesRegex(GraphError, r"tags out of .*\['gpu', 'serve'"):
      saved_model.load(self.folder)
    network = saved_model.load(self.folder, tags=['gpu', 'serve'])
    actual, _ = format_testing.run(network, self.images)
    np.testing.assert_allclose(actual, self.images * 3 + 1, 1e-6)

  def test_graph_that_reads_files_is_refused_and_not_run(self):
    class Reader(tf.Module):
      @tf.function(input_signature=[_SPEC])
      def call(self, image):
        text = tf.io.read_file('/etc/hostname')
        return image * tf.cast(tf.strings.length(text), tf.float32)

    module = Reader()
    self._save(module, serving_default=module.call)
    network = saved_model.load(self.folder)
    with self.assertRaisesRegex(UnsafeGraphError, 'ReadFile'):
      format_testing.run(network, self.images)

  @parameterized.parameters(
    'saved_model.pb',
    'variables/variables.index',
    'variables/variables.data-00000-of-00001',
  )
  def test_cut_files_are_one_clear_error(self, name):
    module = _Module()
    self._save(module, serving_default=module.features)
    path = self.folder / name
    content = path.read_bytes()
    for share in (0, 0.1, 0.3):  # The weights come first.
      path.write_bytes(content[: int(len(content) * share)])
      with self.assertRaisesRegex(GraphError, 'saved: '):
        saved_model.load(self.folder)

  def test_one_changed_byte_of_the_weights_is_found(self):
    module = _Module()
    self._save(module, serving_default=module.features)
    path = self.folder / 'variables' / 'variables.data-00000-of-00001'
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with self.assertRaisesRegex(GraphError, 'damaged at'):
      saved_model.load(self.folder)

  def test_pipe_in_place_of_the_weights_is_refused_and_not_waited_for(self):
    module = _Module()
    self._save(module, serving_default=module.features)
    (path,) = pathlib.Path(self.folder, 'variables').glob('variables.data*')
    path.unlink()
    os.mkfifo(path)
    with self.assertRaisesRegex(GraphError, 'no file, but a pipe'):
      saved_model.load(self.folder)

  def test_missing_variables_are_an_error(self):
    module = _Module()
    self._save(module, serving_default=module.features)
    shutil.rmtree(self.folder / 'variables')
    with self.assertRaisesRegex(GraphError, 'no checkpoint with their values'):
      saved_model.load(self.folder)

  def test_folder_and_file_in_it_are_recognised(self):
    module = _Module()
    self._save(module, serving_default=module.features)
    self.assertTrue(saved_model.matches(self.folder))
    self.assertTrue(saved_model.matches(self.folder / 'saved_model.pb'))
    self.assertFalse(saved_model.matches(self.folder / 'variables'))
    network = saved_model.load(self.folder / 'saved_model.pb')
    self.assertLen(network.outputs, 1)


if __name__ == '__main__':
  absltest.main()
