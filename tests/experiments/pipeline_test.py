"""Tests that models are projected as defined, and resumed to the same bytes."""

import dataclasses
import itertools
import pathlib
import shutil
import subprocess
import sys
import textwrap
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np
import tensorflow as tf

from attribution.explainer import Explainer
from experiments import insertion, pipeline
from frozen_graphs import batch_sizes, session
from frozen_graphs.errors import GraphError, UnsafeGraphError
from frozen_graphs.passes import Passes
from probe_data import probe_sets
from taskonomy_models import bank as banks
from taskonomy_models.encoder import Networks
from tests import bank_testing, space_testing, testing
from tests.tracking_testing import Killed, killed_after, silent
from toolkit_basics import processes
from transferability import sketches
from transferability.model_space import ModelSpace

_METHODS = ('saliency', 'gradient_times_input', 'elrp')
_NUM_IMAGES = 7


class PipelineTestCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.output = self.folder / 'output'
    self.content = bank_testing.write(self.folder / 'bank')
    np.save(
      self.folder / 'images.npy', testing.images(_NUM_IMAGES, bank_testing.SIZE)
    )

  def bank(self):
    bank_testing.write_json(self.folder / 'bank', self.content)
    return banks.load(str(self.folder / 'bank'))

  def probe(self):
    return probe_sets.load(
      str(self.folder / 'images.npy'), image_size=(bank_testing.SIZE,) * 2
    )

  def projection(self, methods=_METHODS, **kwargs):
    kwargs = {'batch_size': 3, 'dtype': 'float32'} | kwargs
    return pipeline.Projection(pipeline.method_objects(methods), **kwargs)

  def project(self, projection=None, track=silent, observer=None):
    return pipeline.project(
      self.bank(),
      self.probe(),
      projection or self.projection(),
      self.output,
      track,
      observer,
    )

  def expected_maps(self, inverse=True):
    """Returns, by method, the maps [models, images, h, w, c] of explainers."""
    maps = {name: [] for name in _METHODS}
    for encoder in self.bank().encoders:
      with Explainer(
        encoder.graph,
        input_tensor='input:0',
        representation_tensor='representation:0',
        preprocessing=encoder.preprocessing,
        methods=_METHODS,
      ) as explainer:
        explanation = explainer.explain(self.probe().images, inverse)
      for name, values in explanation.maps.items():
        maps[name].append(values)
    return maps


class ResizedTest(PipelineTestCase):
  def test_encoders_of_one_size_take_larger_images(self):
    bank = self.bank()
    projection = pipeline.Projection(pipeline.method_objects(['saliency']))
    with self.assertRaisesRegex(ValueError, 'alpha: the graph takes'):
      pipeline.check(bank, projection, (40, 40, 3))
    resized = pipeline.resized(bank, (40, 40))
    pipeline.check(resized, projection, (40, 40, 3))
    found = {e.name: e.preprocessing for e in resized.encoders}
    self.assertEqual(found['alpha'], 'resize(16, 16) | range(-1, 1)')
    self.assertEqual(found['delta'], 'resize(12) | range(-1, 1)')

  def test_at_their_own_size_nothing_changes(self):
    bank = self.bank()
    size = (bank_testing.SIZE,) * 2
    self.assertEqual(pipeline.resized(bank, size), bank)


