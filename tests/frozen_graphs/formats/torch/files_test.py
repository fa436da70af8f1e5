"""Tests of reading PyTorch's files without PyTorch, and without running them.

`torch_testing` writes the files from the format's description; two files in
tests/data were written by PyTorch itself.
"""

import io
import os
import pathlib
import pickle
import zipfile

from absl.testing import absltest, parameterized
import numpy as np
import pytest

from frozen_graphs.errors import GraphError
from frozen_graphs.formats.torch import files as torch_files
from tests import torch_testing as tt

_DATA = pathlib.Path(__file__).parents[3] / 'data'


def _arrays() -> dict[str, np.ndarray]:
  rng = np.random.default_rng(0)
  return {
    'conv.weight': rng.normal(size=(4, 3, 2, 2)).astype(np.float32),
    'bn.running_mean': rng.normal(size=4).astype(np.float32),
    'scalar': np.float32(3.5).reshape(()),
    'empty': np.zeros((0, 3), np.float32),
  }


_WRITERS = {'zip': tt.zip_file, 'legacy': tt.legacy_file}


class _FileTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = os.path.join(self.create_tempdir().full_path, 'weights.pth')

  def _load(self, content: bytes, **options):
    pathlib.Path(self.path).write_bytes(content)
    return torch_files.load_state_dict(self.path, **options)

  def _refuses(self, content: bytes, message: str, **options):
    """The message also names the file, in one line."""
    with self.assertRaisesRegex(GraphError, message) as caught:
      self._load(content, **options)
    self.assertStartsWith(str(caught.exception), self.path)
    self.assertNotIn('\n', str(caught.exception))


class LoadTest(_FileTest):
  @parameterized.parameters('torch_legacy', 'torch_zip')
  def test_files_of_pytorch_itself(self, name):
    got = torch_files.load_state_dict(_DATA / f'{name}.pth')
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
    expected = {
      'base': base,
      'permuted': base.transpose(2, 0, 1),
      'strided': base[1:, ::2, 3],
      'expanded': np.full(3, 1.5, np.float32),
      'parameter': np.array([-1, 2], np.float32),
      'scalar': np.array(7),
      'empty': np.zeros((0, 3), np.float32),
      'half': np.array([0.5, -2], np.float16),
      'bfloat16': np.array([0.5, -3], np.float32),
      'double': np.array([0.1]),
      'int8': np.array([-1, 5], np.int8),
      'bool': np.array([True, False]),
    }
    self.assertEqual(list(got), list(expected))
    for key, value in expected.items():
      np.testing.assert_array_equal(got[key], value, key, strict=True)
      self.assertTrue(got[key].flags.c_contiguous, key)

  @parameterized.product(
    container=list(_WRITERS),
    wrapped=['', 'state_dict', 'model', 'only_one', 'two_levels'],
  )
  def test_arrays_come_back_from_wherever_they_were_put(
    self, container, wrapped
  ):
    arrays = _arrays()
    content, storages = tt.tensors(arrays)
    moments = {'state': {0: {'exp_avg': content['conv.weight']}}}
    content = {
      '': content,
      'state_dict': {
        'epoch': 3, 'state_dict': content, 'optimizer': moments
      },
      'model': {'model': content, 'optimizer': moments},
      'only_one': {'anything': content, 'best': 0.5, 'name': None},
      'two_levels': {'model': {'state_dict': content}},
    }[wrapped]  # fmt: skip
    got = self._load(_WRITERS[container](content, storages))
    self.assertEqual(list(got), list(arrays))
    for name, array in arrays.items():
      np.testing.assert_array_equal(got[name], array, name, strict=True)

  @parameterized.parameters(*_WRITERS)
  def test_views_of_one_storage_are_cut_out_of_it(self, container):
    base = np.arange(12, dtype=np.float32)
    source = tt.storage('0', 12)
    content = {
      'whole': tt.tensor(source, 0, (12,), (1,)),
      'transposed': tt.tensor(source, 0, (4, 3), (1, 4)),
      'corner': tt.tensor(source, 5, (2, 2), (4, 1)),
      'repeated': tt.tensor(source, 11, (5,), (0,)),
    }
    got = self._load(_WRITERS[container](content, {'0': base.tobytes()}))
    square = base.reshape(3, 4)
    np.testing.assert_array_equal(got['whole'], base)
    np.testing.assert_array_equal(got['transposed'], square.T)
    np.testing.assert_array_equal(got['corner'], square[1:, 1:3])
    np.testing.assert_array_equal(got['repeated'], [11] * 5)

  def test_older_files_may_store_a_part_of_a_storage(self):
    base = np.arange(12, dtype=np.float32)
    source = tt.storage('0', 12, view=('view', 4, 6))
    content = {'w': tt.tensor(source, 1, (2, 2), (2, 1))}
    got = self._load(tt.legacy_file(content, {'0': base.tobytes()}))
    np.testing.assert_array_equal(got['w'], [[5, 6], [7, 8]])
    content = {'w': tt.tensor(source, 3, (2, 2), (2, 1))}
    self._refuses(
      tt.legacy_file(content, {'0': base.tobytes()}), "'w'.*reaches to"
    )

  def test_ordered_dictionary_of_python_2(self):
    content, storages = tt.tensors(_arrays())
    pairs = [list(pair) for pair in content.items()]
    content = tt.Call(tt.Global('collections', 'OrderedDict'), (pairs,))
    got = self._load(tt.legacy_file(content, storages))
    self.assertEqual(list(got), list(_arrays()))

  def test_parameters_storages_of_gpus_and_module_versions(self):
    source = tt.Persistent(
      ('storage', tt.Global('torch.cuda', 'FloatStorage'), '0', 'cuda:0', 2)
    )
    function = tt.Global('torch._utils', '_rebuild_parameter', by_stack=True)
    hooks = tt.Call(tt.Global('collections', 'OrderedDict'))
    inner = tt.tensor(source, 0, (2,), (1,))
    weights = tt.encode({'w': tt.Call(function, (inner, True, hooks))})
    versions = tt.encode({'_metadata': {'': {'version': 1}}}) + pickle.BUILD
    data = np.array([1, 2], np.float32)
    got = self._load(
      tt.zip_file(tt.Raw(weights + versions), {'0': data.tobytes()})
    )
    np.testing.assert_array_equal(got['w'], data)


