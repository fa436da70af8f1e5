"""Real files of every format, small, from which damaged ones are made."""

from collections.abc import Callable
import dataclasses
import io
import json
import pathlib
import shutil
from typing import Any
import zipfile

import cv2
import h5py
import numpy as np
import onnx
from onnx import helper
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
import tf_keras

from attribution.preprocessing import Preprocessing
import frozen_graphs
from frozen_graphs.formats.torch import files as torch_files
from probe_data import images
from taskonomy_models import bank as banks
from tests import (
  onnx_testing,
  testing,
  tfjs_testing,
  tflite_testing,
  torch_testing,
)
from tests.fuzzing import mutations
from tests.fuzzing.mutations import Rng

Change = Callable[[bytes, Rng], bytes]
_SIZE = 16


@dataclasses.dataclass(frozen=True)
class Seed:
  """A file of one format, and how it is changed and read.

  Attributes:
    name: Of the format.
    source: What is read: a file or a folder.
    victims: The files below it that are changed, one at a time.
    change: Of what the file is made of; None for its bytes alone.
    read: Reads and uses a source.
    weight: How often it is chosen.
  """

  name: str
  source: pathlib.Path
  victims: tuple[str, ...]
  change: Change | None
  read: Callable[[pathlib.Path], Any]
  weight: float = 1.0

  def damaged(self, folder: pathlib.Path, rng: Rng) -> pathlib.Path:
    """Writes a damaged copy into an empty folder; returns it."""
    target = folder / self.source.name
    if self.source.is_dir():
      shutil.copytree(self.source, target)
    else:
      shutil.copy(self.source, target)
    victim = target / mutations.one_of(rng, self.victims)
    content = victim.read_bytes()
    change = mutations.of_bytes
    if self.change and victim == target / self.victims[0]:
      change = mutations.one_of(rng, (self.change, mutations.of_bytes))
    victim.write_bytes(change(content, rng))
    return target


def _use(path: pathlib.Path) -> None:
  """Loads a network, cuts it and runs it forwards."""
  with frozen_graphs.load(path) as network:
    for output in network.outputs[:1]:
      with network.at(output) as cut:
        default = (_SIZE, _SIZE, 3)
        pairs = zip(cut.input_shape, default, strict=True)
        sides = [side or usual for side, usual in pairs]
        if np.prod(sides, dtype=float) < 2**20:
          cut.run(np.zeros([1, *sides], np.float32))


def _use_bank(path: pathlib.Path) -> None:
  bank = banks.load(str(path))
  for name in bank.names:
    bank.network(name)


def _graph() -> tf.compat.v1.GraphDef:
  """Returns a network with a function, a conditional and common layers."""
  rng = np.random.default_rng(0)
  kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)

  @tf.function
  def block(x):
    return tf.nn.relu(x * 2.0) + tf.tanh(x)

  def network(x):
    training = tf.compat.v1.placeholder_with_default(False, [], 'training')
    x = tf.nn.conv2d(x, kernel, 2, 'SAME')
    x = tf.nn.bias_add(x, [0.1, 0.2, 0.3, 0.4])
    x = tf.cond(training, lambda: x * 2.0, lambda: tf.nn.elu(x))
    x = tf.concat([block(x), tf.nn.max_pool2d(x, 3, 1, 'SAME')], 3)
    first, second = tf.split(x, 2, 3)
    x = tf.reshape(tf.transpose(first * second, [0, 2, 1, 3]), [-1, 8, 32])
    return tf.reduce_mean(x, 1) / tf.constant(3.0)

  return testing.freeze(network, _SIZE)


def _onnx() -> bytes:
  rng = np.random.default_rng(0)
  node = helper.make_node
  nodes = [
    node('Conv', ['x', 'w'], ['a'], pads=[1, 1, 1, 1], strides=[2, 2]),
    node('Relu', ['a'], ['b'], name='relu'),
    node('Resize', ['b', '', '', 'sizes'], ['c'], mode='linear'),
    node('Shape', ['c'], ['d']),
    node('Slice', ['d', 'zero', 'one'], ['e']),
    node('Concat', ['e', 'minus'], ['f'], axis=0),
    node('MaxPool', ['c'], ['g'], kernel_shape=[2, 2], strides=[2, 2]),
    node('ReduceMean', ['g', 'axes'], ['h'], keepdims=0),
    node('Reshape', ['h', 'f'], ['i']),
    node('Gemm', ['i', 'v'], ['y'], alpha=0.5),
  ]
  constants = {
    'w': rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
    'v': rng.normal(size=(4, 5)).astype(np.float32),
    'sizes': np.array([1, 4, 12, 12]),
    'zero': np.array([0]),
    'one': np.array([1]),
    'minus': np.array([-1]),
    'axes': np.array([2, 3]),
  }
  model = onnx_testing.model(
    nodes, {'x': [1, 3, _SIZE, _SIZE]}, ['y'], constants, opset=18
  )
  return model.SerializeToString()


def _keras(library) -> Any:
  layers = library.layers
  return library.Sequential([
    layers.Input((_SIZE, _SIZE, 3)),
    layers.Conv2D(4, 3, activation='relu', name='conv'),
    layers.BatchNormalization(),
    layers.GlobalAveragePooling2D(),
    layers.Dense(3),
  ])  # fmt: skip