class ProjectTest(PipelineTestCase):
  def test_affinity_is_the_mean_cosine_of_the_explainers_maps(self):
    spaces = self.project()
    self.assertSequenceEqual(list(spaces), _METHODS)
    for method, maps in self.expected_maps().items():
      self.assertEqual(spaces[method].models, bank_testing.NAMES)
      np.testing.assert_allclose(
        spaces[method].affinity(),
        space_testing.mean_cosines(np.stack(maps)),
        atol=1e-5,
      )

  def test_released_code_averages_over_channels_before_the_inverse(self):
    self.content['encoders'] = self.content['encoders'][:3]
    spaces = self.project(self.projection(protocol='released_code'))
    for method, maps in self.expected_maps(inverse=False).items():
      means = np.stack([values.mean(axis=-1) for values in maps])
      self.assertEqual(spaces[method].map_shape, (bank_testing.SIZE,) * 2)
      np.testing.assert_allclose(
        spaces[method].affinity(), space_testing.mean_cosines(means), atol=1e-5
      )

  def test_saved_maps_are_those_of_the_explainer(self):
    self.project(self.projection(save_maps=True))
    for method, maps in self.expected_maps().items():
      for name, expected in zip(bank_testing.NAMES, maps, strict=True):
        saved = np.load(self.output / 'maps' / method / f'{name}.npy')
        self.assertEqual(saved.dtype, np.float32)
        self.assertEqual(saved.shape, (_NUM_IMAGES, 16, 16, 3))
        np.testing.assert_allclose(
          saved, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max()
        )

  def test_maps_are_kept_only_on_request(self):
    self.project()
    self.assertFalse((self.output / 'maps').exists())

  def test_layers_are_kept_as_means_of_cells_where_few_are_wanted(self):
    self.project(self.projection(keep_representations=True))
    path = pipeline.representation_path(self.output, 'alpha')
    whole = np.load(path)
    self.assertEqual(whole.shape[1:3], (8, 8))
    for output in self.output.iterdir():
      shutil.rmtree(output)
    self.project(
      self.projection(keep_representations=True, representation_side=2)
    )
    cells = whole.reshape(_NUM_IMAGES, 2, 4, 2, 4, -1).mean(axis=(2, 4))
    np.testing.assert_allclose(np.load(path), cells, rtol=1e-4, atol=1e-6)

  def test_options_reach_their_methods(self):
    (method,) = pipeline.method_objects(['elrp'], 0.5)
    self.assertEqual(method.epsilon, 0.5)
    self.assertEqual(
      pipeline.method_objects(_METHODS), pipeline.method_objects(_METHODS, 1e-4)
    )

  @parameterized.parameters('protocol', 'on_bad_map')
  def test_unknown_choice_is_refused_with_the_choices(self, name):
    with self.assertRaisesRegex(ValueError, f"{name} 'no'.*\\(.*\\)"):
      self.projection(**{name: 'no'})


class ResumeTest(PipelineTestCase):
  """4 models of 3 batches each, 12 in all."""

  def setUp(self):
    super().setUp()
    self.chosen = self.projection(save_maps=True)
    self.project(self.chosen)
    self.expected = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'resumed'

  @parameterized.parameters(1, 7, 11)
  def test_killed_run_ends_in_the_same_bytes(self, number):
    with self.assertRaises(Killed):
      self.project(self.chosen, killed_after(number))
    self.assertNotEqual(bank_testing.tree_bytes(self.output), self.expected)
    self.project(self.chosen)
    self.assertEqual(bank_testing.tree_bytes(self.output), self.expected)

  @parameterized.parameters(1, 5)
  def test_run_killed_between_two_methods_ends_in_the_same_bytes(self, number):
    write = pipeline._Model._write
    calls = itertools.count()

    def killed(model, *args):
      if next(calls) == number:
        raise Killed
      write(model, *args)

    with mock.patch.object(pipeline._Model, '_write', killed):
      with self.assertRaises(Killed):
        self.project(self.chosen)
    self.project(self.chosen)
    self.assertEqual(bank_testing.tree_bytes(self.output), self.expected)

  def test_run_killed_many_times_computes_each_batch_once(self):
    computed = []

    def two(iterable, **kwargs):
      for item in killed_after(2)(iterable, **kwargs):
        computed.append(item)
        yield item

    for _ in range(5):
      with self.assertRaises(Killed):
        self.project(self.chosen, two)
    self.project(self.chosen, two)
    self.assertEqual(
      computed, list(itertools.product(bank_testing.NAMES, (0, 3, 6)))
    )
    self.assertEqual(bank_testing.tree_bytes(self.output), self.expected)

  def test_finished_run_builds_no_explainer(self):
    self.output = self.folder / 'output'
    with mock.patch.object(pipeline, 'Explainer') as built:
      self.project(self.chosen)
    built.assert_not_called()
    self.assertEqual(bank_testing.tree_bytes(self.output), self.expected)

  def test_lost_map_file_is_made_again(self):
    self.output = self.folder / 'output'
    (self.output / 'maps' / 'elrp' / 'beta.npy').unlink()
    self.project(self.chosen)
    self.assertEqual(bank_testing.tree_bytes(self.output), self.expected)

  def test_only_a_new_model_is_computed(self):
    self.output = self.folder / 'output'
    self.content['encoders'].append(
      {**self.content['encoders'][0], 'name': 'epsilon'}
    )
    with mock.patch.object(
      pipeline, 'Explainer', side_effect=Explainer
    ) as built:
      spaces = self.project(self.chosen)
    names = [call.args[0].name for call in built.call_args_list]
    self.assertEqual(names, ['epsilon'])
    self.assertEqual(spaces['elrp'].models[-1], 'epsilon')

  def test_other_settings_are_not_mixed_in(self):
    self.output = self.folder / 'output'
    for change in (
      {'protocol': 'released_code'},
      {'dtype': 'float16'},
      {'batch_size': 2},
      {'methods': pipeline.method_objects(_METHODS, 0.1)},
    ):
      if 'protocol' in change:
        self.content['encoders'] = self.content['encoders'][:3]
      with self.subTest(change), self.assertRaises(ValueError):
        self.project(dataclasses.replace(self.chosen, **change))

  def test_changed_graph_is_not_mixed_in(self):
    self.output = self.folder / 'output'
    graph = testing.tiny_graph_def('relu', seed=9)
    path = self.folder / 'bank' / 'alpha.pb'
    path.write_bytes(graph.SerializeToString())
    with self.assertRaisesRegex(ValueError, 'alpha.*graph_sha256'):
      self.project(self.chosen)