class DamageTest(_FileTest):
  def test_legacy_file_cut_anywhere_is_an_error(self):
    arrays = _arrays()
    del arrays['empty']
    whole = tt.legacy_file(*tt.tensors(arrays))
    self.assertLen(self._load(whole), 3)
    for length in range(0, len(whole), 7):
      with self.subTest(length=length):
        self._refuses(whole[:length], 'cut off|neither a zip|damaged')

  def test_cut_legacy_file_names_the_first_missing_variable(self):
    arrays = _arrays()
    del arrays['empty'], arrays['scalar']
    whole = tt.legacy_file(*tt.tensors(arrays))
    self._refuses(whole[:-1], "variable 'bn.running_mean': .*cut off")
    self._refuses(whole[:-17], "variable 'bn.running_mean': .*cut off")
    self._refuses(whole[:-25], "variable 'conv.weight': .*cut off")

  def test_zip_file_cut_anywhere_is_an_error(self):
    whole = tt.zip_file(*tt.tensors(_arrays()))
    for length in range(0, len(whole), 17):
      with self.subTest(length=length):
        self._refuses(whole[:length], 'cut off|neither a zip|complete')

  def test_flipped_bits_are_errors_or_change_nothing_but_names(self):
    """No exception but GraphError, whatever the damage."""
    rng = np.random.default_rng(0)
    for write in _WRITERS.values():
      whole = np.frombuffer(write(*tt.tensors(_arrays())), np.uint8)
      for _ in range(300):
        damaged = whole.copy()
        position = rng.integers(len(whole))
        damaged[position] ^= 1 << rng.integers(8)
        try:
          self._load(damaged.tobytes())
        except GraphError as error:
          self.assertStartsWith(str(error), self.path)

  @parameterized.parameters(b'', b'hello', b'\x80\x02K\x01.', b'\x89HDF\r\n')
  def test_another_file_is_not_taken_for_one(self, content):
    self._refuses(content, 'neither a zip archive nor')

  def test_missing_file_is_an_os_error(self):
    with self.assertRaises(FileNotFoundError):
      torch_files.load_state_dict(self.path)

  @parameterized.parameters(
    (0, (13,), (1,)),
    (0, (4, 4), (4, 1)),
    (9, (2, 2), (2, 1)),
    (2**40, (1,), (1,)),
    (0, (2,), (2**40,)),
  )
  def test_view_beyond_its_storage_is_refused(self, offset, shape, strides):
    content = {'w': tt.tensor(tt.storage('0', 12), offset, shape, strides)}
    for write in _WRITERS.values():
      self._refuses(
        write(content, {'0': bytes(48)}), "'w': it reaches to element"
      )

  @parameterized.parameters(
    (-1, (1,), (1,)),
    (0, (-1,), (1,)),
    (0, (2,), (-1,)),
    (0, (2.0,), (1,)),
    (0, (2, 2), (1,)),
    (0, (True,), (1,)),
    (0, (1,) * 33, (1,) * 33),
  )
  def test_what_is_no_shape_is_refused(self, offset, shape, strides):
    content = {'w': tt.tensor(tt.storage('0', 12), offset, shape, strides)}
    self._refuses(tt.zip_file(content, {'0': bytes(48)}), 'shape')

  def test_huge_tensor_of_few_bytes_is_refused(self):
    content = {'w': tt.tensor(tt.storage('0', 1), 0, (2**40,), (0,))}
    self._refuses(tt.zip_file(content, {'0': bytes(4)}), "'w'.*exceed")
    many = {
      str(i): tt.tensor(tt.storage('0', 1), 0, (100,), (0,)) for i in range(20)
    }
    content = tt.zip_file(many, {'0': bytes(4)})
    self._refuses(content, "'12'.*exceed", max_bytes=5000)
    self.assertLen(self._load(content), 20)

  def test_large_file_is_refused_before_it_is_read(self):
    content = tt.zip_file(*tt.tensors(_arrays()))
    self._refuses(content, 'more than the 100 allowed', max_bytes=100)

  def test_storage_of_another_size_is_refused(self):
    content = {'w': tt.tensor(tt.storage('0', 12), 0, (2,), (1,))}
    self._refuses(
      tt.zip_file(content, {'0': bytes(44)}), "'w'.*44 bytes, not 12 elements"
    )
    self._refuses(tt.zip_file(content, {'1': bytes(48)}), "'w'.*'0' is missing")
    self._refuses(
      tt.legacy_file(content, {'0': bytes(44)}), "'0' has an unexpected size"
    )

  def test_big_endian_files_are_refused(self):
    content, storages = tt.tensors(_arrays())
    self._refuses(
      tt.zip_file(content, storages, {'archive/byteorder': b'big'}),
      "byte order is b'big'",
    )
    system = {**tt.SYSTEM, 'little_endian': False}
    self._refuses(
      tt.legacy_file(content, storages, system=system), 'little-endian'
    )

  @parameterized.parameters(
    ([1, 2], 'a list'),
    ({'epoch': 1}, "a dictionary of .*'epoch'"),
    ({'a': {'w': 0}, 'b': {'w': 0}}, "a dictionary of .*'a', 'b'"),
  )
  def test_file_without_a_state_dict_says_what_it_holds(self, content, what):
    def fill(value):
      if isinstance(value, dict):
        return {key: fill(item) for key, item in value.items()}
      return tt.tensor(tt.storage('0', 1), 0, (1,), (1,)) if not value else 1

    content = fill(content) if isinstance(content, dict) else content
    self._refuses(tt.zip_file(content, {'0': bytes(4)}), f'no state.*{what}')