def _keras_zip(content: bytes, rng: Rng) -> bytes:
  """Changes the configuration in a .keras file."""
  result = io.BytesIO()
  with (
    zipfile.ZipFile(io.BytesIO(content)) as source,
    zipfile.ZipFile(result, 'w') as target,
  ):
    for name in source.namelist():
      part = source.read(name)
      if name == 'config.json':
        part = mutations.json_text(part, rng)
      target.writestr(name, part)
  return result.getvalue()


def _keras_h5(content: bytes, rng: Rng) -> bytes:
  """Changes the configuration in an .h5 file."""
  buffer = io.BytesIO(content)
  with h5py.File(buffer, 'r+') as file:
    config = json.loads(file.attrs['model_config'])
    text = json.dumps(mutations.of_json(config, rng))
    file.attrs['model_config'] = text.replace('\\u0000', '')
  return buffer.getvalue()


def _text_graph(content: bytes, rng: Rng) -> bytes:
  return mutations.of_text(content.decode(), rng).encode()


def write(folder: pathlib.Path) -> list[Seed]:
  """Writes the files; returns them."""
  graph = _graph()
  (folder / 'graph.pb').write_bytes(graph.SerializeToString())
  (folder / 'graph.pbtxt').write_text(str(graph))
  (folder / 'model.onnx').write_bytes(_onnx())
  kernel = np.ones([3, 3, 3, 4], np.float32)
  lite = tflite_testing.content(
    lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, 2, 'SAME')),
    [(1, _SIZE, _SIZE, 3)],
    weights='float16',
  )
  (folder / 'model.tflite').write_bytes(lite)
  _keras(tf.keras).save(folder / 'model.keras')
  _keras(tf_keras).save(folder / 'old.h5')
  module = tf.Module()
  module.kernel = tf.Variable(kernel)
  module.call = tf.function(
    lambda x: {'y': tf.nn.relu(tf.nn.conv2d(x, module.kernel, 1, 'SAME'))},
    [tf.TensorSpec([None, _SIZE, _SIZE, 3])],
  )
  tf.saved_model.save(module, str(folder / 'saved'), module.call)
  _write_tfjs(folder / 'tfjs')
  torch_testing.save(
    str(folder / 'weights.pth'), {'a.weight': kernel, 'a.bias': kernel[0]}
  )
  (folder / 'bank').mkdir()
  banks.Folder(folder / 'bank').add(
    banks.Encoder('a', '', 'input:0', 'representation:0', 'range(0, 1)', 'a'),
    testing.tiny_graph_def(),
  )
  (folder / 't.txt').write_text('center_crop | resize(16, 16) | range(-1, 1)')
  picture = testing.images(1)[0]
  for name in ('a.png', 'a.jpg', 'a.bmp', 'a.ppm', 'a.tiff', 'a.webp'):
    cv2.imwrite(str(folder / name), picture)
  return seeds(folder)


def _write_tfjs(folder: pathlib.Path) -> None:
  kernel = np.ones([3, 3, 3, 4], np.float32)
  nodes = [
    tfjs_testing.placeholder('input', [-1, _SIZE, _SIZE, 3]),
    tfjs_testing.constant('w', kernel),
    tfjs_testing.node(
      'conv', 'Conv2D', ['input', 'w'], T='DT_FLOAT', strides=[1, 2, 2, 1],
      padding='SAME',
    ),
    tfjs_testing.node('relu', 'Relu', ['conv'], T='DT_FLOAT'),
  ]  # fmt: skip
  tfjs_testing.write(folder, {'node': nodes}, {'w': kernel})


def seeds(folder: pathlib.Path) -> list[Seed]:
  graph = mutations.parsed(tf.compat.v1.GraphDef.FromString)
  saved = mutations.parsed(saved_model_pb2.SavedModel.FromString)
  weights = 'variables/variables'
  found = [
    ('graph.pb', ('',), graph, _use, 6),
    ('graph.pbtxt', ('',), _text_graph, _use, 2),
    (
      'model.onnx',
      ('',),
      mutations.parsed(onnx.ModelProto.FromString),
      _use,
      4,
    ),
    ('model.tflite', ('',), None, _use, 3),
    ('model.keras', ('',), _keras_zip, _use, 0.3),
    ('old.h5', ('',), _keras_h5, _use, 0.3),
    (
      'saved',
      ('saved_model.pb', f'{weights}.index', f'{weights}.data-00000-of-00001'),
      saved,
      _use,
      2,
    ),
    ('tfjs', ('model.json', 'shard0of1.bin'), mutations.json_text, _use, 3),
    ('weights.pth', ('',), None, torch_files.load_state_dict, 3),
    ('bank', ('bank.json', 'a.pb'), mutations.json_text, _use_bank, 2),
    ('t.txt', ('',), None, _parse, 2),
  ]
  found += [
    (f'a.{kind}', ('',), None, images.read, 0.5)
    for kind in ('png', 'jpg', 'bmp', 'ppm', 'tiff', 'webp')
  ]
  return [Seed(name, folder / name, *rest) for name, *rest in found]


def _parse(path: pathlib.Path) -> None:
  t = Preprocessing.parse(path.read_bytes().decode('utf-8', 'replace'))
  t.output_shape((_SIZE, _SIZE, 3))