class MapTransformTest(PipelineTestCase):
  def test_each_transform_has_a_space_of_transformed_maps(self):
    transforms = ('none', 'absolute', 'absolute+centred')
    spaces = self.project(self.projection(map_transforms=transforms))
    self.assertLen(spaces, len(_METHODS) * len(transforms))
    for method, maps in self.expected_maps().items():
      maps = np.stack(maps)
      absolute = np.abs(maps)
      centred = absolute - absolute.mean(axis=(2, 3, 4), keepdims=True)
      for name, expected in (
        (method, maps),
        (f'{method}@absolute', absolute),
        (f'{method}@absolute+centred', centred),
      ):
        np.testing.assert_allclose(
          spaces[name].affinity(),
          space_testing.mean_cosines(expected),
          atol=1e-5,
        )

  def test_only_a_transformed_space_says_so(self):
    self.project(self.projection(map_transforms=('none', 'absolute')))
    folder = self.output / 'model_space'
    settings = {
      name: ModelSpace(folder / name).settings
      for name in ('elrp', 'elrp@absolute')
    }
    self.assertNotIn('map_transform', settings['elrp'])
    self.assertEqual(settings['elrp@absolute']['map_transform'], 'absolute')

  def test_a_model_that_is_inserted_later_is_transformed_alike(self):
    transforms = ('none', 'absolute')
    made = self.projection(map_transforms=transforms)
    found = insertion.projection(self.project(made), batch_size=3)
    self.assertEqual(found.spaces(), made.spaces())

  def test_maps_without_channels_can_be_transformed(self):
    self.content['encoders'] = self.content['encoders'][:3]
    spaces = self.project(
      self.projection(
        ['elrp'], protocol='released_code', map_transforms=('grey+absolute',)
      )
    )
    self.assertEqual(
      spaces['elrp@grey+absolute'].map_shape, (bank_testing.SIZE,) * 2
    )

  @parameterized.parameters([()], [('none', 'none')], [('bad',)])
  def test_wrong_transforms_are_refused(self, transforms):
    with self.assertRaisesRegex(ValueError, 'transform'):
      self.projection(map_transforms=transforms)