class ZipTest(_FileTest):
  def test_compressed_entries_are_refused(self):
    """A few bytes could become gigabytes."""
    content = {'w': tt.tensor(tt.storage('0', 10**6), 0, (1,), (1,))}
    bomb = tt.zip_file(
      content, {'0': bytes(4 * 10**6)}, compression=zipfile.ZIP_DEFLATED
    )
    self.assertLess(len(bomb), 10**4)
    self._refuses(bomb, 'compressed')

  def test_two_entries_of_one_name_are_refused(self):
    content = tt.zip_file({}, {'1': b'1234', '2': b'5678'})
    self._refuses(
      content.replace(b'archive/data/2', b'archive/data/1'), 'one name'
    )

  @parameterized.parameters('../0', '/etc/passwd', '..', 'archive/data/0', '')
  def test_storage_names_do_not_lead_out_of_the_archive(self, key):
    content = {'w': tt.tensor(tt.storage(key, 1), 0, (1,), (1,))}
    for storages in ({}, {'0': bytes(4)}):
      self._refuses(tt.zip_file(content, storages), "'w'.*is missing")
    root = pathlib.Path(self.path).parent
    self.assertEqual([p.name for p in root.iterdir()], ['weights.pth'])

  def test_archive_of_something_else_is_refused(self):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
      archive.writestr('picture.png', b'1')
    self._refuses(file.getvalue(), 'no single data.pkl')

  def test_torchscript_is_refused_with_advice(self):
    others = {'archive/constants.pkl': b'', 'archive/code/model.py': b''}
    self._refuses(tt.zip_file({}, {}, others), 'TorchScript.*state_dict')

  def test_overlapping_entries_are_refused(self):
    whole = tt.zip_file({}, {'0': bytes(5000), '1': bytes(5000)})
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
      second = archive.getinfo('archive/data/1').header_offset
      first = archive.getinfo('archive/data/0').header_offset
    # Without the second entry's data; the directory goes on to promise it.
    cut = whole[:first] + whole[second:]
    self._refuses(cut, 'overlap|damaged')