class MemoryTest(PipelineTestCase):
  def test_a_bank_without_room_is_checked_and_projected_alike(self):
    self.project()
    expected = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'no_room'
    bank = self.bank()
    encoder = bank.encoders[0]
    digests, networks = bank.digests(), Networks(max_bytes=10)
    bank = dataclasses.replace(bank, networks=networks)
    pipeline.project(bank, self.probe(), self.projection(), self.output, silent)
    self.assertEqual(bank_testing.tree_bytes(self.output), expected)
    self.assertEqual(bank.digests(), digests)
    self.assertIsNot(networks.get(encoder), networks.get(encoder))

  def test_copies_look_at_a_bank_without_room(self):
    expected = self.project()['elrp'].affinity()
    self.output = self.folder / 'copies'
    code = f"""
      import dataclasses, os
      from experiments import pipeline
      from probe_data import probe_sets
      from taskonomy_models import bank as banks
      from taskonomy_models.encoder import Encoder, Networks
      from tests.tracking_testing import silent

      parent, load = os.getpid(), Encoder.load

      def load_in_copy(encoder):
        assert os.getpid() != parent
        return load(encoder)

      Encoder.load = load_in_copy
      bank = banks.load({str(self.folder / 'bank')!r})
      bank = dataclasses.replace(bank, networks=Networks(max_bytes=10))
      probe = probe_sets.load(
        {str(self.folder / 'images.npy')!r}, image_size=(16, 16)
      )
      how = pipeline.Projection(
        pipeline.method_objects({_METHODS!r}),
        batch_size=3,
        dtype='float32',
        workers=2,
      )
      pipeline.project(bank, probe, how, {str(self.output)!r}, silent)
      print(pipeline.refusals(bank, how, (16, 16, 2), silent))
    """
    ended = subprocess.run(
      [sys.executable, '-c', textwrap.dedent(code)],
      capture_output=True,
      text=True,
      timeout=300,
    )
    self.assertEqual(ended.returncode, 0, ended.stderr)
    found = ModelSpace(self.output / 'model_space' / 'elrp').affinity()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for name in bank_testing.NAMES:
      self.assertIn(f"{name!r}: '{name}: ", ended.stdout)

  def test_a_graph_that_changes_meanwhile_is_refused(self):
    encoder = dataclasses.replace(self.bank().encoders[0], sha256=None)
    networks = Networks(max_bytes=10)
    networks.get(encoder)
    pathlib.Path(encoder.graph).write_bytes(
      testing.tiny_graph_def(seed=9).SerializeToString()
    )
    with self.assertRaisesRegex(ValueError, 'was changed or is damaged'):
      networks.get(encoder)

  def test_a_budget_of_memory_makes_batches_smaller(self):
    self.project()
    expected = ModelSpace(self.output / 'model_space' / 'elrp').affinity()
    self.output, sizes = self.folder / 'budget', []
    fetch = Passes._fetch

    def counted(passes, wanted, inputs, feed=None):
      sizes.append(len(inputs))
      return fetch(passes, wanted, inputs, feed)

    budget = batch_sizes.peak_bytes() // 2**20 + 2000
    with mock.patch.object(Passes, '_fetch', counted):
      spaces = self.project(self.projection(memory_mb=budget, workers=1))
    self.assertEqual(min(sizes), 1)
    np.testing.assert_allclose(spaces['elrp'].affinity(), expected, atol=1e-5)

  def test_a_budget_for_not_even_one_image_is_an_error(self):
    with self.assertRaisesRegex(ValueError, 'One image takes .* leaves 1 MB'):
      self.project(self.projection(memory_mb=1, workers=1))

  def test_a_small_budget_leaves_fewer_processes(self):
    shape, encoders = (7, 16, 16, 3), self.bank().encoders
    own = batch_sizes.peak_bytes() // 2**20
    with mock.patch.object(processes, 'cores', return_value=4):
      numbers = [
        pipeline._workers(
          self.projection(memory_mb=mb, workers=0), shape, encoders
        )
        for mb in (1, own + 1600, own + 10000)
      ]
    self.assertEqual(numbers, [1, 2, 4])


class DevicesTest(PipelineTestCase):
  def test_several_devices_give_the_bytes_of_one(self):
    self.project()
    expected = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'devices'
    used, steps, config = [], [], session.config

    def two_logical():
      options = config()
      options.device_count['CPU'] = 2
      return options

    def track(items, **unused):
      for item in items:
        yield item
        steps.append(item)

    def watched(*arguments, device, **options):
      used.append(device)
      return Explainer(*arguments, device=device, **options)

    with (
      mock.patch.object(session, 'config', two_logical),
      mock.patch.object(session, 'check_device'),
      mock.patch.object(pipeline, 'Explainer', watched),
    ):
      self.project(self.projection(device='cpu:0,cpu:1'), track)
    self.assertEqual(bank_testing.tree_bytes(self.output), expected)
    self.assertEqual(set(used), {'/cpu:0', '/cpu:1'})
    self.assertLen(used, len(bank_testing.NAMES))
    self.assertLen(steps, 3 * len(bank_testing.NAMES))

  def test_a_device_that_is_not_there_is_named_before_the_work(self):
    with self.assertRaisesRegex(ValueError, "no device '/gpu:7'"):
      self.project(self.projection(device='cpu:0,gpu:7'))


class SketchTest(PipelineTestCase):
  def test_a_space_keeps_sketches_of_the_maps(self):
    space = self.project(self.projection(['elrp'], point='sketch:16'))['elrp']
    maps = self.expected_maps()['elrp']
    for name, values in zip(space.models, maps, strict=True):
      expected = sketches.sketched(values, 0, 16)
      expected /= np.linalg.norm(expected, axis=1, keepdims=True)
      np.testing.assert_allclose(space.rows(name), expected, atol=1e-4)

  def test_a_killed_run_ends_in_the_same_bytes(self):
    how = self.projection(point='sketch:16')
    self.project(how)
    expected = bank_testing.tree_bytes(self.output)
    self.output = self.folder / 'again'
    with self.assertRaises(Killed):
      self.project(how, killed_after(5))
    self.project(how)
    self.assertEqual(bank_testing.tree_bytes(self.output), expected)

  def test_a_model_that_is_inserted_later_is_sketched_alike(self):
    spaces = self.project(self.projection(['elrp'], point='sketch:16'))
    self.assertEqual(insertion.projection(spaces).point, 'sketch:16')

  def test_full_points_do_not_share_a_space_with_sketches(self):
    self.project(self.projection(['elrp'], point='sketch:16'))
    with self.assertRaisesRegex(ValueError, 'point'):
      self.project(self.projection(['elrp']))


class _Recorder(pipeline.Observer):
  def __init__(self):
    self.done, self.errors = {}, {}

  def finished(self, encoder, images, seconds, ruled):
    self.done[encoder.name] = images, ruled

  def failed(self, encoder, error):
    self.errors[encoder.name] = str(error)


class ObserverTest(PipelineTestCase):
  def test_every_model_is_reported_with_its_images_and_rules(self):
    recorder = _Recorder()
    self.project(observer=recorder)
    self.assertEqual(
      recorder.done, dict.fromkeys(bank_testing.NAMES, (_NUM_IMAGES, 2))
    )

  def test_a_model_that_fails_on_the_way_is_left_out_of_every_space(self):
    images = testing.images(_NUM_IMAGES, bank_testing.SIZE)
    images[4] = 0
    np.save(self.folder / 'images.npy', images)
    self.content['encoders'][1]['preprocessing'] = 'range(0, 1)'
    recorder = _Recorder()
    spaces = self.project(observer=recorder)
    self.assertEqual(list(recorder.errors), ['beta'])
    self.assertIn('all zero', recorder.errors['beta'])
    for space in spaces.values():
      self.assertEqual(space.models, ('alpha', 'gamma', 'delta'))
      self.assertEmpty(space.unfinished)

  def test_refusals_are_given_for_every_model_that_cannot_be_projected(self):
    for name in ('beta', 'delta'):
      graph = testing.freeze(tf.exp, size=12 if name == 'delta' else 16)
      path = self.folder / 'bank' / f'{name}.pb'
      path.write_bytes(graph.SerializeToString())
    shape = (bank_testing.SIZE, bank_testing.SIZE, 3)
    refused = pipeline.refusals(self.bank(), self.projection(), shape, silent)
    self.assertEqual(list(refused), ['beta', 'delta'])
    for name, reason in refused.items():
      self.assertRegex(reason, f'^{name}: .*Exp')
    without_rules = self.projection(['saliency'])
    self.assertEmpty(
      pipeline.refusals(self.bank(), without_rules, shape, silent)
    )