def _call(module, name, *arguments, by_stack=False):
  return tt.Call(tt.Global(module, name, by_stack), tuple(arguments))


class AttackTest(_FileTest):
  """Whatever a file asks for is not done; the message says what it was."""

  def setUp(self):
    super().setUp()
    self.witness = f'{self.path}.done'
    self.command = f'touch {self.witness}'

  def _harmless(self, value, message):
    weights = {'w': tt.tensor(tt.storage('0', 1), 0, (1,), (1,))}
    for content in (value, {**weights, 'x': value}, [[value]]):
      for write in _WRITERS.values():
        self._refuses(write(content, {'0': bytes(4)}), message)
    self.assertFalse(os.path.exists(self.witness))

  def test_the_attack_is_real(self):
    """Python's own unpickler would run it."""
    pickle.loads(tt.pickled(_call('os', 'system', self.command)))
    self.assertTrue(os.path.exists(self.witness))

  @parameterized.product(
    name=[
      ('os', 'system'),
      ('posix', 'system'),
      ('subprocess', 'getoutput'),
      ('builtins', 'eval'),
      ('builtins', 'exec'),
      ('builtins', 'getattr'),
      ('__builtin__', 'eval'),
      ('torch', 'load'),
      ('torch.hub', 'load'),
      ('torch._utils', '_rebuild_tensor_v2.__globals__'),
      ('torch.storage', '_load_from_bytes'),
      ('collections', 'OrderedDict.__init__.__globals__'),
      ('numpy', 'load'),
    ],
    by_stack=[False, True],
  )
  def test_call_of_a_name_is_refused(self, name, by_stack):
    self._harmless(
      _call(*name, self.command, by_stack=by_stack),
      f"asks for '{'.'.join(name)}'.*refused",
    )

  def test_call_inside_of_admitted_calls_is_refused(self):
    evil = _call('os', 'system', self.command)
    tensor = tt.tensor(evil, 0, (1,), (1,))
    for value in (
      tensor,
      _call('torch._utils', '_rebuild_parameter', evil),
      _call('collections', 'OrderedDict', [['k', evil]]),
      tt.Persistent(('storage', evil, '0', 'cpu', 1)),
    ):
      self._harmless(value, "asks for 'os.system'")

  @parameterized.parameters(
    ('INST', b'(U\x01xios\nsystem\n'),
    ('OBJ', b'(ccollections\nOrderedDict\no'),
    ('NEWOBJ', b'}U\x01x\x85\x81'),
    ('NEWOBJ_EX', b'}U\x01x\x85}\x92'),
    ('EXT1', b'\x82\x01'),
    ('EXT4', b'\x84\x01\x00\x00\x00'),
    ('PERSID', b'P0\n'),
    ('DUP', b'K\x012'),
    ('EMPTY_SET', b'\x8f'),
    ('BYTEARRAY8', b'\x96' + bytes(8)),
    ('NEXT_BUFFER', b'\x97'),
    ('INT', b'I1\n'),
  )
  def test_opcodes_that_are_not_needed_are_refused(self, name, opcodes):
    self._harmless(tt.Raw(opcodes), f'opcode {name}')

  @parameterized.parameters(
    ('os',), (0,), (None,), ((),), (('storage',),),
    (('storage', 'x', '0', 'cpu', 1),), (('module', 'x', 'y', 'z'),),
    (('storage', 'FloatStorage', '0', 'cpu', 1, ()),),
  )  # fmt: skip
  def test_what_is_no_storage_cannot_be_referred_to(self, identity):
    self._harmless(tt.Persistent(identity), 'no storage|whole model')

  @parameterized.parameters(-1, 2**60, 1.0, True, None)
  def test_storage_of_a_strange_size_is_refused(self, size):
    name = tt.Global('torch', 'FloatStorage')
    self._harmless(
      tt.Persistent(('storage', name, '0', 'cpu', size)), 'no storage'
    )

  def test_only_the_tables_functions_can_be_called(self):
    storage = tt.Global('torch', 'FloatStorage')
    for function in (storage, 'os', 1, {}, _call('collections', 'OrderedDict')):
      self._harmless(tt.Call(function, (1,)), 'cannot be called')

  def test_attributes_cannot_be_set(self):
    name = tt.encode(tt.Global('collections', 'OrderedDict'))
    state = tt.encode({'__init__': 1}) + pickle.BUILD
    self._harmless(tt.Raw(name + state), 'sets attributes')
    tensor = tt.encode(tt.tensor(tt.storage('0', 1), 0, (1,), (1,)))
    self._harmless(tt.Raw(tensor + state), 'sets attributes')

  def test_dictionary_keys_are_plain(self):
    self._harmless({(1, 2): 3}, 'no text or number')
    deep = pickle.EMPTY_TUPLE + pickle.TUPLE1 * 100_000
    self._harmless(tt.Raw(b'}' + deep + b'K\x01s'), 'no text or number')

  def test_lengths_that_are_lies_do_not_fill_the_memory(self):
    for opcode in (b'\x8d', b'\x8b\xff\xff\xff\x7f', b'T\xff\xff\xff\x7f'):
      lie = opcode + (2**50).to_bytes(8, 'little')
      self._harmless(tt.Raw(lie), 'damaged')

  def test_list_of_pairs_cannot_be_multiplied(self):
    pairs = tt.encode([['k', 1]]) + b'q\x01'
    twice = b'ccollections\nOrderedDict\nh\x01\x85R'
    value = tt.Raw(b'(' + pairs + twice * 2 + b't')
    self._refuses(tt.zip_file(value, {}), 'no state dict')
    weights = {'w': tt.tensor(tt.storage('0', 1), 0, (1,), (1,))}
    content = tt.zip_file({**weights, 'x': value}, {'0': bytes(4)})
    self.assertLen(self._load(content), 1)

  def test_cyclic_and_shared_dictionaries_end(self):
    cycle = b'}q\x01U\x05modelh\x01s'
    self._refuses(tt.zip_file(tt.Raw(cycle), {}), 'no state dict')
    level = b'}q\x00'
    for _ in range(60):  # Each dictionary twice in the next: 2^60 paths.
      level += b'}(U\x01ah\x00U\x01bh\x00uq\x00'
    self._refuses(tt.zip_file(tt.Raw(level), {}), 'no state dict')

  def test_scalars_of_numpy_are_passed_over_and_never_made(self):
    scalar = _call('numpy.core.multiarray', 'scalar', 'f8', b'1234')
    content = {
      'w': tt.tensor(tt.storage('0', 1), 0, (1,), (1,)),
      'loss': scalar,
    }
    self.assertLen(self._load(tt.zip_file(content, {'0': bytes(4)})), 1)