class BadMapTest(PipelineTestCase):
  """On a black image beta's input is zero, and with it gradient * input."""

  def setUp(self):
    super().setUp()
    images = testing.images(_NUM_IMAGES, bank_testing.SIZE)
    images[4] = 0
    np.save(self.folder / 'images.npy', images)
    self.content['encoders'][1]['preprocessing'] = 'range(0, 1)'

  def test_error_names_model_image_method_and_the_way_out(self):
    with self.assertRaisesRegex(
      ValueError,
      r'beta.*image 4 \(images.npy\[4\]\).*all zero.*'
      r'gradient_times_input\.\)$',
    ):
      self.project()
    with self.assertRaisesRegex(ValueError, r'\.\) Do this\.$'):
      self.project(self.projection(way_on='Do this.'))

  def test_dropped_image_counts_for_no_model_and_no_method(self):
    spaces = self.project(self.projection(on_bad_map='drop_image'))
    kept = [0, 1, 2, 3, 5, 6]
    for method, maps in self.expected_maps().items():
      self.assertEqual(spaces[method].kept_images.tolist(), kept)
      np.testing.assert_allclose(
        spaces[method].affinity(),
        space_testing.mean_cosines(np.stack(maps)[:, kept]),
        atol=1e-5,
      )

  def test_resumed_run_drops_the_same_images(self):
    projection = self.projection(on_bad_map='drop_image')
    self.project(projection)
    expected = bank_testing.tree_bytes(self.output)
    for number in (1, 4):
      self.output = self.folder / f'resumed_{number}'
      with self.assertRaises(Killed):
        self.project(projection, killed_after(number))
      self.project(projection)
      self.assertEqual(bank_testing.tree_bytes(self.output), expected)

  def test_no_image_left_is_an_error(self):
    images = np.zeros((2, bank_testing.SIZE, bank_testing.SIZE, 3), np.uint8)
    np.save(self.folder / 'images.npy', images)
    spaces = self.project(self.projection(on_bad_map='drop_image'))
    with self.assertRaisesRegex(ValueError, 'all images are dropped'):
      spaces['saliency'].affinity()


class CheckTest(PipelineTestCase):
  """Nothing is written, and the message names the model."""

  def _refuses(self, message, projection=None, error=ValueError):
    with self.assertRaisesRegex(error, message):
      self.project(projection)
    self.assertFalse(self.output.exists())

  def _replace(self, name, graph):
    path = self.folder / 'bank' / f'{name}.pb'
    path.write_bytes(graph.SerializeToString())

  def test_one_encoder_is_too_few(self):
    del self.content['encoders'][1:]
    self._refuses("'small' has 1 encoder; two or more")

  @parameterized.parameters('input', 'representation')
  def test_missing_tensor_is_named_with_the_closest(self, key):
    self.content['encoders'][2][key] = f'{key}x:0'
    self._refuses(f"^gamma: .*'{key}x.*{key}", error=GraphError)

  def test_activation_without_a_rule_is_named(self):
    self._replace('delta', testing.freeze(tf.exp, size=12))
    self._refuses('^delta: .*Exp', error=GraphError)

  @parameterized.parameters('ReadFile', 'WriteFile', 'PyFunc')
  def test_dangerous_operation_is_named(self, operation):
    graph = testing.tiny_graph_def('relu')
    graph.node.add(name='trap', op=operation)
    self._replace('alpha', graph)
    self._refuses(f'^alpha: .*{operation}', error=UnsafeGraphError)

  def test_truncated_graph_is_named_wherever_it_was_cut(self):
    path = self.folder / 'bank' / 'beta.pb'
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 50):
      path.write_bytes(content[:length])
      with self.subTest(length):
        self._refuses(f'^beta: .*{path}', error=GraphError)

  def test_changed_graph_is_found_by_its_digest(self):
    self.content['encoders'][1]['sha256'] = '0' * 64
    self._refuses('^beta: .*sha256')

  def test_height_and_width_may_differ(self):
    self.content['encoders'][3]['preprocessing'] = 'resize(20, 12)'
    self.assertEqual(pipeline.probe_size(self.bank()), (20, 16))

  def test_a_side_that_is_asked_for_is_taken(self):
    self.assertEqual(pipeline.probe_size(self.bank(), 30), (30, 30))

  def test_probe_sets_are_loaded_at_the_size_of_the_bank(self):
    loaded = pipeline.load_probe(self.bank(), 'noise', num_images=2)
    self.assertEqual(loaded.images.shape, (2, 16, 16, 3))
    other = pipeline.load_probe(
      self.bank(), 'noise', (8, 12), num_images=2, seed=1
    )
    self.assertEqual(other.images.shape, (2, 8, 12, 3))

  def test_mistake_in_the_preprocessing_is_named(self):
    self.content['encoders'][3]['preprocessing'] = 'resise(12)'
    self._refuses("^delta: .*'resise'")

  def test_input_of_another_size_is_refused(self):
    self.content['encoders'][3]['preprocessing'] = 'range(-1, 1)'
    self._refuses(r'^delta: .*\(12, 12, 3\).*\(16, 16, 3\).*resize')

  def test_input_that_is_no_image_is_refused(self):
    with tf.Graph().as_default() as graph:
      source = tf.compat.v1.placeholder(tf.float32, [None, 768], 'input')
      tf.identity(tf.nn.relu(source), name='representation')
    self._replace('alpha', graph.as_graph_def())
    self._refuses(r'^alpha: .*\(None, 768\)')

  def test_released_code_needs_inputs_of_one_size(self):
    self._refuses(
      "several sizes: .*'delta': .*12",
      self.projection(protocol='released_code'),
    )

  def test_released_code_refuses_channels_before_pixels(self):
    with tf.Graph().as_default() as graph:
      source = tf.compat.v1.placeholder(tf.float32, [None, 3, 16, 16], 'input')
      x = tf.transpose(source, (0, 2, 3, 1))
      tf.identity(tf.nn.relu(x), name='representation')
    self._replace('alpha', graph.as_graph_def())
    self.content['encoders'] = self.content['encoders'][:2]
    self.content['encoders'][0]['preprocessing'] = 'channels_first'
    self.project()
    self.output = self.folder / 'released'
    self._refuses(
      '^alpha: .*channels_first', self.projection(protocol='released_code')
    )

  def test_unknown_device_is_refused(self):
    with self.assertRaisesRegex(ValueError, '/GPU:99.*CPU'):
      self.project(self.projection(device='/GPU:99'))


class ProbeSizeTest(PipelineTestCase):
  def test_size_is_what_the_bank_says(self):
    self.content['image_size'] = 48
    self.assertEqual(pipeline.probe_size(self.bank()), (48, 48))

  def test_size_is_that_of_the_largest_input(self):
    self.assertEqual(pipeline.probe_size(self.bank()), (16, 16))
    self.content['encoders'] = self.content['encoders'][3:]
    self.assertEqual(pipeline.probe_size(self.bank()), (12, 12))

  def test_preprocessing_fixes_the_size_of_an_open_input(self):
    for name in bank_testing.NAMES:
      graph = testing.freeze(tf.nn.relu, size=None)
      path = self.folder / 'bank' / f'{name}.pb'
      path.write_bytes(graph.SerializeToString())
    self.assertEqual(pipeline.probe_size(self.bank()), (12, 12))
    self.content['encoders'][3]['preprocessing'] = 'range(-1, 1)'
    self.assertEqual(pipeline.probe_size(self.bank()), (256, 256))

  def test_mistake_in_the_preprocessing_is_named(self):
    self.content['encoders'][3]['preprocessing'] = 'resise(12)'
    with self.assertRaisesRegex(ValueError, "^delta: .*'resise'"):
      pipeline.probe_size(self.bank())


if __name__ == '__main__':
  absltest.main()