@pytest.mark.torch
class PyTorchTest(_FileTest):
  """Needs PyTorch."""

  def setUp(self):
    super().setUp()
    self.torch = pytest.importorskip('torch')

  @parameterized.product(zipped=[False, True], protocol=[2, 3, 4])
  def test_arrays_are_pytorchs_own(self, zipped, protocol):
    torch = self.torch
    torch.manual_seed(0)
    module = torch.nn.Sequential(
      torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.LSTM(3, 2)
    )
    state = module.state_dict()
    for kind in (
      'float16', 'bfloat16', 'float64', 'int8', 'uint8', 'int16', 'int32',
      'bool',
    ):  # fmt: skip
      values = 3 * torch.randn(4, 5, 6)
      state[kind] = values.to(getattr(torch, kind)).permute(2, 0, 1)[1::2]
    torch.save(
      {'state_dict': state, 'epoch': 1},
      self.path,
      pickle_protocol=protocol,
      _use_new_zipfile_serialization=zipped,
    )
    got = torch_files.load_state_dict(self.path)
    self.assertEqual(list(got), list(state))
    for name, value in state.items():
      if value.dtype == torch.bfloat16:
        value = value.float()
      np.testing.assert_array_equal(got[name], value.numpy(), name, strict=True)

  @parameterized.parameters(False, True)
  def test_whole_model_is_refused(self, zipped):
    self.torch.save(
      self.torch.nn.Conv2d(3, 4, 3),
      self.path,
      _use_new_zipfile_serialization=zipped,
    )
    with self.assertRaisesRegex(GraphError, 'Conv2d.*state_dict'):
      torch_files.load_state_dict(self.path)


if __name__ == '__main__':
  absltest.main()
